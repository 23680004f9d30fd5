package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/server"
	"github.com/tokenkeep/tokenkeep/internal/server/playground"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

const (
	goodKey     = "tk_goodgoodgood"
	operatorKey = "tko_operator"
	noVaultKey  = "tk_vaultisaway"
	brokenKey   = "tk_breaks"
)

var home, otherHome, keyID = id.New(), id.New(), id.New()

// callers knows two keys, and two that make it fail.
type callers struct{}

func (callers) Authenticate(_ context.Context, key secret.Text) (*tenant.Viewer, error) {
	switch {
	case key.Equal(secret.New(goodKey)):
		return &tenant.Viewer{Tenant: home, KeyID: keyID, Scopes: []tenant.Scope{tenant.ConnectionsRead}}, nil
	case key.Equal(secret.New(operatorKey)):
		return &tenant.Viewer{IsOperator: true}, nil
	case key.Equal(secret.New(noVaultKey)):
		return nil, errs.New(errs.VaultUnavailable, "the vault is not available; try again shortly").WithRetryAfter(5e9)
	case key.Equal(secret.New(brokenKey)):
		return nil, errors.New("pq: relation api_keys does not exist")
	default:
		return nil, errs.New(errs.Unauthenticated, "the API key is not valid")
	}
}

func (callers) ActIn(_ context.Context, v *tenant.Viewer, u uuid.UUID) (*tenant.Viewer, error) {
	if u != home {
		return nil, errs.New(errs.NotFound, "there is no such tenant")
	}
	return &tenant.Viewer{Tenant: u, IsOperator: v.IsOperator, KeyID: v.KeyID, Scopes: v.Scopes}, nil
}

// journal is a log that tests read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// whoami answers with the viewer it finds, and does what the path's query asks for.
func whoami(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Query().Get("do") {
	case "panic":
		panic("secret payload")
	case "begin and panic":
		_, _ = w.Write([]byte("half an ans"))
		panic("secret payload")
	case "abort":
		panic(http.ErrAbortHandler)
	case "index":
		few := []int{1}
		_ = few[len(r.URL.Path)]
	}
	actor := "nobody"
	if v := tenant.FromContext(r.Context()); v != nil {
		actor = v.Actor()
		if v.IsOperator && v.Tenant != uuid.Nil {
			actor += " in " + id.Tenant.Format(v.Tenant)
		}
	}
	w.Header().Set("X-Actor", actor)
	w.Header().Set("X-Seen-Request", tenant.RequestFrom(r.Context()).ID)
	w.Header().Set("X-Seen-Remote", tenant.RequestFrom(r.Context()).RemoteAddress)
	w.WriteHeader(http.StatusAccepted)
}

// start serves with the defaults that edit changes.
func start(t *testing.T, edit ...func(*server.Options)) (string, *journal) {
	t.Helper()
	log := &journal{}
	o := server.Options{
		GraphQL: http.HandlerFunc(whoami), Callers: callers{}, Playground: &playground.Options{},
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, e := range edit {
		e(&o)
	}
	ts := httptest.NewServer(server.New(o))
	t.Cleanup(ts.Close)
	return ts.URL, log
}

// answer is a response, read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// send makes a request; headers come in pairs.
func send(t *testing.T, method, url string, headers ...string) answer {
	t.Helper()
	a, err := try(t, method, url, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func try(t *testing.T, method, url string, headers ...string) (answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(body)}, err
}

// failure is the one error of a body in the shape of a GraphQL response.
type failure struct {
	Message    string
	Extensions struct {
		Code, RequestID, Field string
		RetryAfter             int
	}
}

func (a answer) failure(t *testing.T) failure {
	t.Helper()
	var body struct{ Errors []failure }
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || len(body.Errors) != 1 {
		t.Fatalf("got the body %q, want one error", a.body)
	}
	f := body.Errors[0]
	if f.Message == "" || f.Extensions.RequestID == "" || f.Extensions.RequestID != a.header.Get("X-Request-Id") {
		t.Errorf("got %+v beside X-Request-Id %q, want a message and the same id", f, a.header.Get("X-Request-Id"))
	}
	return f
}

func TestPaths(t *testing.T) {
	url, _ := start(t)
	tests := []struct {
		method, path string
		status       int
		contains     string
	}{
		{"GET", "/", 200, "/graphql"},
		{"HEAD", "/", 200, ""},
		{"POST", "/", 405, "BAD_USER_INPUT"},
		{"GET", "/healthz", 200, "ok\n"},
		{"POST", "/healthz", 405, "BAD_USER_INPUT"},
		{"GET", "/readyz", 200, `"ready"`},
		{"GET", "/playground", 200, "<html"},
		{"GET", "/playground/config.json", 200, `"endpoint":"/graphql"`},
		{"POST", "/graphql", 202, ""},
		{"GET", "/graphql", 202, ""},
		{"OPTIONS", "/graphql", 204, ""},
		{"GET", "/graphql/", 404, "NOT_FOUND"},
		{"GET", "/nowhere", 404, "NOT_FOUND"},
		{"POST", "/nowhere", 404, "NOT_FOUND"},
		{"GET", "/metrics", 404, "NOT_FOUND"},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			got := send(t, tt.method, url+tt.path)
			if got.status != tt.status || !strings.Contains(got.body, tt.contains) {
				t.Errorf("got %d %q, want %d with %q", got.status, got.body, tt.status, tt.contains)
			}
			if tt.status >= 400 {
				got.failure(t)
			}
			for name := range got.header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("got the header %s, want none of CORS", name)
				}
			}
		})
	}
}

func TestWithoutPlayground(t *testing.T) {
	url, _ := start(t, func(o *server.Options) { o.Playground = nil })
	if got := send(t, "GET", url+"/playground"); got.status != 404 {
		t.Errorf("got %d for the page, want 404", got.status)
	}
	if got := send(t, "GET", url+"/"); strings.Contains(got.body, "playground") {
		t.Errorf("got %q, want no word of the page", got.body)
	}
}

func TestSecurityHeaders(t *testing.T) {
	url, _ := start(t)
	for _, path := range []string{"/", "/graphql", "/healthz", "/readyz", "/nowhere", "/playground", "/graphql?do=panic"} {
		h := send(t, "GET", url+path).header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Frame-Options": "DENY",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: got %s %q, want %q", path, name, got, want)
			}
		}
		if got := h.Get("Content-Security-Policy"); !strings.Contains(got, "frame-ancestors 'none'") {
			t.Errorf("%s: got the policy %q, want no framing", path, got)
		}
	}
}

func TestRequestID(t *testing.T) {
	url, _ := start(t)
	first := send(t, "POST", url+"/graphql", "X-Request-Id", "mine")
	second := send(t, "POST", url+"/graphql")
	got := first.header.Get("X-Request-Id")
	if u, err := uuid.Parse(got); err != nil || u.Version() != 7 {
		t.Errorf("got the id %q, want a UUID of version 7 of our own", got)
	}
	if got != first.header.Get("X-Seen-Request") {
		t.Errorf("got %q below and %q in the answer, want the same", first.header.Get("X-Seen-Request"), got)
	}
	if got == second.header.Get("X-Request-Id") {
		t.Error("two requests have the same id")
	}
	if got := first.header.Get("X-Seen-Remote"); got != "127.0.0.1" {
		t.Errorf("got the remote address %q, want 127.0.0.1", got)
	}
}

func TestLoopbackOnly(t *testing.T) {
	url, _ := start(t, func(o *server.Options) { o.LoopbackOnly = true })
	tests := []struct {
		host string
		want int
	}{
		{"127.0.0.1", 200},
		{"127.0.0.1:1", 200},
		{"localhost:8080", 200},
		{"LOCALHOST", 200},
		{"[::1]:8080", 200},
		{"[::1]", 200},
		{"127.0.0.1.evil.test", 421},
		{"localhost.evil.test:8080", 421},
		{"evil.test", 421},
		{"127.0.0.2", 421},
		{"0.0.0.0:8080", 421},
	}
	for _, tt := range tests {
		got := send(t, "GET", url+"/", "Host", tt.host)
		if got.status != tt.want {
			t.Errorf("%s: got %d, want %d", tt.host, got.status, tt.want)
		}
		if tt.want == 421 {
			got.failure(t)
		}
	}
}
