package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// TestMain makes the test's binary the reference, as main does with the bench's.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == bareArgument {
		os.Exit(exitCode(serveBare(os.Stdin, os.Stdout), os.Stderr))
	}
	servicetest.Main(m)
}

// TestBench runs the whole bench, small: it proves that each row gets right answers, not how fast they come.
func TestBench(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bench.json")
	var out, progress bytes.Buffer
	args := []string{"-connections", "200", "-credentials", "5", "-opened", "101", "-clients", "4", "-duration", "200ms", "-warmup", "50ms", "-json", file}
	if err := run(t.Context(), args, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Tables) != 3 {
		t.Fatalf("got %d tables, want one for each database and one with HashiCorp Vault:\n%s", len(r.Tables), &progress)
	}
	for i, table := range r.Tables {
		if want := []int{6, 6, 9}[i]; len(table.Rows) != want {
			t.Errorf("%s: got %d rows, want %d", table.Name, len(table.Rows), want)
		}
		for _, row := range table.Rows {
			alone := strings.HasPrefix(row.Name, "Vault: ")
			if row.Service.Requests == 0 || row.Service.P50Millis > row.Service.P99Millis ||
				(row.Ratio <= 0) != alone || (row.Bare.Requests == 0) != alone {
				t.Errorf("%s: %s: got %+v", table.Name, row.Name, row)
			}
			if !strings.Contains(out.String(), row.Name) {
				t.Errorf("%s is not in what was printed:\n%s", row.Name, &out)
			}
		}
	}
	checkVault(t, r.Tables[2])
}

// checkVault looks at what is measured beside the rows: how often Vault is asked does not depend on the machine.
func checkVault(t *testing.T, got table) {
	t.Helper()
	want := []requests{
		{"credential, uncached", 100, 200, 2}, {"credential, fresh", 100, 0, 0},
		{"credentials, 100 uncached", 1, 101, 101}, {"credentials, 100 fresh", 1, 0, 0},
		{"refreshConnection", 100, 400, 4},
	}
	if !slices.Equal(got.Requests, want) {
		t.Errorf("got %+v, want %+v", got.Requests, want)
	}
	if len(got.Window) != 2 {
		t.Errorf("got %+v, want two windows", got.Window)
	}
	for _, w := range got.Window {
		if w.Refreshes == 0 || w.P50Millis <= 0 || w.P50Millis > w.P99Millis || w.P99Millis > w.MaxMillis {
			t.Errorf("got %+v", w)
		}
	}
}

func TestWrongAnswersEndTheRun(t *testing.T) {
	l := &load{want: []byte(`"node":`)}
	for _, test := range []struct {
		status int
		answer string
		right  bool
	}{
		{200, `{"data":{"connections":{"edges":[{"node":{}}]}}}`, true},
		{200, `{"data":{"connections":{"edges":[]}}}`, false},
		{200, `{"errors":[{"message":"no"}],"data":{"node":null,"edges":[{"node":{}}]}}`, false},
		{500, `{"data":{"connections":{"edges":[{"node":{}}]}}}`, false},
	} {
		if err := l.check(test.status, []byte(test.answer)); (err == nil) != test.right {
			t.Errorf("%d %s: got %v", test.status, test.answer, err)
		}
	}
}

func TestPercentile(t *testing.T) {
	s := sample{}
	for i := range 100 {
		s.latencies = append(s.latencies, time.Duration(i+1))
	}
	for share, want := range map[float64]time.Duration{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		if got := s.percentile(share); got != want {
			t.Errorf("%v: got %d, want %d", share, got, want)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"-clients 0", "counts and durations must be positive"},
		{"-database oracle", "-database is sqlite, postgres or all"},
		{"-vault transit", "-vault is embedded, hashicorp or all"},
		{"-vault hashicorp -database sqlite", "measured with PostgreSQL"},
		{"-opened 100", "-opened must be at least 101"},
		{"-rows (", "reading -rows"},
		{"credential", "there are flags only"},
		{"-fast", errUsage.Error()},
	} {
		_, err := parse(strings.Fields(test.args), &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.args, err, test.want)
		}
	}
}
