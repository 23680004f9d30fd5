package isolation_test

import (
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// TestTheWallBehindTheFilter takes the row filter away: rows of one tenant are filed under another in the database, as a
// forgotten filter or somebody who writes into the database would have it. What is sealed does not open for the other,
// and nothing is spent or revoked at the provider.
func TestTheWallBehindTheFilter(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		for _, test := range []struct {
			name  string
			moved []string
			ahead func(t *testing.T, w *world, a *party)
		}{
			{"connections", []string{"connections"}, nil},
			{"connections in memory", []string{"connections"}, warm},
			{"connections and apps", []string{"connections", "oauth_apps"}, nil},
			{"all in memory", []string{"connections", "oauth_apps", "grant_attempts", "events"}, warm},
			{"connections in escrow", []string{"connections", "oauth_apps", "escrows"}, escrowed},
		} {
			t.Run(test.name, func(t *testing.T) {
				w := newWorld(t, freshLike(t, url))
				a, b := w.party(t, "amber"), w.party(t, "birch")
				if test.ahead != nil {
					test.ahead(t, w, a)
				}
				for _, table := range test.moved {
					w.exec(t, "UPDATE "+table+" SET tenant_id = $1 WHERE tenant_id = $2", b.id.String(), a.id.String())
				}
				w.storm(t, a, b)
			})
		}
	})
}

// warm has the tokens of a party's connections in memory.
func warm(t *testing.T, w *world, a *party) {
	t.Helper()
	got := w.post(t, a.all, askCredentials, args{"ids": []string{a.values["connection"], a.values["key connection"]}})
	if strings.Count(got.body, `"Credential"`) != 2 {
		t.Fatalf("warming: %s", got.body)
	}
}

// escrowed has the newest tokens of a party wait in the database for the vault to come back.
func escrowed(t *testing.T, w *world, a *party) {
	t.Helper()
	w.Service.Vault.Before("WriteRecord", servicetest.Fail(vault.ErrUnavailable))
	defer w.Service.Vault.Before("WriteRecord", nil)
	if got := w.post(t, a.all, askRefresh, args{"id": a.values["connection"]}); got.code() != "" {
		t.Fatalf("refreshing into escrow: %s", got.body)
	}
}

// freshLike is another database of the same kind.
func freshLike(t *testing.T, url string) string {
	t.Helper()
	if strings.HasPrefix(url, "sqlite") {
		return servicetest.SQLite(t)
	}
	return servicetest.Postgres(t)
}

// The documents ask for the token and not for the app, which may have stayed behind.
const (
	askCredential  = `query($of: CredentialSelector!, $ttl: Int) { credential(of: $of, minTTL: $ttl) { __typename ... on Credential { accessToken } } }`
	askCredentials = `query($ids: [ID!]!) { credentials(connections: $ids) { __typename ... on Credential { accessToken } } }`
	askRefresh     = `mutation($id: ID!) { refreshConnection(id: $id) { connection { id state } } }`
	askDelete      = `mutation($id: ID!) { deleteConnection(id: $id) { deletedId } }`
)

// storm tries everything that opens a seal, as the tenant that the rows are filed under.
func (w *world) storm(t *testing.T, a, b *party) {
	t.Helper()
	secrets := append(w.wire.tokens(), a.clientSecret)
	for _, mark := range a.marks {
		if strings.HasPrefix(mark, "stored-API-key") {
			secrets = append(secrets, mark)
		}
	}
	ledger, requests := w.Zoom.Ledger(), len(w.wire.requests())
	for _, kind := range []string{"connection", "key connection"} {
		one := a.values[kind]
		w.stormed(t, b, askCredential, args{"of": args{"connection": one}}, secrets)
		w.stormed(t, b, askCredential, args{"of": args{"connection": one}, "ttl": 10_000_000}, secrets)
		w.stormed(t, b, askCredentials, args{"ids": []string{one, one}}, secrets)
		w.stormed(t, b, askRefresh, args{"id": one}, secrets)
	}
	w.stormed(t, b, askCredential, args{"of": args{"lookup": args{"provider": "zoom", "kind": "USER", "subject": a.values["subject"]}}}, secrets)
	w.stormed(t, b, createConnection, args{"in": args{"app": a.values["app"], "grant": args{"authorizationCode": args{"code": a.code, "redirectUri": a.values["redirect"]}}}}, secrets)
	w.stormed(t, b, askDelete, args{"id": a.values["connection"]}, secrets)
	if err := w.Connections.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := w.Zoom.Ledger()
	if now.Totals.Revocations != ledger.Totals.Revocations || now.Totals.Rotations != ledger.Totals.Rotations {
		t.Errorf("the provider was called: %+v, before %+v", now.Totals, ledger.Totals)
	}
	if sent := w.wire.requests()[requests:]; len(sent) > 0 {
		t.Errorf("the provider got %v", sent)
	}
}

// stormed fails where an answer has a secret, or is a credential in whatever words.
func (w *world) stormed(t *testing.T, who *party, ask string, given args, secrets []string) {
	t.Helper()
	w.rows(t, "UPDATE connections SET state = 'CONNECTED', failure_class = NULL, failure_next_attempt_at = NULL") // each meets it alive
	got := w.post(t, who.all, ask, given)
	for _, secret := range secrets {
		if strings.Contains(got.body, secret) {
			t.Errorf("%s gave a secret away: %s", ask, got.body)
		}
	}
	if strings.Contains(got.body, `"Credential"`) {
		t.Errorf("%s: got %s", ask, got.body)
	}
}
