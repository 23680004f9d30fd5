package realvault_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/graph"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/server"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// world is one process behind HTTP, on a Vault server.
type world struct {
	*servicetest.Service
	t       *testing.T
	one     *servicetest.Tenant
	address string
	client  *http.Client
}

func newWorld(t *testing.T, url string, vault *servicetest.VaultServer) *world {
	t.Helper()
	w := &world{Service: servicetest.New(t, url, vault.Rest()), t: t}
	w.one = w.Tenant(t, "one")
	w.serve()
	return w
}

func (w *world) serve() {
	w.t.Helper()
	log := slog.New(slog.DiscardHandler)
	listener := httptest.NewServer(server.New(server.Options{
		GraphQL: graph.NewHandler(graph.Options{
			Connections: w.Connections, Apps: w.Apps, Tenancy: w.Tenancy, Providers: w.Catalogue, Ent: w.DB.Ent, Log: log,
		}),
		Callers: w.Tenancy, Logger: log,
	}))
	transport := http.DefaultTransport.(*http.Transport).Clone()
	w.client, w.address = &http.Client{Transport: transport}, listener.URL+"/graphql"
	w.t.Cleanup(listener.Close)
	w.t.Cleanup(transport.CloseIdleConnections)
}

// answer is what the API says.
type answer struct {
	Data   map[string]json.RawMessage
	Errors []struct {
		Message    string
		Extensions struct {
			Code       string
			RetryAfter int
		}
	}
	body string
}

// post runs a document with a key.
func (w *world) post(key secret.Text, document string, variables map[string]any) answer {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.address, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+key.Reveal())
	response, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var text bytes.Buffer
	if _, err := text.ReadFrom(response.Body); err != nil {
		w.t.Fatal(err)
	}
	a := answer{body: text.String()}
	if err := json.Unmarshal(text.Bytes(), &a); err != nil {
		w.t.Fatalf("%v in %s", err, &text)
	}
	return a
}

// unavailable fails unless the answer is the error VAULT_UNAVAILABLE, which says when to come back.
func (w *world) unavailable(what string, a answer) {
	w.t.Helper()
	if len(a.Errors) != 1 || a.Errors[0].Extensions.Code != "VAULT_UNAVAILABLE" || a.Errors[0].Extensions.RetryAfter <= 0 {
		w.t.Errorf("%s: got %s, want VAULT_UNAVAILABLE with retryAfter", what, a.body)
	}
}

// result is a member of the union of credentials.
type result struct {
	Type        string `json:"__typename"`
	AccessToken string
	Version     int
	Code        string
	RetryAfter  int
}

const fields = `__typename ... on Credential { accessToken version } ... on CredentialUnavailable { code retryAfter }`

// credential reads one.
func (w *world) credential(c *ent.Connection) result {
	w.t.Helper()
	a := w.post(w.one.Key, `query($of: CredentialSelector!) { credential(of: $of) { `+fields+` } }`,
		map[string]any{"of": map[string]any{"connection": id.Connection.Format(c.ID)}})
	var r result
	if err := json.Unmarshal(a.Data["credential"], &r); err != nil {
		w.t.Fatalf("%v in %s", err, a.body)
	}
	return r
}

// served fails unless the result is the credential of a version; it returns the token.
func (w *world) served(what string, r result, version int) string {
	w.t.Helper()
	if r.Type != "Credential" || r.Version != version || r.AccessToken == "" {
		w.t.Errorf("%s: got %s %d %s, want the credential of version %d", what, r.Type, r.Version, r.Code, version)
	}
	return r.AccessToken
}

// refused fails unless the result says that the vault is away, and when to come back.
func (w *world) refused(what string, r result) {
	w.t.Helper()
	if r.Type != "CredentialUnavailable" || r.Code != "VAULT_UNAVAILABLE" || r.RetryAfter <= 0 {
		w.t.Errorf("%s: got %s %s with retryAfter %d, want VAULT_UNAVAILABLE", what, r.Type, r.Code, r.RetryAfter)
	}
}

// refresh is the mutation.
func (w *world) refresh(c *ent.Connection) answer {
	w.t.Helper()
	return w.post(w.one.Key, `mutation($id: ID!) { refreshConnection(id: $id) { connection { id } } }`, map[string]any{"id": id.Connection.Format(c.ID)})
}

// eventually waits until ok.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: it does not happen", what)
		}
	}
}

// untouched fails unless the connection is as healthy as it was.
func (w *world) untouched(c *ent.Connection, generation int64) {
	w.t.Helper()
	row := w.Row(w.t, c.ID)
	if row.State != connection.StateCONNECTED || row.FailureClass != "" || row.FailureAttempts != 0 || row.FailureNextAttemptAt != nil || row.Generation != generation {
		w.t.Errorf("got state %s, failure %q, generation %d, want a healthy connection of generation %d", row.State, row.FailureClass, row.Generation, generation)
	}
}

// judged fails unless the ledger's newest refresh token of the user is the stored one, every spend was the only one of its
// token, and there were as many as the generation says.
func (w *world) judged(user string, c *ent.Connection, generation int64) {
	w.t.Helper()
	row := w.Row(w.t, c.ID)
	opened, err := w.Connections.Keeper().Open(w.one.Ctx, row)
	if err != nil {
		w.t.Fatalf("opening what is stored of %s: %v", user, err)
	}
	sum := sha256.Sum256([]byte(opened.Set.RefreshToken.Reveal()))
	grants := w.Ledger(user)
	if len(grants) != 1 {
		w.t.Fatalf("%s has %d grants, want one", user, len(grants))
	}
	g := grants[0]
	if g.RefreshTokenSHA256 != hex.EncodeToString(sum[:]) || g.RefusedRefreshes != 0 || int64(g.Rotations) != generation-1 || g.Status != "live" {
		w.t.Errorf("%s: got %d rotations, %d refused, status %s, the newest token stored %t; want %d rotations and nothing refused",
			user, g.Rotations, g.RefusedRefreshes, g.Status, g.RefreshTokenSHA256 == hex.EncodeToString(sum[:]), generation-1)
	}
}

// count counts rows past all rules.
func (w *world) count(table string) int {
	w.t.Helper()
	var n int
	if err := w.DB.SQL().QueryRowContext(w.t.Context(), `SELECT COUNT(*) FROM `+table).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// sweep does one round of the sweeper.
func (w *world) sweep() grant.Swept {
	w.t.Helper()
	swept, err := grant.NewSweeper(w.Connections.Keeper(), 0).RunOnce(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return swept
}
