package hashicorp_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

// all is a policy that allows everything: policies proper are docs/vault.md's.
const all = `path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }`

// approle makes a role with the policy all at a mount of its own and returns the login without its secret id.
func approle(t testing.TB, s *server.Server, settings map[string]any) hashicorp.AppRole {
	t.Helper()
	mount := "approle-" + uuid.NewString()
	s.Policy(t, "all", all)
	s.EnableAuth(t, mount, "approle")
	if settings == nil {
		settings = map[string]any{}
	}
	settings["token_policies"] = "all"
	return hashicorp.AppRole{RoleID: s.AppRole(t, mount, "service", settings), Mount: mount}
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	temporary := path + ".new"
	if err := os.WriteFile(temporary, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, path); err != nil {
		t.Fatal(err)
	}
}

// wantWorks fails unless the vault can be used.
func wantWorks(t testing.TB, v *hashicorp.Vault) {
	t.Helper()
	ref := newRef(t, v)
	write(t, v, ref, 1, 0)
	wantOpens(t, v, ref, 1)
}

func TestLoginAppRole(t *testing.T) {
	s := sharedServer(t)
	role := approle(t, s, nil)
	o := rootOptions(s)
	direct, file := role, role
	direct.SecretID = secret.New(s.SecretID(t, role.Mount, "service"))
	file.SecretIDFile = filepath.Join(t.TempDir(), "secret-id")
	writeFile(t, file.SecretIDFile, s.SecretID(t, role.Mount, "service")+"\n")
	for _, r := range []hashicorp.AppRole{direct, file} {
		o.Login = hashicorp.Login{AppRole: &r}
		wantWorks(t, openVault(t, o))
	}
	direct.SecretID = secret.New(uuid.NewString())
	o.Login = hashicorp.Login{AppRole: &direct}
	_, err := hashicorp.Open(t.Context(), o)
	wantError(t, "a wrong secret id", err, vault.ErrDenied)
	if strings.Contains(err.Error(), direct.SecretID.Reveal()) {
		t.Errorf("the error holds the secret id: %v", err)
	}
}

// TestLoginWrapped logs in with a wrapping token, which is unwrapped once and serves later logins too.
func TestLoginWrapped(t *testing.T) {
	s := sharedServer(t)
	p := newProxy(t, s)
	role := approle(t, s, nil)
	role.Wrapped, role.SecretIDFile = true, filepath.Join(t.TempDir(), "wrapped")
	writeFile(t, role.SecretIDFile, s.WrappedSecretID(t, role.Mount, "service"))
	o := p.through(rootOptions(s))
	o.Login = hashicorp.Login{AppRole: &role}
	v := openVault(t, o)
	wantWorks(t, v)

	for _, what := range []string{"", " when the file is gone"} {
		s.Revoke(t, tokenOf(t, p))
		p.set(nil)
		wantWorks(t, v)
		if unwraps, logins := p.count("sys/wrapping/unwrap"), p.count("/login"); unwraps != 0 || logins != 1 {
			t.Errorf("another login%s: got %d unwraps and %d logins, want 0 and 1", what, unwraps, logins)
		}
		_ = os.Remove(role.SecretIDFile)
	}

	writeFile(t, role.SecretIDFile, s.WrappedSecretID(t, role.Mount, "service"))
	s.Revoke(t, tokenOf(t, p))
	p.set(nil)
	wantWorks(t, v)
	if got := p.count("sys/wrapping/unwrap"); got != 1 {
		t.Errorf("another wrapping token was unwrapped %d times, want once", got)
	}
	_, err := hashicorp.Open(t.Context(), o)
	wantError(t, "unwrapping it again", err, vault.ErrDenied)
	if !strings.Contains(err.Error(), "intercepted") {
		t.Errorf("the error does not say what it may mean: %v", err)
	}
}

// tokenOf is the token of the last request that passed.
func tokenOf(t *testing.T, p *proxy) string {
	t.Helper()
	passed := p.requests()
	for i := len(passed) - 1; i >= 0; i-- {
		if token := passed[i].Header.Get("X-Vault-Token"); token != "" {
			return token
		}
	}
	t.Fatal("nothing passed with a token")
	return ""
}

// TestLoginTokenFile replaces the token in the file and revokes the old one at once: nothing fails.
func TestLoginTokenFile(t *testing.T) {
	s := sharedServer(t)
	s.Policy(t, "all", all)
	path := filepath.Join(t.TempDir(), "token")
	old := s.NewToken(t, 0, "all")
	writeFile(t, path, old+"\n")
	o := rootOptions(s)
	o.Login = hashicorp.Login{TokenFile: path}
	v := openVault(t, o)
	wantWorks(t, v)
	writeFile(t, path, s.NewToken(t, 0, "all"))
	s.Revoke(t, old)
	wantWorks(t, v)

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wantWorks(t, v)
	_, err := hashicorp.Open(t.Context(), o)
	wantError(t, "a file that is missing", err, vault.ErrDenied)
	writeFile(t, path, " \n")
	_, err = hashicorp.Open(t.Context(), o)
	wantError(t, "a file that is empty", err, vault.ErrDenied)
}

// TestLoginRevoked revokes tokens: a login that can be repeated is, and a token as it is has nothing to replace it.
func TestLoginRevoked(t *testing.T) {
	s := sharedServer(t)
	s.Policy(t, "all", all)
	o := rootOptions(s)
	token := s.NewToken(t, 0, "all")
	o.Login = tokenLogin(token)
	v := openVault(t, o)
	ref := newRef(t, v)
	cas := write(t, v, ref, 1, 0)
	r := seal(t, v, ref, 2)
	s.Revoke(t, token)
	for name, err := range everything(t, v, ref, r, cas) {
		wantError(t, name, err, vault.ErrDenied)
	}
	_, err := hashicorp.Open(t.Context(), o)
	wantError(t, "opening with it", err, vault.ErrDenied)
	if strings.Contains(err.Error(), token) {
		t.Errorf("the error holds the token: %v", err)
	}

	p := newProxy(t, s)
	role := approle(t, s, nil)
	role.SecretID = secret.New(s.SecretID(t, role.Mount, "service"))
	o = p.through(rootOptions(s))
	o.Login = hashicorp.Login{AppRole: &role}
	again := openVault(t, o)
	write(t, again, ref, 2, cas)
	for range 3 {
		s.Revoke(t, tokenOf(t, p))
		wantOpens(t, again, ref, 2)
	}
	// Also for a write: what was refused was not done.
	next := seal(t, again, ref, 3)
	_, number := head(t, again, ref)
	s.Revoke(t, tokenOf(t, p))
	if _, err := again.WriteRecord(t.Context(), ref, next, number); err != nil {
		t.Error(err)
	}
}

// TestLoginOnce has many requests find out at once that the token is over: they share one login.
func TestLoginOnce(t *testing.T) {
	s := sharedServer(t)
	p := newProxy(t, s)
	role := approle(t, s, nil)
	role.SecretID = secret.New(s.SecretID(t, role.Mount, "service"))
	o := p.through(rootOptions(s))
	o.Login = hashicorp.Login{AppRole: &role}
	v := openVault(t, o)
	tenant := newRef(t, v).Tenant
	s.Revoke(t, tokenOf(t, p))
	p.set(nil)
	errs := make(chan error)
	for range 40 {
		go func() {
			_, err := v.NewDataKey(t.Context(), tenant)
			errs <- err
		}()
	}
	for range 40 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := p.count("/login"); got != 1 {
		t.Errorf("got %d logins, want 1", got)
	}
}

// TestLoginKubernetes logs in through Vault's own Kubernetes method; the API server that reviews the pod's token is fake.
func TestLoginKubernetes(t *testing.T) {
	s := sharedServer(t)
	reviewer := httptest.NewServer(http.HandlerFunc(reviewToken))
	defer reviewer.Close()
	s.Policy(t, "all", all)
	mount := "kubernetes-" + uuid.NewString()
	s.EnableAuth(t, mount, "kubernetes")
	s.Write(t, "auth/"+mount+"/config", map[string]any{"kubernetes_host": reviewer.URL, "disable_local_ca_jwt": true})
	s.Write(t, "auth/"+mount+"/role/tokenkeep", map[string]any{
		"bound_service_account_names": "tokenkeep", "bound_service_account_namespaces": "default", "token_policies": "all", "audience": "vault",
	})
	path := filepath.Join(t.TempDir(), "token")
	o := rootOptions(s)
	o.Login = hashicorp.Login{Kubernetes: &hashicorp.Kubernetes{Role: "tokenkeep", JWTFile: path, Mount: mount}}
	_, err := hashicorp.Open(t.Context(), o)
	wantError(t, "without the file", err, vault.ErrDenied)
	writeFile(t, path, serviceAccount(t, "tokenkeep"))
	wantWorks(t, openVault(t, o))
	writeFile(t, path, serviceAccount(t, "somebody-else"))
	_, err = hashicorp.Open(t.Context(), o)
	wantError(t, "as another account", err, vault.ErrDenied)
}

// serviceAccount is a pod's token; its signature is for the reviewer to check, and that one takes any.
func serviceAccount(t *testing.T, name string) string {
	t.Helper()
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	head := part(map[string]string{"alg": "RS256", "typ": "JWT"})
	claims := part(map[string]any{
		"iss": "kubernetes/serviceaccount", "aud": []string{"vault"}, "sub": "system:serviceaccount:default:" + name,
		"kubernetes.io": map[string]any{"namespace": "default", "serviceaccount": map[string]any{"name": name, "uid": "1"}},
	})
	return head + "." + claims + "." + base64.RawURLEncoding.EncodeToString([]byte("signature"))
}

// reviewToken is the one endpoint of a Kubernetes API server that Vault calls.
func reviewToken(w http.ResponseWriter, r *http.Request) {
	var review struct {
		Spec struct {
			Token string `json:"token"`
		} `json:"spec"`
	}
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || !strings.HasSuffix(r.URL.Path, "/tokenreviews") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	parts := strings.Split(review.Spec.Token, ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
		"status": map[string]any{
			"authenticated": err == nil, "audiences": []string{"vault"}, "user": map[string]any{"username": claims.Subject, "uid": "1"},
		},
	})
}

// TestLoginTwice uses two logins: the service may not make keys, the other one does.
func TestLoginTwice(t *testing.T) {
	s := sharedServer(t)
	p := newProxy(t, s)
	s.Policy(t, "all", all)
	o := p.through(rootOptions(s))
	service, keys := s.NewToken(t, 0, "all"), s.NewToken(t, 0, "all")
	o.Login, o.KeyLogin = tokenLogin(service), tokenLogin(keys)
	v := openVault(t, o)
	p.set(nil)
	ref := newRef(t, v)
	wantToken(t, p, "creating a key", keys)
	write(t, v, ref, 1, 0)
	wantOpens(t, v, ref, 1)
	wantToken(t, p, "everything else", service)
	if err := v.DestroyKey(t.Context(), ref.Tenant); err != nil {
		t.Fatal(err)
	}
	wantToken(t, p, "destroying a key", keys)
	if err := v.CreateKey(t.Context(), ref.Tenant); !errors.Is(err, vault.ErrNoKey) {
		t.Errorf("creating it again: got %v", err)
	}
}

// wantToken fails unless all that passed bore the token; what is asked once about the mount does not count.
func wantToken(t *testing.T, p *proxy, what, want string) {
	t.Helper()
	for _, r := range p.requests() {
		if r.Header.Get("X-Vault-Token") != want && !matches(r, "/config") && !matches(r, "/sys/health") {
			t.Errorf("%s: %s %s was sent with the other token", what, r.Method, r.URL.Path)
		}
	}
	p.set(nil)
}
