package grant_test

import (
	"context"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

func TestRetryAtOnce(t *testing.T) {
	for _, test := range []struct {
		reuse   provider.ReuseBehaviour
		outcome oauth.Outcome
		wait    time.Duration
		want    bool
	}{
		{provider.ReuseDead, oauth.Unknown, 0, true},
		{"", oauth.Unknown, 0, true},
		{provider.ReuseDead, oauth.Unknown, time.Second, false},
		{provider.ReuseWindow, oauth.Unknown, 0, true},
		{provider.ReuseWindow, oauth.Unknown, time.Hour, true},
		{provider.ReuseRevokesFamily, oauth.Unknown, 0, false},
		{provider.ReuseWindow, oauth.Unsent, 0, false},
		{provider.ReuseDead, oauth.GrantDead, 0, false},
		{provider.ReuseDead, oauth.RateLimited, 0, false},
	} {
		if got := grant.RetryAtOnce(test.reuse, &oauth.Error{Outcome: test.outcome, RetryAfter: test.wait}); got != test.want {
			t.Errorf("%+v: got %v", test, got)
		}
	}
}

// reusing changes what Zoom's entry says of reuse.
func reusing(reuse provider.ReuseBehaviour) servicetest.Options {
	return servicetest.Options{Change: func(p *provider.Provider) { p.Reuse = reuse }}
}

// TestNoAnswerWhereReuseEndsTheFamily: the token is not sent again before the first request must be over.
func TestNoAnswerWhereReuseEndsTheFamily(t *testing.T) {
	for name, committed := range map[string]bool{"the request never arrived": false, "its answer was lost": true} {
		t.Run(name, func(t *testing.T) {
			eachWith(t, reusing(provider.ReuseRevokesFamily), func(t *testing.T, k *kit) {
				c := k.connect()
				k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Count: 1, Commit: committed, Drop: true})
				v := k.failed(k.refresh(c))
				if got := v.NextAttemptAt.Sub(k.Clock.Now()); k.OAuth.Calls("Refresh") != 1 || got < time.Minute {
					t.Errorf("sent %d times, the next attempt is in %v", k.OAuth.Calls("Refresh"), got)
				}
				k.Clock.Advance(time.Minute)
				if !committed {
					out, err := k.refresh(c)
					k.refreshed(out, err, 2)
					k.safe(c, 2)
					return
				}
				k.failed(k.refresh(c))
				k.Clock.Advance(time.Minute)
				k.ended(k.refresh(c))
				k.failing(c, connection.StateDISCONNECTED, grant.ReasonInterrupted)
			})
		})
	}
}

// TestNoAnswerAndARetryAfter: a provider that asks for time gets it, unless the answer can be fetched for a while only.
func TestNoAnswerAndARetryAfter(t *testing.T) {
	for reuse, calls := range map[provider.ReuseBehaviour]int{provider.ReuseDead: 1, provider.ReuseWindow: 2} {
		t.Run(string(reuse), func(t *testing.T) {
			eachWith(t, reusing(reuse), func(t *testing.T, k *kit) {
				c := k.connect()
				k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Status: 503, RetryAfter: "120", Body: "{}"})
				v := k.failed(k.refresh(c))
				if got := v.NextAttemptAt.Sub(k.Clock.Now()); k.OAuth.Calls("Refresh") != calls || got < 2*time.Minute {
					t.Errorf("sent %d times, the next attempt is in %v", k.OAuth.Calls("Refresh"), got)
				}
			})
		})
	}
}

// TestMarkTookTooLong: the database is slow just when the spend is noted. Nothing is sent on what is left of the lock.
func TestMarkTookTooLong(t *testing.T) {
	budgets := grant.Budgets{Provider: 1500 * time.Millisecond, Commit: 200 * time.Millisecond, Lock: 2 * time.Second}
	eachWith(t, servicetest.Options{Budgets: &budgets}, func(t *testing.T, k *kit) {
		c := k.connect()
		k.Vault.After("NewDataKey", servicetest.Times(1, func(ctx context.Context) error {
			tx, err := k.DB.SQL().BeginTx(context.Background(), nil)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "UPDATE grant_locks SET until_ms = until_ms"); err != nil {
				return err
			}
			time.AfterFunc(600*time.Millisecond, func() { _ = tx.Rollback() })
			return nil
		}))
		_, err := k.refresh(c)
		wantKind(t, err, "VAULT_UNAVAILABLE")
		if got := k.OAuth.Calls("Refresh"); got != 0 {
			t.Errorf("sent %d times", got)
		}
		k.safe(c, 1)
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
	})
}
