package refresh_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent/oauthapp"
	enttenant "github.com/tokenkeep/tokenkeep/ent/tenant"
	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/refresh"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// secretAtProvider changes the client's secret at the emulator.
func (k *kit) secretAtProvider(s string) {
	k.t.Helper()
	if err := k.Zoom.PutClient(zoomsim.Client{ID: servicetest.ClientID, Secret: s, RedirectURIs: []string{servicetest.RedirectURI},
		Scopes: servicetest.Scopes, OptionalScopes: servicetest.OptionalScopes}); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kit) appState() (oauthapp.State, int) {
	k.t.Helper()
	a := k.DB.Ent.OAuthApp.GetX(k.one.System(k.t), k.one.App.ID)
	return a.State, a.FailureAttempts
}

// TestMisconfiguredApp is flagged once and gets single tries, longer and longer apart; nobody is disconnected, and all
// resume by themselves once the secret is mended, here or there.
func TestMisconfiguredApp(t *testing.T) {
	for name, mend := range map[string]func(k *kit){
		"here": func(k *kit) {
			s := secret.New("rotated")
			if _, err := k.Apps.Update(k.one.Ctx, app.UpdateInput{ID: k.one.App.ID, ClientSecret: &s}); err != nil {
				k.t.Fatal(err)
			}
			k.Clock.Advance(time.Second)
		},
		"there": func(k *kit) {
			k.secretAtProvider(servicetest.ClientSecret)
			k.Clock.Advance(time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, k *kit) {
				all := k.connect(6)
				one := k.on(k.Service, refresh.Options{Workers: 1})
				k.secretAtProvider("rotated")
				k.to(*all[0].NextRefreshAt)
				k.want(k.runOn(one), refresh.Done{Claimed: 1, Refused: 1})
				for _, wait := range []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute} {
					k.Clock.Advance(wait - time.Second)
					k.want(k.run(), refresh.Done{})
					k.Clock.Advance(time.Second)
					k.want(k.run(), refresh.Done{Claimed: 1, Refused: 1})
				}
				if state, attempts := k.appState(); state != oauthapp.StateMISCONFIGURED || attempts != 4 {
					t.Errorf("got %s after %d attempts", state, attempts)
				}
				mend(k)
				k.Clock.Advance(5 * time.Minute) // those that were tried were put off that long
				did := k.run()
				if did.Renewed != 6 || did.Refused != 0 {
					t.Errorf("got %+v, want all six renewed", did)
				}
				if state, attempts := k.appState(); state != oauthapp.StateACTIVE || attempts != 0 {
					t.Errorf("got %s after %d attempts", state, attempts)
				}
				for _, c := range all {
					if row := k.Row(t, c.ID); row.State != c.State || row.FailureClass != "" || row.Generation != 2 {
						t.Errorf("got %+v", row)
					}
				}
			})
		})
	}
}

// TestReadersOfAMisconfiguredApp are told, and do not each ask the provider.
func TestReadersOfAMisconfiguredApp(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		all := k.connect(5)
		k.secretAtProvider("rotated")
		k.Clock.Advance(2 * time.Hour)
		for _, c := range all {
			r, err := k.Connections.Credential(k.one.Ctx, connection.Selector{Connection: &c.ID}, nil)
			if err != nil || r.Unavailable == nil || r.Unavailable.Code != "APP_MISCONFIGURED" {
				t.Errorf("got %+v, %v", r, err)
			}
		}
		if n := k.OAuth.Calls("Refresh"); n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
		k.secretAtProvider(servicetest.ClientSecret)
		k.Clock.Advance(5 * time.Minute)
		k.read(all[4].ID, 2) // this reader finds out
		k.read(all[3].ID, 2)
	})
}

// TestRateLimited: each form of Retry-After pauses the app on all processes and for readers; other apps go on.
func TestRateLimited(t *testing.T) {
	for name, form := range map[string]func() string{
		"seconds":   func() string { return "120" },
		"HTTP date": func() string { return time.Now().Add(120 * time.Second).UTC().Format(http.TimeFormat) },
		"ISO time":  func() string { return time.Now().Add(120 * time.Second).UTC().Format("2006-01-02T15:04:05Z") },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, k *kit) {
				all := k.connect(4)
				k.fault(zoomsim.Fault{Status: 429, Body: "{}", RetryAfter: form(), Count: 1})
				k.to(*all[0].NextRefreshAt)
				one := k.on(k.Service, refresh.Options{Workers: 1})
				k.want(k.runOn(one), refresh.Done{Claimed: 1, Limited: 1})
				k.want(k.runOn(k.on(k.Process(t), refresh.Options{})), refresh.Done{}) // another process knows
				pause := k.DB.Ent.OAuthApp.GetX(k.one.System(t), k.one.App.ID).PausedUntil.Sub(k.Clock.Now())
				if pause < 117*time.Second || pause > 121*time.Second {
					t.Fatalf("paused for %v, want 120 s", pause)
				}
				k.Clock.Advance(pause - time.Second)
				k.want(k.run(), refresh.Done{})
				k.Clock.Advance(time.Second)
				k.want(k.run(), refresh.Done{Claimed: 4, Renewed: 4})
				k.totals(4)
			})
		})
	}
}

// TestPauseIsCapped: a provider that names tomorrow is asked again within the hour, by one.
func TestPauseIsCapped(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		all := k.connect(3)
		k.fault(zoomsim.Fault{Status: 429, Body: "{}", RetryAfter: "86400", Count: 1})
		k.to(*all[0].NextRefreshAt)
		k.want(k.runOn(k.on(k.Service, refresh.Options{Workers: 1})), refresh.Done{Claimed: 1, Limited: 1})
		k.Clock.Advance(time.Hour)
		if did := k.run(); did.Renewed != 3 {
			t.Errorf("got %+v, want all three, also the one that was told", did)
		}
	})
}

// TestSuspendedTenant: nothing of it is refreshed, and it is in nobody's way.
func TestSuspendedTenant(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		all := k.connect(3)
		other := k.Tenant(t, "other")
		free := k.Connect(t, other, "free")
		k.DB.Ent.Tenant.UpdateOneID(k.one.ID).SetState(enttenant.StateSUSPENDED).ExecX(k.one.System(t))
		k.to(*free.NextRefreshAt)
		k.want(k.run(), refresh.Done{Claimed: 1, Renewed: 1, PutOff: 3})
		if row := k.Row(t, all[0].ID); row.Generation != 1 || !row.UpdatedAt.Equal(all[0].UpdatedAt) || row.EventSequence != 1 {
			t.Errorf("got %+v", row)
		}
		k.DB.Ent.Tenant.UpdateOneID(k.one.ID).SetState(enttenant.StateACTIVE).ExecX(k.one.System(t))
		k.Clock.Advance(time.Hour)
		if did := k.run(); did.Renewed < 3 {
			t.Errorf("got %+v", did)
		}
	})
}

// TestProviderDown: connections stay connected with a failure, few requests are sent, and all recover, each with its
// event.
func TestProviderDown(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		all := k.connect(40)
		k.fault(zoomsim.Fault{Status: 503, Body: "{}"})
		k.to(*all[0].NextRefreshAt)
		s := k.on(k.Service, refresh.Options{Workers: 4, Jitter: func() float64 { return 0.5 }})
		asked := 0
		for range 60 {
			did := k.runOn(s)
			asked += did.Troubled
			if did.Renewed+did.Refused != 0 {
				t.Fatalf("got %+v", did)
			}
			k.Clock.Advance(time.Second)
		}
		if asked == 0 || asked > 25 {
			t.Errorf("the provider was asked for %d refreshes in a minute", asked)
		}
		k.Zoom.ClearFaults()
		for range 120 {
			k.Clock.Advance(5 * time.Second)
			k.runOn(s)
		}
		for _, c := range all {
			row := k.Row(t, c.ID)
			if row.Generation != 2 || row.FailureClass != "" || row.EventSequence != 1 && row.EventSequence != 3 {
				t.Errorf("got %+v", row)
			}
		}
		k.totals(40)
	})
}

// TestVaultAway: no connection is touched, nothing is claimed while it lasts, and all goes on by itself.
func TestVaultAway(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		all := k.connect(20)
		asked, away := 0, true
		s := k.on(k.Service, refresh.Options{Workers: 4, Ready: func(context.Context) error {
			if asked++; away {
				return vault.ErrUnavailable
			}
			return nil
		}})
		back := k.Vault.Away()
		k.to(*all[0].NextRefreshAt)
		did := k.runOn(s)
		if did.Faults == 0 || did.Faults > 4 || did.Renewed != 0 {
			t.Fatalf("got %+v, want a few faults", did)
		}
		for range 20 {
			k.Clock.Advance(time.Minute)
			k.want(k.runOn(s), refresh.Done{})
		}
		if asked == 0 || k.OAuth.Calls("Refresh") != 0 {
			t.Errorf("the vault was asked %d times whether it is well, the provider %d times", asked, k.OAuth.Calls("Refresh"))
		}
		for _, c := range all {
			if row := k.Row(t, c.ID); row.FailureClass != "" || !row.UpdatedAt.Equal(c.UpdatedAt) || row.EventSequence != 1 {
				t.Fatalf("got %+v", row)
			}
		}
		back()
		away = false
		k.Clock.Advance(2 * time.Minute)
		if did := k.runOn(s); did.Renewed != 20 || did.Faults != 0 {
			t.Errorf("got %+v", did)
		}
		k.totals(20)
	})
}

// TestDeadGrantsOfAMendedApp: grants that ended while their app was refused do not keep the others waiting: what a try
// with one of them tells is not about the app.
func TestDeadGrantsOfAMendedApp(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		all := k.connect(6)
		k.secretAtProvider("rotated")
		k.to(*all[0].NextRefreshAt)
		k.want(k.runOn(k.on(k.Service, refresh.Options{Workers: 1})), refresh.Done{Claimed: 1, Refused: 1})
		k.secretAtProvider(servicetest.ClientSecret)
		for i := range 4 {
			if _, err := k.Zoom.EndGrants(fmt.Sprintf("user-%d", i), servicetest.ClientID, "revoked"); err != nil {
				t.Fatal(err)
			}
		}
		k.Clock.Advance(5 * time.Minute)
		if did := k.run(); did.Renewed != 2 || did.Refused != 4 {
			t.Errorf("got %+v, want two renewed and four refused", did)
		}
		if state, _ := k.appState(); state != oauthapp.StateACTIVE {
			t.Errorf("the app is %s", state)
		}
	})
}

// TestReaderOfADeadGrantAsksForItsApp: the reader of a grant that ended does not use up the try that other readers need.
func TestReaderOfADeadGrantAsksForItsApp(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		all := k.connect(3)
		k.secretAtProvider("rotated")
		k.Clock.Advance(2 * time.Hour)
		ask := func(i int) connection.Result {
			r, err := k.Connections.Credential(k.one.Ctx, connection.Selector{Connection: &all[i].ID}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		if r := ask(0); r.Unavailable == nil || r.Unavailable.Code != "APP_MISCONFIGURED" {
			t.Fatalf("got %+v", r)
		}
		k.secretAtProvider(servicetest.ClientSecret)
		if _, err := k.Zoom.EndGrants("user-1", servicetest.ClientID, "revoked"); err != nil {
			t.Fatal(err)
		}
		k.Clock.Advance(5 * time.Minute)
		if r := ask(1); r.Credential != nil {
			t.Fatalf("got %+v", r)
		}
		k.read(all[2].ID, 2)
	})
}

// TestTroubleOfOneTenant: a tenant whose records cannot be opened, because its key is gone from a vault that is well, keeps
// nobody else's refreshes waiting.
func TestTroubleOfOneTenant(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		k.connect(40)
		other := k.Tenant(t, "other")
		k.Clock.Advance(time.Minute)
		free := k.Connect(t, other, "free")
		trouble := func(ctx context.Context) error {
			if tenant.FromContext(ctx).Tenant == k.one.ID {
				return vault.ErrNoKey
			}
			return nil
		}
		k.Vault.Before("UnwrapDataKeys", trouble)
		k.Vault.Before("NewDataKey", trouble)
		k.to(*free.NextRefreshAt)
		s := k.on(k.Service, refresh.Options{Workers: 4, Jitter: func() float64 { return 0.5 }})
		renewed := 0
		for range 20 { // the lead is at least five minutes
			renewed += k.runOn(s).Renewed
			k.Clock.Advance(time.Second)
		}
		if renewed != 1 {
			t.Errorf("%d renewed, %d asked for, the other tenant is at generation %d", renewed, k.OAuth.Calls("Refresh"), k.Row(t, free.ID).Generation)
		}
	})
}
