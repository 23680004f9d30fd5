package zoomsim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

const (
	clientID     = "app1"
	clientSecret = "app1-secret"
	callback     = "https://app.test/oauth/callback"
	otherID      = "app2"
	otherSecret  = "app2-secret"
)

// zoom is an emulator that listens, with a clock of its own.
type zoom struct {
	*zoomsim.Server
	t   *testing.T
	url string

	mu  sync.Mutex
	now time.Time
}

func newZoom(t *testing.T) *zoom {
	t.Helper()
	z := &zoom{t: t, now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	z.Server = zoomsim.New(zoomsim.Options{
		Now: z.clock,
		Clients: []zoomsim.Client{
			{
				ID: clientID, Secret: clientSecret, Name: "Minutes & More", RedirectURIs: []string{callback},
				Scopes: []string{"user:read:user", "user:read:token"}, OptionalScopes: []string{"user:read:zak", "user:read:email"},
			},
			{ID: otherID, Secret: otherSecret, RedirectURIs: []string{"https://other.test"}, Scopes: []string{"user:read:zak"}},
		},
	})
	ts := httptest.NewServer(z.Server)
	t.Cleanup(ts.Close)
	t.Cleanup(z.ClearFaults) // runs first: Close waits for requests that a fault holds
	z.url = ts.URL
	z.SetBaseURL(ts.URL)
	return z
}

func (z *zoom) clock() time.Time {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.now
}

func (z *zoom) advance(d time.Duration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.now = z.now.Add(d)
}

// authorizeURL adds pairs of extra parameters to an authorize request of the first client.
func (z *zoom) authorizeURL(extra ...string) string {
	q := url.Values{"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {callback}}
	for i := 0; i < len(extra); i += 2 {
		q.Set(extra[i], extra[i+1])
	}
	return z.url + "/oauth/authorize?" + q.Encode()
}

// consent returns a fresh code for the user.
func (z *zoom) consent(login string, extra ...string) string {
	z.t.Helper()
	code, _, err := zoomsim.Consent(z.t.Context(), nil, z.authorizeURL(append(extra, "login_hint", login)...))
	if err != nil {
		z.t.Fatalf("consenting as %s: %v", login, err)
	}
	return code
}

// reply is an answer, read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

// fields decodes the body as a JSON object.
func (r reply) fields(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		t.Fatalf("body %q is not a JSON object: %v", r.body, err)
	}
	return m
}

// tokens is the success answer of the token endpoint.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Scope   string `json:"scope"`
}

func (z *zoom) do(req *http.Request) (reply, error) {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(body)}, err
}

// try posts a form with the first client's credentials and reports what http.Client does. Without headers of its own
// it may run on any goroutine.
func (z *zoom) try(path string, form url.Values, edit ...func(*http.Request)) (reply, error) {
	req, err := http.NewRequestWithContext(z.t.Context(), "POST", z.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(clientID, clientSecret)
	for _, e := range edit {
		e(req)
	}
	return z.do(req)
}

func (z *zoom) post(path string, form url.Values, edit ...func(*http.Request)) reply {
	z.t.Helper()
	r, err := z.try(path, form, edit...)
	if err != nil {
		z.t.Fatalf("POST %s: %v", path, err)
	}
	return r
}

func (z *zoom) get(path string, edit ...func(*http.Request)) reply {
	z.t.Helper()
	req, err := http.NewRequestWithContext(z.t.Context(), "GET", z.url+path, nil)
	if err != nil {
		z.t.Fatal(err)
	}
	for _, e := range edit {
		e(req)
	}
	r, err := z.do(req)
	if err != nil {
		z.t.Fatalf("GET %s: %v", path, err)
	}
	return r
}

// control calls the control API with a JSON body.
func (z *zoom) control(method, path, body string) reply {
	z.t.Helper()
	req, err := http.NewRequestWithContext(z.t.Context(), method, z.url+path, strings.NewReader(body))
	if err != nil {
		z.t.Fatal(err)
	}
	r, err := z.do(req)
	if err != nil {
		z.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func codeForm(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}}
}

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

// exchange and refresh spend a code or a refresh token and expect success.
func (z *zoom) exchange(code string) tokens { z.t.Helper(); return z.granted(codeForm(code)) }

func (z *zoom) refresh(token string) tokens { z.t.Helper(); return z.granted(refreshForm(token)) }

func (z *zoom) granted(form url.Values) tokens {
	z.t.Helper()
	r := z.post("/oauth/token", form)
	var tk tokens
	if err := json.Unmarshal([]byte(r.body), &tk); err != nil || r.status != 200 {
		z.t.Fatalf("POST /oauth/token: %d %s", r.status, r.body)
	}
	return tk
}

func (z *zoom) connect(login string) tokens { z.t.Helper(); return z.exchange(z.consent(login)) }

// me calls users/me with the token.
func (z *zoom) me(token string) reply {
	z.t.Helper()
	return z.get("/v2/users/me", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) })
}

func (z *zoom) wantDead(token string) {
	z.t.Helper()
	z.wantReply(z.post("/oauth/token", refreshForm(token)), 400, `{"reason":"Invalid Token!","error":"invalid_grant"}`)
}

func (z *zoom) wantReply(got reply, status int, body string) {
	z.t.Helper()
	if got.status != status || got.body != body {
		z.t.Errorf("answer: got %d %s, want %d %s", got.status, got.body, status, body)
	}
}
