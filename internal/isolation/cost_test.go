package isolation_test

import (
	"fmt"
	"log"
	"os"
	"regexp"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// statements collects what ent's debug driver prints of each statement.
type statements struct {
	mu   sync.Mutex
	list []string
}

// noise is what differs from one run of the same statement to the next: values and the names of transactions.
var noise = regexp.MustCompile(`(?s)args=.*$|\([0-9a-f-]{36}\)`)

// Write implements io.Writer.
func (s *statements) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if line := string(b); strings.HasPrefix(line, "driver.") || strings.HasPrefix(line, "Tx(") {
		s.list = append(s.list, noise.ReplaceAllString(strings.TrimSpace(line), ""))
	}
	return len(b), nil
}

// taken returns the statements since the last time, ordered, for some run side by side.
func (s *statements) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.list
	s.list = nil
	sort.Strings(out)
	return out
}

// watchStatements has every statement of the service's noted, transactions included.
func watchStatements(t *testing.T) *statements {
	t.Helper()
	seen := &statements{}
	log.SetOutput(seen)
	flags := log.Flags()
	log.SetFlags(0)
	t.Cleanup(func() {
		log.SetFlags(flags)
		log.SetOutput(os.Stderr)
	})
	return seen
}

// TestForeignCostsWhatAbsentCosts: whatever an id names, another tenant's object and none at all are looked for with the
// same statements and the same calls of the vault, so that neither time nor load tells them apart.
func TestForeignCostsWhatAbsentCosts(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		seen := watchStatements(t)
		w := newDebugWorld(t, url)
		b, a := w.party(t, "birch"), w.party(t, "amber")
		w.must(t, a.all, document(t, "credential", args{"of": nil}), args{"of": args{"connection": a.values["connection"]}}, nil) // into the memory
		for _, who := range []identity{b.all, b.admin} {
			w.must(t, who, "{ viewer { isOperator } }", nil, nil)
		}
		w.settle(t)
		compared, counted := 0, 0
		for _, f := range operations() {
			for path, try := range rules[f.Name].tries {
				value := a.values[try.kind]
				if _, _, err := id.Split(value); err != nil && !strings.HasPrefix(path, "filter.") && !strings.HasPrefix(path, "of.") {
					continue // cursors and codes, which are not looked up
				}
				who := b.all
				if !who.may(rules[f.Name].scope) {
					who = b.admin
				}
				foreign := w.costOf(t, seen, f.Name, who, try.with(b, value))
				missing := w.costOf(t, seen, f.Name, who, try.with(b, absent(try.kind, value)))
				if diff := cmp.Diff(missing, foreign); diff != "" {
					t.Errorf("%s, %s (-absent +foreign):\n%s", f.Name, path, diff)
				}
				compared++
				counted += len(foreign)
			}
		}
		if compared < 15 || counted < compared { // beside the statement that finds the caller, which is one, always
			t.Errorf("compared %d calls with %d statements and calls in all: that is not what they cost", compared, counted)
		}
		t.Logf("%d calls compared, %d statements and calls of the vault in each half", compared, counted)
	})
}

// settle waits for what was begun beside the requests so far, and takes no more of it.
func (w *world) settle(t *testing.T) {
	t.Helper()
	w.callers.Close()
	if err := w.Connections.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// costOf returns the statements and the calls of the vault that an operation takes.
func (w *world) costOf(t *testing.T, seen *statements, operation string, who identity, given args) []string {
	t.Helper()
	seen.taken()
	w.vault.taken()
	w.post(t, who, document(t, operation, given), given)
	cost := seen.taken()
	for _, call := range w.vault.taken() {
		cost = append(cost, fmt.Sprintf("vault: %s", call))
	}
	return cost
}
