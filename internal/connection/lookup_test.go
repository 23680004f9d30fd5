package connection_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

func TestCredentials(t *testing.T) {
	eachWith(t, keys(), func(t *testing.T, k *kit) {
		key, _, err := k.keep(k.App(t, k.one, "keys"), "", "s3cret", nil)
		if err != nil {
			t.Fatal(err)
		}
		well, foreign, over, lost := k.Connect(t, k.one, "well"), k.Connect(t, k.other, "foreign"), k.connect(), k.Connect(t, k.one, "lost")
		k.disconnect(over)
		if err := k.Vault.EraseRecord(t.Context(), vault.Ref{Tenant: k.one.ID, Connection: lost.ID}); err != nil {
			t.Fatal(err)
		}
		ids := []uuid.UUID{over.ID, well.ID, foreign.ID, key.ID, uuid.New(), well.ID, lost.ID}
		got, err := k.Connections.Credentials(k.one.Ctx, ids, nil)
		if err != nil || len(got) != len(ids) {
			t.Fatalf("got %d, %v", len(got), err)
		}
		k.served(got[1], 2)
		k.served(got[5], 2)
		if got[0].Reauthorization == nil || got[2].NotConnected == "" || got[3].Credential == nil || got[4].NotConnected == "" ||
			got[6].Reauthorization == nil || got[6].Reauthorization.Reason != "RECORD_MISSING" {
			t.Errorf("got %+v", got)
		}
		for i, r := range got {
			if r.Connection != nil && r.Connection.ID != ids[i] {
				t.Errorf("%d: got %s, want %s", i, r.Connection.ID, ids[i])
			}
		}
		_, err = k.Connections.Credentials(k.one.Ctx, make([]uuid.UUID, 101), nil)
		fails(t, err, errs.BadUserInput, "connections")
		if none, err := k.Connections.Credentials(k.one.Ctx, nil, nil); err != nil || len(none) != 0 {
			t.Errorf("got %v, %v", none, err)
		}
	})
}

func TestLookup(t *testing.T) {
	eachWith(t, keys(), func(t *testing.T, k *kit) {
		connect := func(user, subject, kind string) *ent.Connection {
			c, _, err := k.create(k.Consent(t, user), func(in *connection.CreateInput) { in.Subject, in.Kind = &subject, &kind })
			if err != nil {
				t.Fatal(err)
			}
			k.Clock.Advance(time.Minute)
			return c
		}
		ada, bob, install := connect("ada", "s1", "USER"), connect("bob", "s2", "USER"), connect("cyd", "ws", "INSTALLATION")
		connect("dan", "s2", "USER") // bob's subject, another external user
		a := k.App(t, k.one, "keys")
		for range 2 {
			if _, _, err := k.keep(a, "", "s3cret", func(in *connection.CreateInput) { in.Subject = ptr("s3") }); err != nil {
				t.Fatal(err)
			}
		}
		for name, test := range map[string]struct {
			of    connection.Lookup
			want  *ent.Connection
			kind  errs.Kind
			field string
		}{
			"subject":              {connection.Lookup{Provider: "zoom", Kind: "USER", Subject: ptr("s1")}, ada, "", ""},
			"external user":        {connection.Lookup{Provider: "zoom", Kind: "USER", ExternalUserID: bob.ExternalUserID}, bob, "", ""},
			"both":                 {connection.Lookup{Provider: "zoom", Kind: "USER", Subject: ptr("s2"), ExternalUserID: bob.ExternalUserID}, bob, "", ""},
			"both, not of one":     {connection.Lookup{Provider: "zoom", Kind: "USER", Subject: ptr("s1"), ExternalUserID: bob.ExternalUserID}, nil, "", ""},
			"app":                  {connection.Lookup{Provider: "zoom", App: &k.one.App.ID, Kind: "USER", Subject: ptr("s1")}, ada, "", ""},
			"other app":            {connection.Lookup{Provider: "zoom", App: &a.ID, Kind: "USER", Subject: ptr("s1")}, nil, "", ""},
			"installation":         {connection.Lookup{Provider: "zoom", Kind: "INSTALLATION"}, install, "", ""},
			"other kind":           {connection.Lookup{Provider: "zoom", Kind: "INSTALLATION", Subject: ptr("s1")}, nil, "", ""},
			"unknown provider":     {connection.Lookup{Provider: "zooom", Kind: "USER", Subject: ptr("s1")}, nil, "", ""},
			"two users":            {connection.Lookup{Provider: "zoom", Kind: "USER", Subject: ptr("s2")}, nil, errs.Conflict, "of.lookup"},
			"two without identity": {connection.Lookup{Provider: "keys", Kind: "USER", Subject: ptr("s3")}, nil, errs.Conflict, "of.lookup"},
			"nobody named":         {connection.Lookup{Provider: "zoom", Kind: "USER"}, nil, errs.BadUserInput, "of.lookup.subject"},
			"no provider":          {connection.Lookup{Provider: " ", Kind: "USER", Subject: ptr("s1")}, nil, errs.BadUserInput, "of.lookup.provider"},
		} {
			r, err := k.Connections.Credential(k.one.Ctx, connection.Selector{Lookup: &test.of}, nil)
			switch {
			case test.kind != "":
				fails(t, err, test.kind, test.field)
			case err != nil:
				t.Errorf("%s: %v", name, err)
			case test.want == nil && r.NotConnected == "", test.want != nil && (r.Credential == nil || r.Connection.ID != test.want.ID):
				t.Errorf("%s: got %+v", name, r)
			}
			if r, err := k.Connections.Credential(k.other.Ctx, connection.Selector{Lookup: &test.of}, nil); err == nil && r.NotConnected == "" {
				t.Errorf("%s: another tenant got %+v", name, r)
			}
		}
	})
}

// TestLookupOfOneUserInTwoApps takes the connection that works, the newest consent first.
func TestLookupOfOneUserInTwoApps(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		second := zoomsim.Client{ID: "second-client", Secret: servicetest.ClientSecret, RedirectURIs: []string{servicetest.RedirectURI}, Scopes: servicetest.Scopes}
		if err := k.Zoom.PutClient(second); err != nil {
			t.Fatal(err)
		}
		a, err := k.Apps.Create(k.one.Ctx, app.CreateInput{Provider: "zoom", ClientID: second.ID, ClientSecret: secret.New(second.Secret),
			RedirectURIs: []string{servicetest.RedirectURI}, Scopes: servicetest.Scopes})
		if err != nil {
			t.Fatal(err)
		}
		first := k.connect()
		newer, created, err := k.create(k.ConsentTo(t, second.ID, user), func(in *connection.CreateInput) { in.App = &a.ID })
		if err != nil || !created {
			t.Fatalf("created %v, %v", created, err)
		}
		of := connection.Selector{Lookup: &connection.Lookup{Provider: "zoom", Kind: "USER", ExternalUserID: first.ExternalUserID}}
		if r, err := k.Connections.Credential(k.one.Ctx, of, nil); err != nil || r.Connection.ID != newer.ID {
			t.Errorf("got %+v, %v", r, err)
		}
		if _, err := k.Zoom.EndGrants(user, second.ID, ""); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			k.Clock.Advance(2 * time.Hour)
			k.read(newer.ID)
		}
		if r, err := k.Connections.Credential(k.one.Ctx, of, nil); err != nil || r.Credential == nil || r.Connection.ID != first.ID {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}
