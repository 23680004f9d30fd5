package hashicorp_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

func TestHealth(t *testing.T) {
	s := server.Start(t, server.Options{})
	s.Write(t, "sys/mounts/old", map[string]any{"type": "kv", "options": map[string]any{"version": "1"}})
	for name, c := range map[string]struct {
		change func(*hashicorp.Options)
		says   string
	}{
		"as it should be":          {func(*hashicorp.Options) {}, ""},
		"transit is not there":     {func(o *hashicorp.Options) { o.TransitMount = "nowhere" }, "nowhere"},
		"KV is not there":          {func(o *hashicorp.Options) { o.KVMount = "nowhere" }, "nowhere"},
		"KV is another engine":     {func(o *hashicorp.Options) { o.KVMount = "transit" }, `"transit", not "kv"`},
		"KV has the old version":   {func(o *hashicorp.Options) { o.KVMount = "old" }, "enable-versioning"},
		"transit is not transit":   {func(o *hashicorp.Options) { o.TransitMount = "secret" }, `"kv", not "transit"`},
		"the mounts are exchanged": {func(o *hashicorp.Options) { o.TransitMount, o.KVMount = o.KVMount, o.TransitMount }, "not"},
	} {
		o := rootOptions(s)
		c.change(&o)
		err := openVault(t, o).Health(t.Context())
		if c.says == "" {
			wantError(t, name, err, nil)
			continue
		}
		wantError(t, name, err, vault.ErrUnavailable)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, which does not say %s", name, err, c.says)
		}
	}
}

// TestHealthOfMany checks one vault from several processes at the same time.
func TestHealthOfMany(t *testing.T) {
	s := sharedServer(t)
	var checks sync.WaitGroup
	for range 5 {
		v := openVault(t, rootOptions(s))
		checks.Go(func() {
			for range 5 {
				if err := v.Health(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	checks.Wait()
}

// TestReadOnlyPolicy allows reading and data keys and refuses the write: it is denied, and nothing was half done.
func TestReadOnlyPolicy(t *testing.T) {
	s := sharedServer(t)
	full := openVault(t, rootOptions(s))
	ref := newRef(t, full)
	cas := write(t, full, ref, 1, 0)
	s.Policy(t, "reader", `
		path "secret/data/*" { capabilities = ["read"] }
		path "secret/metadata/*" { capabilities = ["read", "list"] }
		path "transit/datakey/plaintext/*" { capabilities = ["update"] }
		path "transit/decrypt/*" { capabilities = ["update"] }
		path "transit/hmac/*" { capabilities = ["update"] }`)
	o := rootOptions(s)
	o.Login = tokenLogin(s.NewToken(t, 0, "reader"))
	v := openVault(t, o)
	wantOpens(t, v, ref, 1)
	r := seal(t, v, ref, 2)
	fresh := vault.Ref{Tenant: ref.Tenant, Connection: uuid.New()}
	_, err := v.WriteRecord(t.Context(), ref, r, cas)
	wantError(t, "writing", err, vault.ErrDenied)
	_, err = v.WriteRecord(t.Context(), fresh, r, 0)
	wantError(t, "writing anew", err, vault.ErrDenied)
	wantError(t, "erasing", v.EraseRecord(t.Context(), ref), vault.ErrDenied)
	wantError(t, "erasing what is not there", v.EraseRecord(t.Context(), fresh), vault.ErrDenied)
	wantError(t, "creating a key", v.CreateKey(t.Context(), uuid.New()), vault.ErrDenied)
	wantError(t, "destroying the key", v.DestroyKey(t.Context(), ref.Tenant), vault.ErrDenied)
	err = v.Health(t.Context())
	wantError(t, "health", err, vault.ErrUnavailable)
	wantError(t, "its cause", err, vault.ErrDenied)

	got, number := head(t, full, ref)
	if got.Generation != 1 || number != cas {
		t.Errorf("got generation %d under %d, want what was there", got.Generation, number)
	}
	_, _, err = full.ReadRecord(t.Context(), fresh)
	wantError(t, "reading what was refused", err, vault.ErrNotFound)
	if is, err := s.Client().Logical().ReadWithContext(t.Context(), kvPath(s, "metadata", fresh)); err != nil || is != nil {
		t.Errorf("a refused write left metadata behind: %v, %v", is, err)
	}
	wantOpens(t, v, ref, 1)
}

// TestNoSecretInErrorsOrLogs provokes failures of every kind, with answers that repeat what was sent, and looks for
// secrets in what is said about them.
func TestNoSecretInErrorsOrLogs(t *testing.T) {
	s := sharedServer(t)
	p := newProxy(t, s)
	role := approle(t, s, nil)
	role.SecretIDFile = t.TempDir() + "/secret-id"
	secretID := s.SecretID(t, role.Mount, "service")
	writeFile(t, role.SecretIDFile, secretID)
	var said lockedBuffer
	o := p.through(rootOptions(s))
	o.Retries, o.Login = -1, hashicorp.Login{AppRole: &role}
	o.Logger = slog.New(slog.NewJSONHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	v := openVault(t, o)
	ref := newRef(t, v)
	cas := write(t, v, ref, 1, 0)
	token := tokenOf(t, p)
	r := seal(t, v, ref, 2)
	encoded, err := r.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{400, 403, 404, 429, 500, 502, 503} {
		for _, body := range []string{`{"errors":["you sent %s"]}`, `%s`, `{"data":"%s"}`, `{"errors":["%s"],"data":{"data":"%s"}}`} {
			p.set(echo(status, body, token+" "+secretID))
			for name, err := range everything(t, v, ref, r, cas) {
				if err != nil {
					_, _ = said.Write([]byte(name + ": " + err.Error() + "\n"))
				}
			}
		}
	}
	text := said.String()
	for what, secret := range map[string]string{
		"the token": token, "the secret id": secretID, "the record": string(encoded), "a wrapped key": string(r.Key.Bytes),
	} {
		if strings.Contains(text, secret) || strings.Contains(text, secret[:len(secret)/2]) {
			t.Errorf("%s is in an error or in the log", what)
		}
	}
	if !strings.Contains(text, "status 502") || !strings.Contains(text, "logged in") {
		t.Errorf("the errors do not say what happened:\n%.2000s", text)
	}
}

// echo answers everything with a body in which %s is the secret, and also what was sent.
func echo(status int, body, secret string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		sent := new(bytes.Buffer)
		_, _ = sent.ReadFrom(r.Body)
		text := strings.Trim(strings.NewReplacer(`"`, " ", "\n", " ").Replace(sent.String()), " ") + " " + secret
		w.WriteHeader(status)
		_, _ = w.Write([]byte(strings.ReplaceAll(body, "%s", text)))
	}
}

// lockedBuffer is a buffer for several writers.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestClose ends everything: nothing works any more, the token was given back, and closing again does nothing.
func TestClose(t *testing.T) {
	p, o := shortLived(t)
	v := openVault(t, o)
	wantWorks(t, v)
	for range 2 {
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.count("revoke-self"); got != 1 {
		t.Errorf("the token was given back %d times, want once", got)
	}
	if err := v.Health(t.Context()); !errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("afterwards: got %v", err)
	}
}
