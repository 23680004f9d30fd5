package isolation_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// TestEveryOperationHasARule: what is served is tried.
func TestEveryOperationHasARule(t *testing.T) {
	known := map[string]bool{}
	for _, f := range operations() {
		known[f.Name] = true
		r, ok := rules[f.Name]
		if !ok {
			t.Errorf("%s: new field needs a rule: say in table_test.go which scope it takes and how it is tried", f.Name)
			continue
		}
		listed := append(slices.Collect(maps.Keys(r.tries)), slices.Collect(maps.Keys(r.plain))...)
		sort.Strings(listed)
		if diff := cmp.Diff(leaves(f), listed); diff != "" {
			t.Errorf("%s: each argument needs a try, or a reason why it is plain (-schema +table):\n%s", f.Name, diff)
		}
	}
	for name := range rules {
		if !known[name] {
			t.Errorf("%s is not served: take its rule out", name)
		}
	}
}

// TestAnotherTenantsValues tries every argument of every operation with another tenant's values: the caller gets what he
// gets for values that nobody has, to the byte, and nothing of the other tenant's changes.
func TestAnotherTenantsValues(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		b, a := w.party(t, "birch"), w.party(t, "amber")
		identities := []identity{b.all, b.admin, w.operatorIdentity().inside(b.values["tenant"])}
		before := w.snapshot(t, a)
		tried := 0
		for _, f := range operations() {
			for _, path := range slices.Sorted(maps.Keys(rules[f.Name].tries)) {
				for _, who := range identities {
					s := stranger{world: w, who: who, operation: f.Name, rule: rules[f.Name], try: rules[f.Name].tries[path], path: path, mine: b, other: a}
					tried += s.run(t)
				}
			}
			if diff := cmp.Diff(before, w.snapshot(t, a)); diff != "" {
				t.Fatalf("%s changed another tenant (-before +after):\n%s", f.Name, diff)
			}
		}
		t.Logf("%d operations, %d foreign values tried, each beside an absent one", len(operations()), tried)
	})
}

// stranger tries one argument of an operation.
type stranger struct {
	*world
	who         identity
	operation   string
	rule        rule
	try         try
	path        string
	mine, other *party
}

// run tries the value that fits, and where that is an id the ids of all other kinds. It returns how many it tried.
func (s stranger) run(t *testing.T) int {
	t.Helper()
	want := s.try.want
	switch {
	case s.rule.scope == anyOperator && s.who.operator:
		return 0 // every tenant is the operator's to see
	case !s.who.may(s.rule.scope):
		want = forbidden
	}
	value := s.other.values[s.try.kind]
	if s.try.kind == "code" && !slices.Equal(s.who.scopes, s.mine.all.scopes) { // the first tries one that is spent
		value = s.consent(t, s.other, s.other.word+"@example.com", nil)
	}
	s.compare(t, s.try.kind, value, want)
	if _, _, err := id.Split(value); err != nil {
		return 1
	}
	tried := 1
	for _, kind := range []string{"connection", "key connection", "app", "key app", "key", "tenant"} {
		if kind == s.try.kind || s.who.operator && kind == "tenant" { // as above
			continue
		}
		s.compare(t, kind, s.other.values[kind], anError)
		tried++
	}
	return tried
}

// compare tries a foreign value and an absent one.
func (s stranger) compare(t *testing.T, kind, value string, want outcome) {
	t.Helper()
	what := fmt.Sprintf("%s, %s = %s of another tenant, as %s", s.operation, s.path, kind, s.who.name)
	foreign := s.call(t, value)
	for _, mark := range s.other.marks {
		if strings.Contains(foreign.comparable(), mark) {
			t.Errorf("%s: the answer has %q:\n%s", what, mark, foreign.body)
		}
	}
	if got := foreign.outcome(s.operation, s.other); got != want && want != anError && (got != emptyPage || want != ownRowsOnly) {
		t.Errorf("%s: got %s, want %s:\n%s", what, got, want, foreign.body)
	}
	if want == ownRowsOnly {
		return
	}
	missing := s.call(t, absent(kind, value))
	if diff := cmp.Diff(missing.comparable(), foreign.comparable()); diff != "" {
		t.Errorf("%s: foreign and absent differ (-absent +foreign):\n%s", what, diff)
	}
}

func (s stranger) call(t *testing.T, value string) answer {
	t.Helper()
	given := s.try.with(s.mine, value)
	return s.post(t, s.who, document(t, s.operation, given), given)
}

// outcome names what came back for an operation.
func (a answer) outcome(operation string, other *party) outcome {
	if code := a.code(); code != "" {
		return outcome(code)
	}
	data := string(a.Data[operation])
	var page struct {
		Typename string `json:"__typename"`
		Edges    []json.RawMessage
	}
	var list []struct {
		Typename string `json:"__typename"`
	}
	switch {
	case data == "null":
		return isNull
	case data == "[null]":
		return listOfNulls
	case json.Unmarshal([]byte(data), &list) == nil && len(list) == 1:
		return outcome(list[0].Typename)
	case json.Unmarshal([]byte(data), &page) != nil:
		return "unreadable"
	case page.Typename != "":
		return outcome(page.Typename)
	case strings.Contains(data, `"edges":[]`):
		return emptyPage
	case page.Edges != nil:
		return rowsOf(page.Edges, other)
	default:
		return "data"
	}
}

// rowsOf says whether a page has rows of the other party's.
func rowsOf(edges []json.RawMessage, other *party) outcome {
	for _, e := range edges {
		var edge struct{ Node struct{ ID string } }
		if json.Unmarshal(e, &edge) != nil || slices.Contains(other.marks, edge.Node.ID) {
			return "rows of others"
		}
	}
	return ownRowsOnly
}
