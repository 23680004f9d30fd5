package model_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the crash points into docs/protocol.md and docs/protocol-traces.md")

// point is a place where a process may die.
type point struct {
	name string
	who  kind
	// until are the steps it takes before it dies.
	until []string
	// stored says what is left then, finishes who goes on from there.
	stored, finishes string
	// test names the one that stops the real runner there.
	test  string
	left  budget
	begin func(s *state)
}

var (
	untilReserved = []string{"claims the grant", "reads the row", "looks into the escrow", "reads the head"}
	untilSent     = append(untilReserved[:4:4], "marks the spend", "sends the token")
	untilAnswered = append(untilSent[:6:6], "is answered")
	untilAway     = append(untilAnswered[:7:7], "writes the record: not done, and no answer", "the vault stays away, the record goes into escrow")
	untilParked   = []string{"notes the code", "sends the code", "gets an answer", "parks the answer"}
	untilAimed    = append(untilParked[:4:4], "asks whose grant it is", "claims the grant", "looks for the user's connection",
		"notes which connection it writes")
	untilRenewed = append(untilAimed[:8:8], "looks into the escrow", "reads the head", "writes the record")
	untilBuried  = []string{"reads the row", "copies what is stored", "buries the row"}
	untilErased  = append(untilBuried[:3:3], "looks for a set newer than the copy", "erases the record")
	untilRevoked = []string{"claims the grant of a revocation", "looks for grants that it would end, too", "looks once more",
		"sends the revocation", "is answered"}
	untilLanded = []string{"claims the grant of an escrow", "looks into the escrow", "compares the escrow with the head",
		"writes the escrow into the vault"}
)

// points are the crash points, in the order of docs/protocol.md.
var points = []point{
	{"refresh: after the claim", refresher, untilReserved[:1], "nothing new; the lock", "the next attempt, when the lock has run out",
		"TestCrashDuringRefresh", budget{}, nil},
	{"refresh: after the reserve", refresher, untilReserved, "the same", "the next attempt", "TestCrashDuringRefresh", budget{}, nil},
	{"refresh: after the mark", refresher, untilSent[:5], "the lock says that the generation was being spent",
		"the next attempt spends it: it never was", "TestCrashDuringRefresh", budget{}, nil},
	{"refresh: provider committed, answer unread", refresher, append(untilSent[:6:6], "the provider commits, the answer is lost"),
		"the lock's mark; **the new token is nowhere**", "the next attempts are refused and name it REFRESH_INTERRUPTED",
		"TestCrashDuringRefresh", budget{faults: 1}, nil},
	{"refresh: answer read", refresher, untilAnswered, "the same: **the window**", "the same", "TestCrashDuringRefresh", budget{}, nil},
	{"refresh: vault written, row not", refresher, append(untilAnswered[:7:7], "writes the record"), "the new set in the vault, the row lags",
		"the next reader or attempt reconciles and spends nothing", "TestCrashDuringRefresh", budget{}, nil},
	{"refresh: vault away, not yet in escrow", refresher, untilAway, "the lock's mark; **the window, as long as no store takes the record**",
		"as where the answer was read", "TestCrashDuringRefresh", budget{faults: 1}, nil},
	{"refresh: in escrow", refresher, append(untilAway[:9:9], "settles"), "the new set in the escrow, the row has its generation",
		"the sweeper or the next attempt lands it", "TestVaultAwayAfterTheAnswer", budget{faults: 1}, nil},
	{"refresh: settled", refresher, append(untilAnswered[:7:7], "writes the record", "settles"), "everything", "nobody needs to", "TestRefresh", budget{}, nil},
	{"escrow: landed, not dropped", lander, untilLanded, "the set in the vault and in the escrow", "the sweeper drops it",
		"TestCrashWhileLanding", budget{}, inEscrow},
	{"authorization: code noted", authorization, untilParked[:1], "the attempt, without an answer",
		"the sweeper calls the attempt lost; the code was not sent", "TestCrashDuringAuthorization", budget{}, nil},
	{"authorization: answer read", authorization, untilParked[:3], "the attempt; **the new grant is nowhere (the window)**",
		"the sweeper calls the attempt lost, the user consents again", "TestCrashDuringAuthorization", budget{}, nil},
	{"authorization: parked", authorization, untilParked, "the answer in the attempt", "the sweeper, or who repeats the code, stores it",
		"TestCrashDuringAuthorization", budget{}, nil},
	{"authorization: user known and connection noted", authorization, untilAimed, "the same, and which connection is written", "the same",
		"TestCrashDuringRenewal", budget{}, nil},
	{"authorization: vault written, row not", authorization, untilRenewed, "the answer in the attempt and in the vault",
		"the sweeper finds its consent in the head and settles; nothing is spent", "TestCrashDuringAuthorization", budget{}, nil},
	{"authorization: settled", authorization, append(untilRenewed[:11:11], "settles"), "everything", "nobody needs to",
		"TestFinishedTwice", budget{}, nil},
	{"deletion: copied", deletion, untilBuried[:2], "nothing new", "whoever deletes again", "TestCrashDuringDeletion", budget{}, nil},
	{"deletion: buried", deletion, untilBuried, "tombstone and revocation job; the record still", "the sweeper erases and revokes",
		"TestCrashDuringDeletion", budget{}, nil},
	{"deletion: erased", deletion, untilErased, "the same without the record", "the sweeper notes it and revokes",
		"TestCrashDuringDeletion", budget{}, nil},
	{"revocation: ended at the provider, not noted", revoker, untilRevoked, "the job is pending", "the next try is told that the grant has ended",
		"TestCrashDuringDeletion", budget{}, deletedFirst},
}

// deletedFirst begins after a deletion, with its revocation due.
func deletedFirst(s *state) {
	s.rows[first], s.tombstones[first] = row{}, tombstone{exists: true, erased: true, generation: 1}
	s.heads[first] = head{erased: true, cas: 2}
	s.jobs[0] = job{state: pending, copy: set{token{1, 1}, 1}}
	s.deleted = true
}

// walk takes the steps, dies, and is recovered from.
func (p point) walk(t *testing.T) (trace []string, end state) {
	t.Helper()
	w := &world{profile: profiles[0], decisions: product()}
	s := start(p.left)
	s.actors[0].kind = p.who
	if p.begin != nil {
		p.begin(&s)
	}
	for _, what := range p.until {
		found := false
		w.step(s, 0, func(did string, next state) {
			if did == what && !found {
				found, s = true, next
			}
		})
		if !found {
			t.Fatalf("%s: %s does not %q", p.name, names[p.who], what)
		}
		if err := w.always(&s); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		trace = append(trace, names[p.who]+" "+what)
	}
	if s.actors[0].alive() {
		w.crash(&s, 0)
		trace = append(trace, names[p.who]+" CRASHES, and its lock runs out")
	}
	if err := w.always(&s); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	end, after, err := w.recover(s, true)
	if err != nil {
		t.Fatalf("%s: %v\n%s", p.name, err, strings.Join(append(trace, after...), "\n"))
	}
	return append(trace, after...), end
}

// outcome says in words how it ends.
func (s state) outcome() string {
	var said []string
	for c, r := range s.rows {
		name := []string{"the connection", "the new connection"}[c]
		switch {
		case r.exists && r.disconnected && r.failure == interrupted:
			said = append(said, name+" is DISCONNECTED, REFRESH_INTERRUPTED")
		case r.exists && r.disconnected:
			said = append(said, name+" is DISCONNECTED")
		case r.exists:
			said = append(said, fmt.Sprintf("%s is CONNECTED, generation %d", name, r.generation))
		case s.tombstones[c].exists:
			said = append(said, name+" is gone")
		}
	}
	if s.attempt.state == lost {
		said = append(said, "the attempt is LOST")
	}
	for _, j := range s.jobs {
		if j.state == jobRevoked || j.state == jobEnded {
			said = append(said, "the grant has ended")
		}
	}
	return strings.Join(said, "; ")
}

// anchor is the place of a heading in a page.
func anchor(heading string) string {
	return strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

const (
	docs       = "../../../docs/"
	tableBegin = "<!-- The table is written by the model's test: go test ./internal/grant/model -update -->\n"
	tableEnd   = "<!-- end of the table -->\n"
)

// TestCrashPoints keeps the documentation true: the table of crash points, what the model makes of each, and that there is
// a test that stops the real runner.
func TestCrashPoints(t *testing.T) {
	var table, traces strings.Builder
	table.WriteString("| the process dies | what is stored then | who goes on | how it ends | stopped there by |\n|---|---|---|---|---|\n")
	traces.WriteString("# Crash points, step by step\n\nWritten by the model's test (`go test ./internal/grant/model -update`); what the steps mean is in\n" +
		"[protocol.md](protocol.md). After a crash the sweeper's parts and a refresh of each connection run until all is right.\n" +
		"The generation that is spent afterwards is the recovering refresh's own.\n")
	for _, p := range points {
		trace, end := p.walk(t)
		fmt.Fprintf(&table, "| [%s](protocol-traces.md#%s) | %s | %s | %s | `%s` |\n", p.name, anchor(p.name), p.stored, p.finishes, end.outcome(), p.test)
		fmt.Fprintf(&traces, "\n## %s\n\n%s\n", p.name, "1. "+strings.Join(trace, "\n1. "))
	}
	page, err := os.ReadFile(docs + "protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatal("docs/protocol.md has no place for the table")
	}
	same(t, "protocol.md", before+tableBegin+table.String()+tableEnd+after)
	same(t, "protocol-traces.md", traces.String())
	existing(t)
}

// same compares a page with what it should be, or writes it.
func same(t *testing.T, name, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(docs+name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(docs + name)
	if err != nil || string(got) != want {
		t.Errorf("docs/%s is not what the model says (%v); write it with: go test ./internal/grant/model -update", name, err)
	}
}

// existing fails for a test that is named and is not there.
func existing(t *testing.T) {
	t.Helper()
	var source strings.Builder
	files, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), "_test.go") {
			b, err := os.ReadFile("../" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			source.Write(b)
		}
	}
	for _, p := range points {
		if !strings.Contains(source.String(), "func "+p.test+"(t *testing.T)") {
			t.Errorf("%s: there is no test %s in internal/grant", p.name, p.test)
		}
	}
}
