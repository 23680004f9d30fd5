package grant_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/hold"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
)

func TestJudgeUnderABrake(t *testing.T) {
	held := func(f *grant.FailedSpend) { f.RefusedSince = noon.Add(-time.Hour) }
	standing, confirmed := hold.Brake{Standing: true}, hold.Brake{Standing: true, Confirmed: true, Recent: 100, Limit: 10}
	for _, test := range []struct {
		name                       string
		change                     func(*grant.FailedSpend)
		brake                      hold.Brake
		disconnect, held, released bool
		reason                     string
		wait                       time.Duration // the least
	}{
		{"a first refusal is no ending", nil, standing, false, false, false, "REVOKED", time.Minute},
		{"one that held", held, standing, false, true, false, "REVOKED", 5 * time.Minute},
		{"one that held, confirmed", held, confirmed, true, false, false, "REVOKED", 0},
		{"one that held, below the limit", held, hold.Brake{Recent: 8, Limit: 10}, true, false, false, "REVOKED", 0},
		{"one that held, at the limit", held, hold.Brake{Recent: 9, Limit: 10}, false, true, false, "REVOKED", 5 * time.Minute},
		{"one that held, after a dismissal", held, hold.Brake{Dismissed: true}, false, false, true, "REVOKED", time.Minute},
		{"one that held, interrupted", func(f *grant.FailedSpend) { held(f); f.Interrupted = true }, standing, false, true, false, "REFRESH_INTERRUPTED", 5 * time.Minute},
		{"a rolled back one", func(f *grant.FailedSpend) { f.RolledBack = true }, hold.Brake{Limit: 1}, false, true, false, "STORE_ROLLED_BACK", 5 * time.Minute},
		{"a rolled back one, confirmed", func(f *grant.FailedSpend) { f.RolledBack = true }, confirmed, true, false, false, "STORE_ROLLED_BACK", 0},
		{"a rolled back one, after a dismissal", func(f *grant.FailedSpend) { f.RolledBack = true }, hold.Brake{Dismissed: true, Limit: 1}, false, true, true, "STORE_ROLLED_BACK", 5 * time.Minute},
	} {
		f := refusal(test.change)
		f.Brake = test.brake
		v := grant.Judge(f)
		wait := v.NextAttemptAt.Sub(noon)
		if v.Disconnect != test.disconnect || v.Held != test.held || v.Released != test.released || v.Reason != test.reason || v.Class != grant.ClassReauthorize {
			t.Errorf("%s: got %+v", test.name, v)
		}
		if test.disconnect != v.NextAttemptAt.IsZero() || !test.disconnect && wait < test.wait {
			t.Errorf("%s: the next attempt is in %v", test.name, wait)
		}
		if test.held != strings.Contains(v.Message, "an operator of this service looks into it") {
			t.Errorf("%s: it says %q", test.name, v.Message)
		}
	}
}

// TestBrakeChangesOnlyEndings draws failures at random: a brake changes nothing but whether a connection ends, and what it
// keeps waits between 5 and 30 minutes.
func TestBrakeChangesOnlyEndings(t *testing.T) {
	outcomes := []oauth.Outcome{oauth.Unsent, oauth.Unknown, oauth.GrantDead, oauth.AppMisconfigured, oauth.Unavailable, oauth.RateLimited, oauth.Rejected}
	rapid.Check(t, func(t *rapid.T) {
		f := grant.FailedSpend{
			Err: &oauth.Error{Outcome: rapid.SampledFrom(outcomes).Draw(t, "outcome")}, Now: noon,
			RolledBack: rapid.Bool().Draw(t, "rolled back"), Interrupted: rapid.Bool().Draw(t, "interrupted"),
			ExchangeInFlight: rapid.Bool().Draw(t, "exchange in flight"),
			Attempts:         rapid.IntRange(0, 1<<40).Draw(t, "attempts"), Jitter: rapid.Float64Range(0, 0.9999999).Draw(t, "jitter"),
		}
		if ago := rapid.Int64Range(0, int64(3*time.Minute)).Draw(t, "refused ago"); ago > 0 {
			f.RefusedSince = noon.Add(-time.Duration(ago))
		}
		free := grant.Judge(f)
		f.Brake = hold.Brake{
			Standing: rapid.Bool().Draw(t, "standing"), Confirmed: rapid.Bool().Draw(t, "confirmed"),
			Recent: rapid.Int64Range(0, 20).Draw(t, "recent"), Limit: rapid.Int64Range(0, 20).Draw(t, "limit"),
		}
		v := grant.Judge(f)
		wait := v.NextAttemptAt.Sub(noon)
		switch {
		case !free.Disconnect && v != free:
			t.Fatalf("no ending, and the brake changed %+v to %+v", free, v)
		case free.Disconnect && v.Disconnect == f.Brake.Holds(), v.Held != (free.Disconnect && !v.Disconnect):
			t.Fatalf("under %+v got %+v", f.Brake, v)
		case v.Held && (wait < 5*time.Minute || wait > 30*time.Minute || v.Reason != free.Reason || v.Class != free.Class):
			t.Fatalf("got %+v, of %+v", v, free)
		}
	})
}

func TestAfterRollback(t *testing.T) {
	first, let := hold.Brake{Limit: 1}, hold.Brake{Confirmed: true}
	for _, test := range []struct {
		usable bool
		reuse  provider.ReuseBehaviour
		brake  hold.Brake
		want   grant.RollbackStep
	}{
		{true, provider.ReuseDead, first, grant.RollbackTry},
		{true, "", first, grant.RollbackTry},
		{true, provider.ReuseWindow, first, grant.RollbackWait},
		{true, provider.ReuseRevokesFamily, first, grant.RollbackWait},
		{true, provider.ReuseRevokesFamily, hold.Brake{Standing: true}, grant.RollbackWait},
		{true, provider.ReuseWindow, let, grant.RollbackTry},
		{true, provider.ReuseRevokesFamily, let, grant.RollbackTry},
		{false, provider.ReuseDead, first, grant.RollbackRefused},
		{false, provider.ReuseRevokesFamily, let, grant.RollbackRefused},
	} {
		if got := grant.AfterRollback(test.usable, test.reuse, test.brake); got != test.want {
			t.Errorf("usable %v, reuse %q, brake %+v: got %s, want %s", test.usable, test.reuse, test.brake, got, test.want)
		}
	}
}

func TestVerdictOnRollback(t *testing.T) {
	standing, let := hold.Brake{Standing: true}, hold.Brake{Confirmed: true}
	for _, test := range []struct {
		name             string
		step             grant.RollbackStep
		brake            hold.Brake
		disconnect, held bool
	}{
		{"refused, held", grant.RollbackRefused, standing, false, true},
		{"refused, confirmed", grant.RollbackRefused, let, true, false},
		{"waits, held", grant.RollbackWait, standing, false, true},
		{"waits, confirmed a moment ago", grant.RollbackWait, let, false, false},
	} {
		v := grant.VerdictOnRollback(test.step, test.brake, noon, 0, 0.5)
		if v.Disconnect != test.disconnect || v.Held != test.held || v.Reason != grant.ReasonRolledBack || v.Class != grant.ClassReauthorize || v.Message == "" {
			t.Errorf("%s: got %+v", test.name, v)
		}
		if v.Disconnect != v.NextAttemptAt.IsZero() {
			t.Errorf("%s: the next attempt is at %v", test.name, v.NextAttemptAt)
		}
	}
}
