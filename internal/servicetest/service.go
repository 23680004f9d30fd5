package servicetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/hold"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenancy"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/embedded"
	"github.com/tokenkeep/tokenkeep/internal/zoom"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// The emulator's one client.
const (
	ClientID     = "sim-client"
	ClientSecret = "sim-client-secret"
	RedirectURI  = "https://app.example.com/callback"
)

// Scopes are what the client's consent grants; OptionalScopes among them can be unticked.
var (
	Scopes         = []string{"user:read:user", "user:read:zak", "meeting:read:list_meetings"}
	OptionalScopes = []string{"meeting:read:local_recording_token", "user:read:token"}
)

// Options change what New builds. The zero value works.
type Options struct {
	// Budgets replaces the short budgets that tests have.
	Budgets *grant.Budgets
	// ReaderWait is how long readers wait; zero means ten seconds.
	ReaderWait time.Duration
	// Providers join the catalogue beside Zoom.
	Providers []provider.Provider
	// Change alters Zoom's entry; nil leaves it.
	Change func(*provider.Provider)
	// Durable is told how long an answer was in memory only; nil tells nobody.
	Durable func(what string, after time.Duration)
	// OpenVault opens a vault for each process; nil means one embedded vault for all of them.
	OpenVault func(t testing.TB) vault.Vault
	// Jitter is connection.Options.Jitter; nil means none, so that what is due when can be told in advance.
	Jitter func() float64
	// Holds replaces the policy of holds.
	Holds hold.Policy
	// Logger gets what the service logs; nil discards.
	Logger *slog.Logger
}

// World is what outlives a process: the database, the vault's file, the provider and the clock.
type World struct {
	URL     string
	Clock   *Clock
	Zoom    *zoomsim.Server
	ZoomURL string
	HTTP    *http.Client

	vault     vault.Vault
	transport *http.Transport
	options   Options
}

// Service is one process of the service, with everything but its surface. Its fakes are its own, so that one process can
// fail while another does not.
type Service struct {
	*World
	DB          *database.DB
	Vault       *Vault
	OAuth       *OAuth
	ZoomAPI     *Zoom
	Catalogue   *provider.Catalogue
	Tenancy     *tenancy.Service
	Apps        *app.Service
	Holds       *hold.Service
	Connections *connection.Service
}

// New builds a world on the database and a first process in it.
func New(t testing.TB, url string, o Options) *Service {
	t.Helper()
	w := &World{URL: url, Clock: &Clock{}, options: o, transport: http.DefaultTransport.(*http.Transport).Clone()}
	w.HTTP = &http.Client{Transport: w.transport}
	t.Cleanup(w.transport.CloseIdleConnections)
	if o.OpenVault == nil {
		w.vault = openVault(t)
	}
	w.startZoom(t)
	return w.Process(t)
}

func openVault(t testing.TB) vault.Vault {
	t.Helper()
	v, err := embedded.Open(t.Context(), embedded.Options{
		Path: filepath.Join(t.TempDir(), "vault"), RootKey: secret.NewBytes(bytes.Repeat([]byte{7}, 32)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// processVault is the vault of a new process.
func (w *World) processVault(t testing.TB) vault.Vault {
	if w.options.OpenVault != nil {
		return w.options.OpenVault(t)
	}
	return w.vault
}

// startZoom serves the emulator on loopback.
func (w *World) startZoom(t testing.TB) {
	t.Helper()
	w.Zoom = zoomsim.New(zoomsim.Options{Now: w.Clock.Now, Clients: []zoomsim.Client{{
		ID: ClientID, Secret: ClientSecret, RedirectURIs: []string{RedirectURI}, Scopes: Scopes, OptionalScopes: OptionalScopes,
	}}})
	listener := httptest.NewServer(w.Zoom)
	t.Cleanup(listener.Close)
	t.Cleanup(w.Zoom.ClearFaults) // runs first: Close waits for requests that a fault holds
	w.ZoomURL = listener.URL
	w.Zoom.SetBaseURL(listener.URL)
}

// budgets are short where a test would have to wait for them, and long where only a slow machine would notice.
func (w *World) budgets() grant.Budgets {
	if w.options.Budgets != nil {
		return *w.options.Budgets
	}
	return grant.Budgets{Provider: 10 * time.Second, Commit: 100 * time.Millisecond, Claim: 10 * time.Second}
}

func (w *World) jitter() func() float64 {
	if w.options.Jitter != nil {
		return w.options.Jitter
	}
	return func() float64 { return 0 }
}

// catalogue has Zoom's entry moved to the emulator.
func (w *World) catalogue() *provider.Catalogue {
	entry := provider.Zoom().AtBase(w.ZoomURL, w.ZoomURL)
	if w.options.Change != nil {
		w.options.Change(&entry)
	}
	return provider.Builtin().With(append([]provider.Provider{entry}, w.options.Providers...)...)
}

// Process starts another process in the same world.
func (w *World) Process(t testing.TB) *Service {
	t.Helper()
	return w.ProcessAt(t, func(*database.DB) func() time.Time { return w.Clock.Now })
}

// ProcessAt is Process with a clock of its own, which may ask the process's database.
func (w *World) ProcessAt(t testing.TB, clock func(*database.DB) func() time.Time) *Service {
	t.Helper()
	s := &Service{World: w, DB: OpenDatabase(t, w.URL), Vault: &Vault{Vault: w.processVault(t)}}
	now := clock(s.DB)
	s.OAuth = &OAuth{OAuth: oauth.New(oauth.Options{Transport: w.transport, Now: now})}
	s.ZoomAPI = &Zoom{Zoom: zoom.New(zoom.Options{Transport: w.transport, Now: now})}
	s.Catalogue = w.catalogue()
	s.Tenancy = tenancy.New(tenancy.Options{DB: s.DB, Vault: s.Vault, Now: now})
	s.Apps = app.New(app.Options{DB: s.DB, Keys: s.Vault, Providers: s.Catalogue, Now: now, PublicURL: "https://tokens.example.com"})
	s.Holds = hold.New(hold.Options{DB: s.DB, Policy: w.options.Holds, Now: now, Logger: w.options.Logger})
	var err error
	s.Connections, err = connection.New(connection.Options{
		DB: s.DB, Vault: s.Vault, Apps: s.Apps, OAuth: s.OAuth, Zoom: s.ZoomAPI, Catalogue: s.Catalogue,
		Holds:   s.Holds,
		Budgets: w.budgets(), ReaderWait: w.options.ReaderWait, Durable: w.options.Durable, Now: now, Jitter: w.jitter(),
		Logger: w.options.Logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close(t) })
	return s
}

// close waits for what is under way, as a process that is told to end does.
func (s *Service) close(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Connections.Drain(ctx); err != nil {
		t.Errorf("draining: %v", err)
	}
	s.Tenancy.Close()
	s.Apps.Close()
}

// Crash ends this process for its database: what it does next fails. A hook that calls it and then panics is a kill at
// that point.
func (s *Service) Crash() {
	_ = s.DB.Close()
	panic("crash")
}

// CrashHook is Crash as a hook.
func (s *Service) CrashHook(context.Context) error {
	s.Crash()
	return nil
}

// Consent walks a user through the consent page, with everything ticked, and returns the code.
func (w *World) Consent(t testing.TB, user string) string {
	t.Helper()
	return w.consent(t, user, nil)
}

// ConsentTo is Consent to another client.
func (w *World) ConsentTo(t testing.TB, clientID, user string) string {
	t.Helper()
	return w.consent(t, user, url.Values{"client_id": {clientID}})
}

// ConsentPKCE is Consent of an authorization that began with the S256 challenge of verifier.
func (w *World) ConsentPKCE(t testing.TB, user, verifier string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	return w.consent(t, user, url.Values{
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	})
}

func (w *World) consent(t testing.TB, user string, extra url.Values) string {
	t.Helper()
	q := url.Values{"response_type": {"code"}, "client_id": {ClientID}, "redirect_uri": {RedirectURI}, "login_hint": {user}}
	for k, v := range extra {
		q[k] = v
	}
	code, _, err := zoomsim.Consent(t.Context(), w.HTTP, w.ZoomURL+"/oauth/authorize?"+q.Encode())
	if err != nil {
		t.Fatalf("consenting as %s: %v", user, err)
	}
	return code
}

// Ledger returns the grants of a user, oldest first.
func (w *World) Ledger(user string) []zoomsim.LedgerGrant {
	var found []zoomsim.LedgerGrant
	u, _ := w.Zoom.User(user)
	for _, g := range w.Zoom.Ledger().Grants {
		if g.UserID == u.ID {
			found = append(found, g)
		}
	}
	return found
}
