package grant_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/oauthapp"
	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// failed fails unless the outcome is a verdict that leaves the connection connected, and returns it.
func (k *kit) failed(out grant.Refreshed, err error) *grant.Verdict {
	k.t.Helper()
	if err != nil || out.Verdict == nil || out.Verdict.Disconnect || out.Generation != 0 {
		k.t.Fatalf("got generation %d, verdict %+v, error %v; want a failure that passes", out.Generation, out.Verdict, err)
	}
	return out.Verdict
}

// ended fails unless the outcome is the end of the connection.
func (k *kit) ended(out grant.Refreshed, err error) {
	k.t.Helper()
	if err != nil || out.Verdict == nil || !out.Verdict.Disconnect {
		k.t.Fatalf("got verdict %+v, error %v; want the end", out.Verdict, err)
	}
}

// TestUserLeft: the provider refuses, and goes on refusing for a minute.
func TestUserLeft(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		if _, err := k.Zoom.EndGrants(user, "", ""); err != nil {
			t.Fatal(err)
		}
		v := k.failed(k.refresh(c))
		if want := k.Clock.Now().Add(time.Minute); !v.NextAttemptAt.Equal(want) {
			t.Errorf("the next attempt is at %v, want %v", v.NextAttemptAt, want)
		}
		row := k.failing(c, connection.StateCONNECTED, "REVOKED")
		if row.FailureAttempts != 1 || row.FailureSince == nil || row.FailureNextAttemptAt == nil {
			t.Errorf("got %+v", row)
		}
		k.failed(k.refresh(c)) // put off: nobody is asked
		if got := k.ledger().RefusedRefreshes; got != 1 {
			t.Errorf("the provider was asked %d times", got)
		}
		k.Clock.Advance(time.Minute)
		k.ended(k.refresh(c))
		row = k.failing(c, connection.StateDISCONNECTED, "REVOKED")
		if row.FailureAttempts != 2 || row.FailureNextAttemptAt != nil || row.NextRefreshAt != nil {
			t.Errorf("got %+v", row)
		}
		if n := k.Locks(t); n != 0 {
			t.Errorf("%d locks are left", n)
		}
		k.ended(k.refresh(c)) // over: nobody is asked
		if got := k.ledger().RefusedRefreshes; got != 2 {
			t.Errorf("the provider was asked %d times", got)
		}
		want := []string{"CONNECTION_CREATED", "CONNECTION_FAILING", "CONNECTION_DISCONNECTED"}
		if got := k.events(c.ID); !slices.Equal(got, want) {
			t.Errorf("got events %v, want %v", got, want)
		}
	})
}

// TestAskedNow: who asks for a refresh explicitly does not wait, and death still takes its minute.
func TestAskedNow(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		if _, err := k.Zoom.EndGrants(user, "", ""); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			k.failed(k.Connections.Keeper().Refresh(k.one.Ctx, c.ID, grant.Wanted{IfGeneration: 1, Now: true}))
			k.Clock.Advance(10 * time.Second)
		}
		if got := k.ledger().RefusedRefreshes; got != 3 {
			t.Errorf("the provider was asked %d times", got)
		}
	})
}

// TestNoDeathWhileACodeIsExchanged: the consent that ended this grant may be about to renew it.
func TestNoDeathWhileACodeIsExchanged(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		code := k.Consent(t, user)
		gate := servicetest.NewGate()
		k.ZoomAPI.Before("Me", gate.Hook)
		wait := async(func() (struct{}, error) {
			_, _, err := k.Connections.Create(k.one.Ctx, k.one.CodeInput(code))
			return struct{}{}, err
		})
		<-gate.Arrived // the code was exchanged, which ended the older grant
		k.failed(k.refresh(c))
		k.Clock.Advance(2 * time.Minute)
		k.failed(k.refresh(c))
		k.failing(c, connection.StateCONNECTED, "REVOKED")
		gate.Open()
		if _, err := wait(); err != nil {
			t.Fatal(err)
		}
		k.safe(c, 2)
		want := []string{"CONNECTION_CREATED", "CONNECTION_FAILING", "CONNECTION_RECOVERED"}
		if got := k.events(c.ID); !slices.Equal(got, want) {
			t.Errorf("got events %v, want %v", got, want)
		}
	})
}

// TestAnswerLost: the provider rotates and drops the answer. The immediate retry is refused, and nobody says that the user
// left.
func TestAnswerLost(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Count: 1, Commit: true, Drop: true})
		k.failed(k.refresh(c))
		k.failing(c, connection.StateCONNECTED, "REFRESH_INTERRUPTED")
		if g := k.ledger(); g.Rotations != 1 || g.RefusedRefreshes != 1 {
			t.Errorf("got %d rotations and %d refusals, want one of each", g.Rotations, g.RefusedRefreshes)
		}
		k.Clock.Advance(time.Minute)
		k.ended(k.refresh(c))
		k.failing(c, connection.StateDISCONNECTED, "REFRESH_INTERRUPTED")
		if n := k.Locks(t); n != 0 {
			t.Errorf("%d locks are left", n)
		}
		k.rotations(1)
	})
}

// TestAnswerLostBeforeAnythingHappened: the same cut, but the provider had not rotated. The retry saves the day.
func TestAnswerLostBeforeAnythingHappened(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Count: 1, Drop: true})
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		k.safe(c, 2)
		k.rotations(1)
	})
}

// TestUnknownIsRemembered: two answers are lost, the process ends, and much later the token turns out to be dead.
func TestUnknownIsRemembered(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Count: 1, Commit: true, Status: 502, Body: "<html>bad gateway</html>", ContentType: "text/html"})
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Count: 1, Status: 500})
		k.failed(k.refresh(c))
		row := k.failing(c, connection.StateCONNECTED, "PROVIDER_ERROR")
		if row.FailureClass != "PROVIDER_UNAVAILABLE" || row.FailureHTTPStatus != 500 {
			t.Errorf("got %s with status %d", row.FailureClass, row.FailureHTTPStatus)
		}
		k.Clock.Advance(time.Hour)
		k.failed(k.refreshOn(k.Process(t), c))
		k.failing(c, connection.StateCONNECTED, "REFRESH_INTERRUPTED")
		k.Clock.Advance(time.Minute)
		k.ended(k.refreshOn(k.Process(t), c))
		k.failing(c, connection.StateDISCONNECTED, "REFRESH_INTERRUPTED")
	})
}

// TestUnknownIsForgottenBySuccess: what was not known of one generation says nothing of the next.
func TestUnknownIsForgottenBySuccess(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Count: 2, Drop: true})
		k.failed(k.refresh(c))
		k.failing(c, connection.StateCONNECTED, "NETWORK")
		if n := k.Locks(t); n != 1 {
			t.Errorf("%d locks, want the one that remembers", n)
		}
		k.Clock.Advance(time.Hour)
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		row := k.safe(c, 2)
		if _, err := k.Zoom.EndGrants(user, "", ""); err != nil {
			t.Fatal(err)
		}
		k.failed(k.refresh(row))
		k.failing(c, connection.StateCONNECTED, "REVOKED")
		want := []string{"CONNECTION_CREATED", "CONNECTION_FAILING", "CONNECTION_RECOVERED", "CONNECTION_FAILING"}
		if got := k.events(c.ID); !slices.Equal(got, want) {
			t.Errorf("got events %v, want %v", got, want)
		}
	})
}

// TestProviderDown goes through answers that spend nothing, or may have: the connection stays, with a failure, and the
// next refresh works.
func TestProviderDown(t *testing.T) {
	page := "<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"
	for name, test := range map[string]struct {
		fault  zoomsim.Fault
		reason string
		wait   time.Duration
	}{
		"HTML 502":    {zoomsim.Fault{Status: 502, Body: page, ContentType: "text/html"}, "PROVIDER_ERROR", time.Second},
		"JSON 500":    {zoomsim.Fault{Status: 500, Body: `{"reason":"Invalid Token!","error":"invalid_grant"}`}, "PROVIDER_ERROR", time.Second},
		"429":         {zoomsim.Fault{Status: 429, RetryAfter: "1200", Body: "{}"}, "RATE_LIMITED", 20 * time.Minute},
		"503 after":   {zoomsim.Fault{Status: 503, RetryAfter: "90", Body: "{}"}, "PROVIDER_ERROR", 90 * time.Second},
		"HTML 403":    {zoomsim.Fault{Status: 403, Body: page, ContentType: "text/html"}, "PROVIDER_ERROR", time.Second},
		"HTML 200":    {zoomsim.Fault{Status: 200, Body: page, ContentType: "text/html"}, "PROVIDER_ERROR", time.Second},
		"no token":    {zoomsim.Fault{Status: 200, Body: `{"token_type":"bearer"}`}, "PROVIDER_ERROR", time.Second},
		"redirect":    {zoomsim.Fault{Status: 302, Body: page, ContentType: "text/html"}, "PROVIDER_ERROR", time.Second},
		"bad request": {zoomsim.Fault{Status: 400, Body: `{"error":"invalid_request"}`}, "PROVIDER_ERROR", time.Second},
		"dropped":     {zoomsim.Fault{Drop: true}, "NETWORK", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			k := &kit{Service: servicetest.New(t, servicetest.SQLite(t), servicetest.Options{}), t: t}
			k.one = k.Tenant(t, "one")
			c := k.connect()
			test.fault.Endpoint = zoomsim.EndpointToken
			k.fault(test.fault)
			v := k.failed(k.refresh(c))
			if wait := v.NextAttemptAt.Sub(k.Clock.Now()); wait < test.wait || wait > max(test.wait, 15*time.Minute) {
				t.Errorf("the next attempt is in %v, want at least %v", wait, test.wait)
			}
			row := k.failing(c, connection.StateCONNECTED, test.reason)
			if row.FailureClass != "PROVIDER_UNAVAILABLE" || row.FailureHTTPStatus != test.fault.Status {
				t.Errorf("got %s with status %d", row.FailureClass, row.FailureHTTPStatus)
			}
			k.Zoom.ClearFaults()
			k.Clock.Advance(time.Hour)
			out, err := k.refresh(c)
			k.refreshed(out, err, 2)
			k.safe(c, 2)
		})
	}
}

// TestProviderTooSlow: both calls run into the provider's cap, and the emulator processes them later all the same.
func TestProviderTooSlow(t *testing.T) {
	budgets := grant.Budgets{Provider: 400 * time.Millisecond, Commit: 100 * time.Millisecond}
	eachWith(t, servicetest.Options{Budgets: &budgets}, func(t *testing.T, k *kit) {
		c := k.Connect(t, k.one, user)
		hold := k.hold(zoomsim.BeforeProcessing)
		wait := async(func() (grant.Refreshed, error) { return k.refresh(c) })
		<-hold.Arrived()
		<-hold.Arrived()
		k.failed(wait())
		k.failing(c, connection.StateCONNECTED, "NETWORK")
		hold.Release()
		k.Clock.Advance(time.Hour)
		k.failed(k.refresh(c)) // dead by now, and nobody blames the user
		k.failing(c, connection.StateCONNECTED, "REFRESH_INTERRUPTED")
	})
}

// TestUnsent: no connection to the provider comes about, so nothing is unknown afterwards.
func TestUnsent(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		unsent := &oauth.Error{Outcome: oauth.Unsent, Reason: oauth.ReasonNetwork, Message: "The provider cannot be reached."}
		k.OAuth.Before("Refresh", servicetest.Fail(unsent))
		k.failed(k.refresh(c))
		if n := k.Locks(t); n != 0 {
			t.Errorf("%d locks are left", n)
		}
		if got := k.OAuth.Calls("Refresh"); got != 1 {
			t.Errorf("sent %d times: only an unknown outcome is tried again at once", got)
		}
		k.OAuth.Before("Refresh", nil)
		k.Clock.Advance(time.Hour)
		if _, err := k.Zoom.EndGrants(user, "", ""); err != nil {
			t.Fatal(err)
		}
		k.failed(k.refresh(c))
		k.failing(c, connection.StateCONNECTED, "REVOKED")
	})
}

// TestUnclassifiedErrorIsUnknown: the careful reading of what nobody understands.
func TestUnclassifiedErrorIsUnknown(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.OAuth.Before("Refresh", servicetest.Fail(http.ErrAbortHandler))
		k.failed(k.refresh(c))
		if got := k.OAuth.Calls("Refresh"); got != 2 {
			t.Errorf("sent %d times, want 2", got)
		}
		if n := k.Locks(t); n != 1 {
			t.Errorf("%d locks, want the one that remembers", n)
		}
	})
}

// TestAppMisconfigured: the app is flagged once and no user is blamed.
func TestAppMisconfigured(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c, other := k.connect(), k.Connect(t, k.one, "bob")
		wrong, right := secret.New("wrong"), secret.New(servicetest.ClientSecret)
		if _, err := k.Apps.Update(k.one.Ctx, app.UpdateInput{ID: k.one.App.ID, ClientSecret: &wrong}); err != nil {
			t.Fatal(err)
		}
		k.failed(k.refresh(c))
		k.Clock.Advance(time.Second)
		k.failed(k.refresh(other))
		row := k.failing(c, connection.StateCONNECTED, "CLIENT_REJECTED")
		if row.FailureClass != "APP_MISCONFIGURED" {
			t.Errorf("got %s", row.FailureClass)
		}
		flagged, err := k.DB.Ent.OAuthApp.Get(k.one.Ctx, k.one.App.ID)
		if err != nil || flagged.State != oauthapp.StateMISCONFIGURED || flagged.FailureReason != "CLIENT_REJECTED" ||
			flagged.FailureSince == nil || !flagged.FailureSince.Equal(k.Clock.Now().Add(-time.Second)) {
			t.Errorf("got %+v, %v", flagged, err)
		}
		if _, err := k.Apps.Update(k.one.Ctx, app.UpdateInput{ID: k.one.App.ID, ClientSecret: &right}); err != nil {
			t.Fatal(err)
		}
		k.Clock.Advance(10 * time.Minute)
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		k.safe(c, 2)
	})
}

// TestOtherTenantsAppIsNotFlagged: one tenant's wrong secret is not another tenant's failure.
func TestOtherTenantsAppIsNotFlagged(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		other := k.Tenant(t, "other")
		wrong := secret.New("wrong")
		if _, err := k.Apps.Update(k.one.Ctx, app.UpdateInput{ID: k.one.App.ID, ClientSecret: &wrong}); err != nil {
			t.Fatal(err)
		}
		k.failed(k.refresh(c))
		untouched, err := k.DB.Ent.OAuthApp.Get(other.Ctx, other.App.ID)
		if err != nil || untouched.State != oauthapp.StateACTIVE {
			t.Errorf("got %+v, %v", untouched, err)
		}
	})
}

// TestReserveTookTooLong: where the lock may end before the provider's cap and the commit's budget, nothing is spent.
func TestReserveTookTooLong(t *testing.T) {
	budgets := grant.Budgets{Provider: time.Minute, Commit: time.Second, Lock: 30 * time.Second}
	eachWith(t, servicetest.Options{Budgets: &budgets}, func(t *testing.T, k *kit) {
		c := k.Connect(t, k.one, user)
		_, err := k.refresh(c)
		wantKind(t, err, "VAULT_UNAVAILABLE")
		k.rotations(0)
		k.safe(c, 1)
	})
}

// TestProviderIsGivenUpAtItsCapOnly: the caller's deadline is not the provider's.
func TestProviderIsGivenUpAtItsCapOnly(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		var deadline time.Time
		k.OAuth.Before("Refresh", func(ctx context.Context) error {
			deadline, _ = ctx.Deadline()
			return nil
		})
		ctx, cancel := context.WithTimeout(k.one.Ctx, time.Hour)
		defer cancel()
		out, err := k.Connections.Keeper().Refresh(ctx, c.ID, grant.Wanted{IfGeneration: 1})
		k.refreshed(out, err, 2)
		if left := time.Until(deadline); left <= 0 || left > 10*time.Second {
			t.Errorf("the call had %v, want the provider's budget", left)
		}
	})
}
