package interop_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// redirectURI is where the server sends browsers with a code; nobody listens there.
const redirectURI = "http://127.0.0.1:9/callback"

// The clients that the server knows, one for each way to send a secret and one without, and the secret.
const (
	headerClient = "header-client"
	paramsClient = "params-client"
	publicClient = "public-client"
	clientSecret = "s3cret/with+characters:that=need&encoding%"
)

// server is a running oidc-provider.
type server struct{ issuer string }

// ledger is what the server holds.
type ledger struct {
	Grants map[string]heldGrant
	Counts struct{ Exchanges, Refreshes, Reuses, Refused, Revocations int }
}

// heldGrant is what the server holds of one grant; a grant that was ended holds nothing and is not in the ledger.
type heldGrant struct {
	Account, Client string
	RefreshTokens   []heldToken
	AccessTokens    int
}

// heldToken is a refresh token. Used ones are kept, so that their second use is noticed.
type heldToken struct {
	Value     string
	Rotations int
	Used      bool
}

// startServer starts the server for the length of the test.
func startServer(t *testing.T) *server {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), servicetest.Program(t, "nodejs", "node"), "server.mjs")
	cmd.Env = append(os.Environ(), "MODULES="+servicetest.NodeModules(t, "interop"), "CLIENTS="+clients(t))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close() })
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var first struct{ Issuer string }
		if json.Unmarshal(lines.Bytes(), &first) == nil && first.Issuer != "" {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return &server{issuer: first.Issuer}
		}
	}
	_ = cmd.Wait()
	t.Fatalf("the OAuth server did not start:\n%s", &stderr)
	return nil
}

// clients are the server's registrations as it reads them.
func clients(t *testing.T) string {
	t.Helper()
	client := func(id, method string) map[string]any {
		c := map[string]any{
			"client_id": id, "token_endpoint_auth_method": method, "redirect_uris": []string{redirectURI}, "application_type": "native",
			"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
		}
		if method != "none" {
			c["client_secret"] = clientSecret
		}
		return c
	}
	text, err := json.Marshal([]any{
		client(headerClient, "client_secret_basic"), client(paramsClient, "client_secret_post"), client(publicClient, "none"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ledger asks the server what it holds.
func (s *server) ledger(t *testing.T) ledger {
	t.Helper()
	var l ledger
	if err := json.Unmarshal(s.control(t, http.MethodGet, "ledger"), &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func (s *server) control(t *testing.T, method, path string) []byte {
	t.Helper()
	status, body := call(t, method, s.issuer+"/_test/"+path, nil)
	if status != http.StatusOK {
		t.Fatalf("%s %s answered %d: %s", method, path, status, body)
	}
	return body
}

// userinfo asks the server whose token it is. The subject is empty where the server refuses the token.
func (s *server) userinfo(t *testing.T, accessToken string) (subject string, status int) {
	t.Helper()
	status, body := call(t, http.MethodGet, s.issuer+"/me", http.Header{"Authorization": {"Bearer " + accessToken}})
	var who struct{ Sub string }
	_ = json.Unmarshal(body, &who)
	return who.Sub, status
}

// call makes a request without a body.
func call(t *testing.T, method, address string, header http.Header) (status int, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	return send(t, http.DefaultTransport, req)
}

func send(t *testing.T, by http.RoundTripper, req *http.Request) (status int, body []byte) {
	t.Helper()
	resp, err := (&http.Client{Transport: by, Timeout: time.Minute}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// person is somebody in a browser: with cookies, and stopping at the redirect URI.
type person struct {
	account string
	client  *http.Client
}

func newPerson(t *testing.T, account string) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &person{account: account, client: &http.Client{Jar: jar, CheckRedirect: stay, Timeout: time.Minute}}
}

// authorize follows an authorize URL, signs in where the server asks, consents to everything but the scope without, and
// returns what came to the redirect URI.
func (p *person) authorize(t *testing.T, address, without string) url.Values {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 12 {
		next := p.step(t, req, without)
		if strings.HasPrefix(next.URL.String(), redirectURI) {
			return next.URL.Query()
		}
		req = next
	}
	t.Fatal("the server asked again and again")
	return nil
}

// step makes a request and returns the next: where a redirect leads, or the form of an interaction, filled in.
func (p *person) step(t *testing.T, req *http.Request, without string) *http.Request {
	t.Helper()
	resp, err := p.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if to, err := resp.Location(); err == nil {
		next, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || req.Method != http.MethodGet {
		t.Fatalf("%s %s answered %d: %s", req.Method, req.URL.Path, resp.StatusCode, body)
	}
	form := url.Values{"account": {p.account}, "without": {without}}
	next, err := http.NewRequestWithContext(t.Context(), http.MethodPost, req.URL.String(), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	next.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return next
}
