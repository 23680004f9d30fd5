package isolation_test

import (
	"bytes"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/tokenkeep/tokenkeep/graph"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/server"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenancy"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/embedded"
	"github.com/tokenkeep/tokenkeep/internal/zoom"
)

// world is the service behind HTTP, with what watches it.
type world struct {
	*servicetest.Service
	// address is where the API is.
	address  string
	client   *http.Client
	callers  *tenancy.Service
	operator string
	// server is the Vault that the service rests in; nil where the vault is embedded.
	server *servicetest.VaultServer
	// rootKey and vaultPath are the embedded vault's.
	rootKey   []byte
	vaultPath string
	vault     *watchedVault
	wire      *wire
	breaker   *breaker
	logs      *logs
	// hoard are the secrets that occurred.
	hoard hoard
	// answers are all bodies that came back, in order.
	answers []exchange
}

// newWorld builds the service on a database.
func newWorld(t *testing.T, url string) *world {
	t.Helper()
	return build(t, url, nil, func(*servicetest.Service) {})
}

// newWorldOn is newWorld on a Vault server.
func newWorldOn(t *testing.T, url string, server *servicetest.VaultServer) *world {
	t.Helper()
	return build(t, url, server, func(*servicetest.Service) {})
}

// newDebugWorld is newWorld where ent prints every statement to the standard logger; see watchStatements.
func newDebugWorld(t *testing.T, url string) *world {
	t.Helper()
	return build(t, url, nil, func(s *servicetest.Service) { s.DB.Ent = s.DB.Ent.Debug() })
}

// build builds the service, with a change to what it is made of.
func build(t *testing.T, url string, server *servicetest.VaultServer, change func(*servicetest.Service)) *world {
	t.Helper()
	w := &world{logs: &logs{}, server: server, rootKey: make([]byte, 32), vaultPath: filepath.Join(t.TempDir(), "vault.db")}
	_, _ = rand.Read(w.rootKey)
	w.open(t) // ahead of the kit, which at the end waits for those who use it
	log := slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.Service = servicetest.New(t, url, servicetest.Options{Logger: log})
	change(w.Service)
	w.Service.Vault.Vault = w.vault
	w.OAuth.OAuth = oauth.New(oauth.Options{Transport: w.wire, Now: w.Clock.Now})
	w.ZoomAPI.Zoom = zoom.New(zoom.Options{Transport: w.wire, Now: w.Clock.Now})
	w.callers = tenancy.New(tenancy.Options{DB: w.DB, Vault: w.Service.Vault, Operator: w.newOperator(t), Now: w.Clock.Now})
	t.Cleanup(w.callers.Close)
	w.serve(t, log)
	return w
}

// open makes the vault and the way to the provider, with what watches them.
func (w *world) open(t *testing.T) {
	t.Helper()
	w.vault = &watchedVault{Vault: w.newVault(t)}
	w.wire = &wire{next: http.DefaultTransport.(*http.Transport).Clone()}
	t.Cleanup(w.wire.next.CloseIdleConnections)
}

// newVault opens the vault, which outlives whoever uses it.
func (w *world) newVault(t *testing.T) vault.Vault {
	t.Helper()
	if w.server != nil {
		return w.server.Open(t)
	}
	v, err := embedded.Open(t.Context(), embedded.Options{Path: w.vaultPath, RootKey: secret.NewBytes(bytes.Clone(w.rootKey))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func (w *world) newOperator(t *testing.T) tenancy.OperatorKey {
	t.Helper()
	text, err := tenancy.CreateOperatorKey(filepath.Join(t.TempDir(), "operator.key"))
	if err != nil {
		t.Fatal(err)
	}
	w.operator = text.Reveal()
	w.hoard.add(t, "operator key", w.operator)
	w.hoard.add(t, "root key", string(w.rootKey))
	key, err := tenancy.NewOperatorKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// serve puts the service on a listener. It runs before the kit's clean-up, which waits for what requests began.
func (w *world) serve(t *testing.T, log *slog.Logger) {
	t.Helper()
	w.breaker = &breaker{Connections: w.Connections}
	handler := server.New(server.Options{
		GraphQL: graph.NewHandler(graph.Options{
			Connections: w.breaker, Apps: w.Apps, Tenancy: w.callers, Holds: w.Holds, Providers: w.Catalogue, Ent: w.DB.Ent, Log: log, Introspection: true,
		}),
		Callers: w.callers, Logger: log,
		Ready: []server.Check{{Name: "database", Run: w.DB.Ping}, {Name: "vault", Run: w.Service.Vault.Health}},
	})
	listener := httptest.NewServer(handler)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	w.client = &http.Client{Transport: transport}
	w.address = listener.URL + "/graphql"
	t.Cleanup(listener.Close)
	t.Cleanup(transport.CloseIdleConnections)
}
