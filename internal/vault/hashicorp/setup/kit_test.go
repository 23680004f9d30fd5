package setup_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hashicorp/vault/api"
	"go.uber.org/goleak"

	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp/setup"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// bench is a new server behind something that remembers the tokens which passed and cuts an answer off.
type bench struct {
	t       *testing.T
	server  *server.Server
	options setup.Options

	mu     sync.Mutex
	tokens map[string]bool
	passed []string
	// cutAt is the number, from 1, of the request whose answer is lost; 0 none.
	cutAt int
	// before, where not nil, sees each request before the server does; it is set before the first one.
	before func(*http.Request)
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, server: server.Start(t, server.Options{Dir: t.TempDir(), New: true}), tokens: map[string]bool{}}
	target, err := url.Parse(b.server.Address())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	reverse := httputil.NewSingleHostReverseProxy(target)
	reverse.Transport = transport
	front := httptest.NewServer(b.watch(reverse))
	client := newClient(t, front.URL)
	t.Cleanup(func() {
		client.CloneConfig().HttpClient.CloseIdleConnections()
		front.Close()
		transport.CloseIdleConnections()
	})
	folder := t.TempDir()
	b.options = setup.Options{Client: client, TransitMount: "transit", KVMount: "secret", KeyFile: filepath.Join(folder, "unseal-key"), LoginDir: folder}
	return b
}

func newClient(t *testing.T, address string) *api.Client {
	t.Helper()
	config := api.DefaultConfig()
	config.Address = address
	c, err := api.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	c.SetMaxRetries(0)
	c.ClearToken()
	c.ClearNamespace()
	return c
}

func (b *bench) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.passed = append(b.passed, r.Method+" "+r.URL.Path)
		if token := r.Header.Get("X-Vault-Token"); token != "" {
			b.tokens[token] = true
		}
		cut := len(b.passed) == b.cutAt
		b.mu.Unlock()
		if b.before != nil {
			b.before(r)
		}
		if cut {
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
}

// run runs the set-up and wants it to do this.
func (b *bench) run(want setup.Done) {
	b.t.Helper()
	got, err := setup.Run(b.t.Context(), b.options)
	if err != nil || got != want {
		b.t.Fatalf("got %+v, %v, want %+v", got, err, want)
	}
}

// files are the contents of what a run writes.
func (b *bench) files() map[string]string {
	b.t.Helper()
	found := map[string]string{}
	names, err := os.ReadDir(b.options.LoginDir)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, name := range names {
		info, err := name.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			b.t.Errorf("%s: mode %v, %v, want 0600", name.Name(), info.Mode(), err)
		}
		text, err := os.ReadFile(filepath.Join(b.options.LoginDir, name.Name()))
		if err != nil {
			b.t.Fatal(err)
		}
		found[name.Name()] = string(text)
	}
	return found
}

// login opens the vault as the service would.
func (b *bench) login() *hashicorp.Vault {
	b.t.Helper()
	role := func(id, file string) hashicorp.Login {
		return hashicorp.Login{AppRole: &hashicorp.AppRole{RoleID: id, SecretIDFile: filepath.Join(b.options.LoginDir, file)}}
	}
	v, err := hashicorp.Open(b.t.Context(), hashicorp.Options{
		Address: b.server.Address(), TransitMount: b.options.TransitMount, KVMount: b.options.KVMount,
		Login: role(setup.ServiceRole, setup.ServiceSecretID), KeyLogin: role(setup.KeysRole, setup.KeysSecretID),
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// root has Vault make a root token from the unseal key, which whoever has the key can.
func (b *bench) root() *api.Client {
	b.t.Helper()
	var kept struct {
		Key string `json:"unseal_key"`
	}
	text, err := os.ReadFile(b.options.KeyFile)
	if err != nil || json.Unmarshal(text, &kept) != nil {
		b.t.Fatalf("reading the unseal key: %v", err)
	}
	c := newClient(b.t, b.server.Address())
	b.t.Cleanup(c.CloneConfig().HttpClient.CloseIdleConnections)
	began, err := c.Sys().GenerateRootInitWithContext(b.t.Context(), "", "")
	if err != nil {
		b.t.Fatal(err)
	}
	done, err := c.Sys().GenerateRootUpdateWithContext(b.t.Context(), kept.Key, began.Nonce)
	if err != nil {
		b.t.Fatal(err)
	}
	c.SetToken(string(decodeRoot(b.t, done.EncodedToken, began.OTP)))
	return c
}

// wantNoRoot fails unless the test's own root token is the only one, and none that passed works.
func (b *bench) wantNoRoot() {
	b.t.Helper()
	c := b.root()
	defer func() { _ = c.Auth().Token().RevokeSelfWithContext(b.t.Context(), "") }()
	all, err := c.Logical().ListWithContext(b.t.Context(), "auth/token/accessors")
	if err != nil {
		b.t.Fatal(err)
	}
	roots := 0
	for _, accessor := range all.Data["keys"].([]any) {
		is, err := c.Auth().Token().LookupAccessorWithContext(b.t.Context(), accessor.(string))
		if err != nil {
			b.t.Fatal(err)
		}
		if policies, _ := is.TokenPolicies(); len(policies) > 0 && policies[0] == "root" {
			roots++
		}
	}
	if roots != 1 {
		b.t.Errorf("there are %d root tokens, want the test's alone", roots)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.tokens) == 0 {
		b.t.Error("no token passed, so that nothing is proved of any")
	}
	for token := range b.tokens {
		c := newClient(b.t, b.server.Address())
		c.SetToken(token)
		if _, err := c.Auth().Token().LookupSelfWithContext(b.t.Context()); err == nil {
			b.t.Error("a token that the set-up used still works")
		}
		c.CloneConfig().HttpClient.CloseIdleConnections()
	}
}

// wantServes fails unless the service can work with what a run left.
func (b *bench) wantServes() {
	b.t.Helper()
	v := b.login()
	defer v.Close()
	ref := vault.Ref{Tenant: newID(), Connection: newID()}
	if err := v.CreateKey(b.t.Context(), ref.Tenant); err != nil {
		b.t.Fatal(err)
	}
	if err := v.Health(b.t.Context()); err != nil {
		b.t.Error(err)
	}
	if err := v.EraseRecord(b.t.Context(), ref); err != nil {
		b.t.Error(err)
	}
	if err := v.DestroyKey(b.t.Context(), ref.Tenant); err != nil {
		b.t.Error(err)
	}
}
