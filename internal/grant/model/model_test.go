package model_test

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// scenarios are who meets whom. What may go wrong in each is chosen so that all of them together take seconds; a larger
// budget goes deeper: TOKENKEEP_MODEL_DEPTH=1 adds one fault and one crash to each, and takes an hour and gigabytes of memory.
var scenarios = []scenario{
	{name: "two refreshers", who: []kind{refresher, refresher}, left: budget{crashes: 1, faults: 1, freezes: 1}},
	{name: "two refreshers and a vault that stays away", who: []kind{refresher, refresher}, left: budget{crashes: 1, faults: 2}},
	{name: "two refreshers and an escrow", who: []kind{refresher, refresher, lander}, left: budget{crashes: 1, faults: 1}, change: inEscrow},
	{name: "two refreshers and an authorization", who: []kind{refresher, refresher, authorization}, left: budget{crashes: 1, faults: 1}},
	{name: "a refresher and an authorization", who: []kind{refresher, authorization}, left: budget{crashes: 1, faults: 1, freezes: 1}},
	{name: "a refresher that was refused before and an authorization", who: []kind{refresher, authorization}, left: budget{crashes: 1, freezes: 1}, change: ended},
	{name: "a refresher and an authorization of about the same time", who: []kind{refresher, authorization}, left: budget{crashes: 1, faults: 1}, contested: true},
	{name: "an authorization and who resumes it", who: []kind{authorization, resumer}, left: budget{crashes: 1, faults: 2, freezes: 1}},
	{name: "a refresher, a re-wrap and a deletion", who: []kind{refresher, rewrap, deletion}, left: budget{crashes: 1, faults: 1}},
	{name: "an authorization, a re-wrap and a deletion", who: []kind{authorization, rewrap, deletion}, left: budget{crashes: 1}},
	{name: "a refresher, a deletion and its sweeper", who: []kind{refresher, deletion, eraser}, left: budget{crashes: 1, faults: 1}},
	{name: "a refresher, a deletion and its revocation", who: []kind{refresher, deletion, revoker}, left: budget{crashes: 1, faults: 1}},
	{name: "an authorization, a deletion and its revocation", who: []kind{authorization, deletion, revoker}, left: budget{crashes: 1}},
	{name: "two refreshers and a restored vault", who: []kind{refresher, refresher, restoreVault}, left: budget{faults: 1, restores: 1}},
	{name: "two refreshers and a restored database", who: []kind{refresher, refresher, restoreDatabase}, left: budget{faults: 1, restores: 1}},
	{name: "an authorization, a deletion and a restored database", who: []kind{authorization, deletion, restoreDatabase}, left: budget{restores: 1}},
	{name: "a refresher, an authorization, a deletion and a re-wrap", who: []kind{refresher, authorization, deletion, rewrap}},
}

// inEscrow begins with a set that was stored while the vault was away.
func inEscrow(s *state) {
	s.grants[1].now, s.grants[1].before = token{1, 2}, token{1, 1}
	s.escrows[first] = record{2, firstAttempt, set{token{1, 2}, 1}}
	s.rows[first].generation, s.rows[first].escrowed = 2, true
	s.wrote[first][2] = firstAttempt
}

// ended begins with a grant that its user ended, and that was refused once.
func ended(s *state) {
	s.grants[1].live, s.rows[first].failure = false, revoked
}

// depth is how much more than usual may go wrong.
func depth(t *testing.T) uint8 {
	t.Helper()
	asked := os.Getenv("TOKENKEEP_MODEL_DEPTH")
	if asked == "" {
		return 0
	}
	n, err := strconv.ParseUint(asked, 10, 4)
	if err != nil {
		t.Fatalf("TOKENKEEP_MODEL_DEPTH is %q; it is a small number", asked)
	}
	return uint8(n)
}

// TestProtocol goes through everything that may happen, at every kind of provider.
func TestProtocol(t *testing.T) {
	more := depth(t)
	states, ends, began := 0, 0, time.Now()
	for _, p := range profiles {
		for _, sc := range scenarios {
			sc.left.crashes, sc.left.faults = sc.left.crashes+more, sc.left.faults+more
			began := time.Now()
			x, bad := (&world{profile: p, decisions: product()}).explore(sc)
			if bad != nil {
				t.Errorf("%s; at a provider where %s: %v", sc.name, p.name, bad)
			}
			states, ends = states+len(x.states), ends+x.ends
			t.Logf("%s; at a provider where %s: %d states, %d ends, %v", sc.name, p.name, len(x.states), x.ends, time.Since(began).Round(time.Millisecond))
		}
	}
	t.Logf("%d states, %d ends in %v", states, ends, time.Since(began).Round(time.Millisecond))
}
