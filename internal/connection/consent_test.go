package connection_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	entconnection "github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/zoom"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// grants sets the scopes that the next consents give.
func (k *kit) grants(scopes ...string) {
	k.t.Helper()
	err := k.Zoom.PutClient(zoomsim.Client{ID: servicetest.ClientID, Secret: servicetest.ClientSecret, RedirectURIs: []string{servicetest.RedirectURI}, Scopes: scopes})
	if err != nil {
		k.t.Fatal(err)
	}
}

// TestUnacceptableConsent: what is wrong with a first consent is told, nothing is connected, and its grant is revoked.
func TestUnacceptableConsent(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(k *kit)
		edit  func(in *connection.CreateInput)
		kind  errs.Kind
		field string
		// revoked is false where it is not known whose grant it is.
		revoked bool
	}{
		{"inactive user", func(k *kit) { k.status(zoomsim.UserInactive) }, nil, errs.ProviderRejected, codeField, true},
		{"pending user", func(k *kit) { k.status(zoomsim.UserPending) }, nil, errs.ProviderRejected, codeField, true},
		{"missing scope", func(k *kit) { k.grants("user:read:user", "user:read:zak") }, nil, errs.ReauthorizationRequired, codeField, true},
		{"no scope to read the user", func(k *kit) { k.grants("user:read:zak", "meeting:read:list_meetings") }, nil, errs.ReauthorizationRequired, codeField, false},
		{"no local recording", func(k *kit) { k.grants(servicetest.Scopes...) }, func(in *connection.CreateInput) { in.LocalRecording = ptr(true) },
			errs.ReauthorizationRequired, "isLocalRecordingTokenSupported", true},
		{"no on-behalf", func(k *kit) { k.grants(servicetest.Scopes...) }, func(in *connection.CreateInput) { in.OnBehalf = ptr(true) },
			errs.ReauthorizationRequired, "isOnBehalfTokenSupported", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			each(t, func(t *testing.T, k *kit) {
				test.spoil(k)
				code := k.Consent(t, user)
				for range 2 { // the same call gives the same answer
					_, _, err := k.create(code, test.edit)
					fails(t, err, test.kind, test.field)
				}
				k.totals(1, 0)
				k.sweep()
				if n, err := k.DB.Ent.Connection.Query().Count(k.all()); err != nil || n != 0 {
					t.Errorf("%d connections, %v", n, err)
				}
				if g := k.Ledger(user)[0]; (g.Status == zoomsim.GrantEnded) != test.revoked {
					t.Errorf("the grant is %s", g.Status)
				}
			})
		})
	}
}

// status sets the user's state at the provider.
func (k *kit) status(s zoomsim.UserStatus) {
	k.t.Helper()
	if _, err := k.Zoom.PutUser(zoomsim.User{Email: user, Status: s}); err != nil {
		k.t.Fatal(err)
	}
}

func TestCapabilities(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c, _, err := k.create(k.Consent(t, user), func(in *connection.CreateInput) { in.LocalRecording, in.OnBehalf = ptr(true), ptr(true) })
		if err != nil || !c.LocalRecordingToken || !c.OnBehalfToken {
			t.Fatalf("got %+v, %v", c, err)
		}
		c, err = k.Connections.Update(k.one.Ctx, connection.UpdateInput{ID: c.ID, OnBehalf: ptr(false)})
		if err != nil || !c.LocalRecordingToken || c.OnBehalfToken {
			t.Errorf("got %+v, %v", c, err)
		}
		k.Clock.Advance(time.Minute)
		k.grants(servicetest.Scopes...)
		if c, _, err = k.create(k.Consent(t, user), func(in *connection.CreateInput) { in.LocalRecording = ptr(false) }); err != nil || c.LocalRecordingToken {
			t.Fatalf("got %+v, %v", c, err)
		}
		_, err = k.Connections.Update(k.one.Ctx, connection.UpdateInput{ID: c.ID, OnBehalf: ptr(true)})
		fails(t, err, errs.ReauthorizationRequired, "isOnBehalfTokenSupported")
	})
}

// TestRenewal: the same user of the same app renews the same connection.
func TestRenewal(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		first, _, err := k.create(k.Consent(t, user), func(in *connection.CreateInput) {
			in.Subject, in.Metadata, in.LocalRecording = ptr("user-7"), &map[string]string{"team": "red"}, ptr(true)
		})
		if err != nil {
			t.Fatal(err)
		}
		k.Clock.Advance(time.Hour)
		if _, err := k.Zoom.PutUser(zoomsim.User{Email: user, DisplayName: "Countess"}); err != nil {
			t.Fatal(err)
		}
		second, created, err := k.create(k.Consent(t, user), nil)
		if err != nil || created || second.ID != first.ID || !second.CreatedAt.Equal(first.CreatedAt) {
			t.Fatalf("got %+v, created %v, %v", second, created, err)
		}
		if *second.Subject != "user-7" || !second.LocalRecordingToken || second.Generation != 2 || *second.ExternalDisplayName != "Countess" ||
			!second.ConsentedAt.Equal(k.Clock.Now()) || !second.UpdatedAt.Equal(k.Clock.Now()) {
			t.Errorf("got %+v", second)
		}
		k.indexed(second, map[string]string{"team": "red"})
		k.Clock.Advance(time.Hour)
		third, created, err := k.create(k.Consent(t, user), func(in *connection.CreateInput) {
			in.Subject, in.Metadata, in.LocalRecording, in.Kind = ptr("user-8"), &map[string]string{"plan": "pro"}, ptr(false), ptr("INSTALLATION")
		})
		if err != nil || created || third.ID != first.ID || *third.Subject != "user-8" || third.LocalRecordingToken || third.Kind != entconnection.KindINSTALLATION {
			t.Errorf("got %+v, created %v, %v", third, created, err)
		}
		k.indexed(third, map[string]string{"plan": "pro"})
		k.Clock.Advance(time.Hour)
		fourth, _, err := k.create(k.Consent(t, user), func(in *connection.CreateInput) { in.Metadata = &map[string]string{} })
		if err != nil {
			t.Fatal(err)
		}
		k.indexed(fourth, map[string]string{})
		k.wantEvents(first.ID, "CREATED", "UPDATED", "UPDATED", "UPDATED")
		if got, want := k.trail(first.ID), []string{"connection.create", "connection.authorize", "connection.authorize", "connection.authorize"}; !slices.Equal(got, want) {
			t.Errorf("got trail %v, want %v", got, want)
		}
		k.served(k.read(first.ID), 4)
		k.sweep()
		if got := k.Zoom.Ledger().Totals.Revocations; got != 0 {
			t.Errorf("%d revocations: a renewal revokes nothing", got)
		}
	})
}

// TestRenewalRevives: a connection that is over, and one that is failing, are well again.
func TestRenewalRevives(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.leave()
		k.Clock.Advance(2 * time.Hour)
		k.unavailable(k.read(c.ID), "REFRESHING")
		if row := k.Row(t, c.ID); connection.FailureOf(row) == nil || row.State != entconnection.StateCONNECTED {
			t.Errorf("got %+v", row)
		}
		renewed, created, err := k.create(k.Consent(t, user), nil)
		if err != nil || created || renewed.State != entconnection.StateCONNECTED || connection.FailureOf(renewed) != nil {
			t.Fatalf("got %+v, created %v, %v", renewed, created, err)
		}
		k.disconnect(renewed)
		renewed, created, err = k.create(k.Consent(t, user), nil)
		if err != nil || created || renewed.ID != c.ID || renewed.State != entconnection.StateCONNECTED || connection.FailureOf(renewed) != nil {
			t.Fatalf("got %+v, created %v, %v", renewed, created, err)
		}
		k.served(k.read(c.ID), 3)
		k.wantEvents(c.ID, "CREATED", "FAILING", "RECOVERED", "FAILING", "DISCONNECTED", "CONNECTED")
	})
}

// leave ends the user's grants at the provider.
func (k *kit) leave() {
	k.t.Helper()
	if _, err := k.Zoom.EndGrants(user, "", ""); err != nil {
		k.t.Fatal(err)
	}
}

// disconnect lets the user leave and the service find out.
func (k *kit) disconnect(c *ent.Connection) {
	k.t.Helper()
	k.leave()
	for range 2 {
		k.Clock.Advance(2 * time.Hour)
		k.read(c.ID)
	}
	if row := k.Row(k.t, c.ID); row.State != entconnection.StateDISCONNECTED {
		k.t.Fatalf("got %s", row.State)
	}
}

// TestRenewalThatIsNotAcceptable renews first and reports then: the consent has ended the older grant, so that throwing
// the new one away would end the connection.
func TestRenewalThatIsNotAcceptable(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c, _, err := k.create(k.Consent(t, user), func(in *connection.CreateInput) { in.Metadata = &map[string]string{"team": "red"} })
		if err != nil {
			t.Fatal(err)
		}
		k.Clock.Advance(time.Minute)
		k.grants("user:read:user")
		code := k.Consent(t, user)
		for range 2 {
			_, _, err = k.create(code, func(in *connection.CreateInput) { in.Metadata = &map[string]string{"team": "blue"} })
			fails(t, err, errs.ReauthorizationRequired, codeField)
		}
		k.totals(2, 0)
		row := k.Row(t, c.ID)
		if row.State != entconnection.StateCONNECTED || !slices.Equal(row.Scopes, []string{"user:read:user"}) || len(connection.MissingScopes(row, k.one.App)) != 2 {
			t.Errorf("got %s with scopes %v, missing %v", row.State, row.Scopes, connection.MissingScopes(row, k.one.App))
		}
		k.indexed(row, map[string]string{"team": "red"})
		k.sweep()
		k.served(k.read(c.ID), 2)
		k.wantEvents(c.ID, "CREATED", "UPDATED")
	})
}

// TestSuperseded: one grant for a client id and user at the provider, so the older connection is told that it is over,
// each in its own tenant.
func TestSuperseded(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		older := k.connect()
		newer := k.Connect(t, k.other, user)
		row := k.Row(t, older.ID)
		if row.State != entconnection.StateDISCONNECTED || row.FailureReason != "SUPERSEDED" || row.NextRefreshAt != nil {
			t.Fatalf("got %s for %s", row.State, row.FailureReason)
		}
		k.wantEvents(older.ID, "CREATED", "DISCONNECTED")
		k.wantEvents(newer.ID, "CREATED")
		for connectionID, owner := range map[*ent.Connection]*servicetest.Tenant{older: k.one, newer: k.other} {
			for _, e := range k.eventRows(connectionID.ID) {
				if e.TenantID != owner.ID {
					t.Errorf("an event of %s is in another tenant", connectionID.ID)
				}
			}
		}
		told := k.eventRows(older.ID)[1]
		if told.Failure["reason"] != "SUPERSEDED" || told.PreviousState != "CONNECTED" || told.State != "DISCONNECTED" {
			t.Errorf("got %+v", told)
		}
		if r := k.read(older.ID); r.Reauthorization == nil || r.Reauthorization.Reason != "SUPERSEDED" {
			t.Errorf("got %+v", r)
		}
		k.served(k.readFor(k.other.Ctx, newer.ID, nil), 1)
		k.Clock.Advance(time.Minute)
		back := k.Connect(t, k.one, user) // and back again
		if back.ID != older.ID {
			t.Errorf("got another connection")
		}
		k.wantEvents(older.ID, "CREATED", "DISCONNECTED", "CONNECTED")
		k.wantEvents(newer.ID, "CREATED", "DISCONNECTED")
	})
}

// TestRejectedConsentSupersedes: it is not accepted here, and has ended the other connection all the same.
func TestRejectedConsentSupersedes(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		older := k.Connect(t, k.other, user)
		k.Clock.Advance(time.Minute)
		k.grants("user:read:user")
		_, _, err := k.create(k.Consent(t, user), nil)
		fails(t, err, errs.ReauthorizationRequired, codeField)
		if row := k.Row(t, older.ID); row.FailureReason != "SUPERSEDED" {
			t.Errorf("got %s for %q", row.State, row.FailureReason)
		}
		k.wantEvents(older.ID, "CREATED", "DISCONNECTED")
	})
}

// TestOtherUsersAreNotSuperseded: two apps with one client id cannot be; two clients of one user do not concern each other.
func TestOtherUsersAreNotSuperseded(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		one, two := k.Connect(t, k.one, "ada"), k.Connect(t, k.one, "bob")
		k.Clock.Advance(time.Minute)
		k.Connect(t, k.other, "cyd")
		for _, c := range []*ent.Connection{one, two} {
			if row := k.Row(t, c.ID); row.State != entconnection.StateCONNECTED || !maps.Equal(row.Metadata, c.Metadata) {
				t.Errorf("got %+v", row)
			}
		}
	})
}

// TestProviderDownAfterTheExchange: repeating the same call finishes without sending the code again.
func TestProviderDownAfterTheExchange(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		code := k.Consent(t, user)
		k.ZoomAPI.Before("Me", servicetest.Times(2, servicetest.Fail(&zoom.Error{Kind: zoom.KindUnavailable, Message: "down"})))
		for range 2 {
			_, _, err := k.create(code, nil)
			fails(t, err, errs.ProviderUnavailable, "")
		}
		c, created, err := k.create(code, nil)
		if err != nil || !created {
			t.Fatalf("created %v, %v", created, err)
		}
		k.served(k.read(c.ID), 1)
		k.totals(1, 0)
		if got := k.OAuth.Calls("Exchange"); got != 1 {
			t.Errorf("the code was sent %d times", got)
		}
	})
}
