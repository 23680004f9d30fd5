package grant_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// refusal is a refused refresh at noon.
func refusal(change func(*grant.FailedSpend)) grant.FailedSpend {
	f := grant.FailedSpend{
		Err: &oauth.Error{Outcome: oauth.GrantDead, Reason: oauth.ReasonRevoked, Status: 400, ProviderCode: "4741", Message: "told"}, Now: noon,
	}
	if change != nil {
		change(&f)
	}
	return f
}

func TestJudgeRefusals(t *testing.T) {
	minute := grant.ConfirmDeath
	for _, test := range []struct {
		name       string
		change     func(*grant.FailedSpend)
		disconnect bool
		reason     string
		next       time.Time
	}{
		{"the first", nil, false, "REVOKED", noon.Add(minute)},
		{"one that has not held long enough", func(f *grant.FailedSpend) { f.RefusedSince = noon.Add(-minute + 1) }, false, "REVOKED", noon.Add(1)},
		{"one that held", func(f *grant.FailedSpend) { f.RefusedSince = noon.Add(-minute) }, true, "REVOKED", time.Time{}},
		{"one that held while a code is exchanged", func(f *grant.FailedSpend) {
			f.RefusedSince, f.ExchangeInFlight = noon.Add(-minute), true
		}, false, "REVOKED", noon.Add(minute)},
		{"the first while a code is exchanged", func(f *grant.FailedSpend) { f.ExchangeInFlight = true }, false, "REVOKED", noon.Add(minute)},
		{"a reason of its own", func(f *grant.FailedSpend) { f.Err.Reason = oauth.ReasonUserDeactivated }, false, "USER_DEACTIVATED", noon.Add(minute)},
		{"no reason", func(f *grant.FailedSpend) { f.Err.Reason = "" }, false, "REVOKED", noon.Add(minute)},
		{"after a spend without answer", func(f *grant.FailedSpend) { f.Interrupted = true }, false, "REFRESH_INTERRUPTED", noon.Add(minute)},
		{"after a spend without answer, held", func(f *grant.FailedSpend) {
			f.Interrupted, f.RefusedSince = true, noon.Add(-2*minute)
		}, true, "REFRESH_INTERRUPTED", time.Time{}},
		{"of a rolled back token", func(f *grant.FailedSpend) { f.RolledBack = true }, true, "STORE_ROLLED_BACK", time.Time{}},
		{"of a rolled back token after a spend without answer", func(f *grant.FailedSpend) { f.RolledBack, f.Interrupted = true, true }, true, "STORE_ROLLED_BACK", time.Time{}},
	} {
		got := grant.Judge(refusal(test.change))
		if got.Disconnect != test.disconnect || got.Reason != test.reason || !got.NextAttemptAt.Equal(test.next) ||
			got.Class != grant.ClassReauthorize || got.BlameApp || got.HTTPStatus != 400 || got.Code != "4741" || got.Message == "" {
			t.Errorf("%s: got %+v", test.name, got)
		}
	}
}

func TestJudgeTheRest(t *testing.T) {
	for _, test := range []struct {
		err           oauth.Error
		class, reason string
		blame         bool
	}{
		{oauth.Error{Outcome: oauth.AppMisconfigured, Reason: oauth.ReasonClientRejected}, "APP_MISCONFIGURED", "CLIENT_REJECTED", true},
		{oauth.Error{Outcome: oauth.AppMisconfigured, Reason: oauth.ReasonAppDisabled}, "APP_MISCONFIGURED", "APP_DISABLED", true},
		{oauth.Error{Outcome: oauth.AppMisconfigured}, "APP_MISCONFIGURED", "CLIENT_REJECTED", true},
		{oauth.Error{Outcome: oauth.Unsent}, "PROVIDER_UNAVAILABLE", "NETWORK", false},
		{oauth.Error{Outcome: oauth.Unknown}, "PROVIDER_UNAVAILABLE", "NETWORK", false},
		{oauth.Error{Outcome: oauth.Unknown, Status: 502}, "PROVIDER_UNAVAILABLE", "PROVIDER_ERROR", false},
		{oauth.Error{Outcome: oauth.Unknown, Reason: oauth.ReasonProviderError}, "PROVIDER_UNAVAILABLE", "PROVIDER_ERROR", false},
		{oauth.Error{Outcome: oauth.Unavailable, Status: 503}, "PROVIDER_UNAVAILABLE", "PROVIDER_ERROR", false},
		{oauth.Error{Outcome: oauth.RateLimited, Status: 429}, "PROVIDER_UNAVAILABLE", "RATE_LIMITED", false},
		{oauth.Error{Outcome: oauth.Rejected, Status: 400}, "PROVIDER_UNAVAILABLE", "PROVIDER_ERROR", false},
		{oauth.Error{Outcome: oauth.CodeRejected, Status: 400}, "PROVIDER_UNAVAILABLE", "PROVIDER_ERROR", false},
		{oauth.Error{Outcome: oauth.Unauthorized, Status: 401}, "PROVIDER_UNAVAILABLE", "PROVIDER_ERROR", false},
		{oauth.Error{Outcome: "SOMETHING_NEW", Status: 418}, "PROVIDER_UNAVAILABLE", "PROVIDER_ERROR", false},
	} {
		for _, history := range []func(*grant.FailedSpend){
			func(*grant.FailedSpend) {},
			func(f *grant.FailedSpend) { f.RefusedSince, f.Interrupted = noon.Add(-time.Hour), true },
			func(f *grant.FailedSpend) { f.RolledBack, f.ExchangeInFlight, f.Attempts = true, true, 1000 },
		} {
			f := refusal(history)
			f.Err = &test.err
			got := grant.Judge(f)
			if got.Disconnect || got.Class != test.class || got.Reason != test.reason || got.BlameApp != test.blame || !got.NextAttemptAt.After(noon) {
				t.Errorf("%s %s: got %+v", test.err.Outcome, test.err.Reason, got)
			}
		}
	}
}

// TestJudgeWaitsAsLongAsTheProviderAsks, but not for a day: tokens end meanwhile, and some refresh tokens too.
func TestJudgeWaitsAsLongAsTheProviderAsks(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{20 * time.Minute: 20 * time.Minute, 24 * time.Hour: time.Hour} {
		for _, outcome := range []oauth.Outcome{oauth.RateLimited, oauth.Unavailable, oauth.Unknown} {
			f := refusal(func(f *grant.FailedSpend) { f.Err = &oauth.Error{Outcome: outcome, Status: 429, RetryAfter: asked} })
			if got := grant.Judge(f).NextAttemptAt.Sub(noon); got != want {
				t.Errorf("%s: asked for %v, waits for %v, want %v", outcome, asked, got, want)
			}
		}
	}
}

// TestJudgeProperties draws failures at random: a connection ends only by a refusal that held for long enough with no
// exchange in flight, or of a rolled back token; whatever else happens there is a next attempt, not at once and not in a
// distant future.
func TestJudgeProperties(t *testing.T) {
	outcomes := []oauth.Outcome{oauth.Unsent, oauth.Unknown, oauth.GrantDead, oauth.CodeRejected, oauth.AppMisconfigured,
		oauth.Unavailable, oauth.RateLimited, oauth.Rejected, oauth.Unauthorized}
	rapid.Check(t, func(t *rapid.T) {
		f := grant.FailedSpend{
			Err: &oauth.Error{
				Outcome:    rapid.SampledFrom(outcomes).Draw(t, "outcome"),
				RetryAfter: time.Duration(rapid.Int64Range(0, int64(20*time.Minute)).Draw(t, "retry after")),
			},
			Now: noon, RolledBack: rapid.Bool().Draw(t, "rolled back"), Interrupted: rapid.Bool().Draw(t, "interrupted"),
			ExchangeInFlight: rapid.Bool().Draw(t, "exchange in flight"),
			Attempts:         rapid.IntRange(0, 1<<40).Draw(t, "attempts"), Jitter: rapid.Float64Range(0, 0.9999999).Draw(t, "jitter"),
		}
		if ago := rapid.Int64Range(0, int64(3*time.Minute)).Draw(t, "refused ago"); ago > 0 {
			f.RefusedSince = noon.Add(-time.Duration(ago))
		}
		v := grant.Judge(f)
		held := !f.RefusedSince.IsZero() && noon.Sub(f.RefusedSince) >= time.Minute
		dead := f.Err.Outcome == oauth.GrantDead && (f.RolledBack || held && !f.ExchangeInFlight)
		wait := v.NextAttemptAt.Sub(noon)
		switch {
		case v.Disconnect != dead:
			t.Fatalf("disconnect %v, want %v", v.Disconnect, dead)
		case dead && !v.NextAttemptAt.IsZero():
			t.Fatal("a connection that is over has a next attempt")
		case !dead && (wait <= 0 || wait > 20*time.Minute):
			t.Fatalf("the next attempt is in %v", wait)
		case v.Class == "" || v.Reason == "":
			t.Fatalf("class %q, reason %q", v.Class, v.Reason)
		}
	})
}

// TestBackOff bounds the pauses after failures that pass: never below a second, never above a ceiling that doubles from
// five seconds to fifteen minutes, and spread over all of it.
func TestBackOff(t *testing.T) {
	wait := func(attempts int, jitter float64) time.Duration {
		f := refusal(func(f *grant.FailedSpend) {
			f.Err, f.Attempts, f.Jitter = &oauth.Error{Outcome: oauth.Unavailable}, attempts, jitter
		})
		return grant.Judge(f).NextAttemptAt.Sub(noon)
	}
	rapid.Check(t, func(t *rapid.T) {
		attempts, jitter := rapid.IntRange(0, 1<<30).Draw(t, "attempts"), rapid.Float64Range(0, 0.9999999).Draw(t, "jitter")
		ceiling := 15 * time.Minute
		if attempts < 10 {
			ceiling = min(ceiling, 5*time.Second<<attempts)
		}
		got := wait(attempts, jitter)
		if got < time.Second || got > ceiling {
			t.Fatalf("got %v, ceiling %v", got, ceiling)
		}
		if want := time.Duration(float64(ceiling) * jitter); got < want-time.Microsecond {
			t.Fatalf("got %v, want at least %v of %v", got, want, ceiling)
		}
	})
}
