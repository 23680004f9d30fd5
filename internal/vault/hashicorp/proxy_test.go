package hashicorp_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

// proxy stands before a server, counts what passes and does to it what a test wants.
type proxy struct {
	url     string
	forward http.Handler

	mu sync.Mutex
	// rule, where not nil, answers a request in the server's place, or hands it on by calling next.
	rule   func(w http.ResponseWriter, r *http.Request, next http.Handler)
	passed []*http.Request
}

// newProxy starts a proxy that lasts as long as the test.
func newProxy(t testing.TB, s *server.Server) *proxy {
	t.Helper()
	target, err := url.Parse(s.Address())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	reverse := httputil.NewSingleHostReverseProxy(target)
	reverse.Transport = transport
	reverse.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	p := &proxy{forward: reverse}
	front := httptest.NewServer(p)
	p.url = front.URL
	t.Cleanup(func() {
		front.Close()
		transport.CloseIdleConnections()
	})
	return p
}

// ServeHTTP implements http.Handler. The body is read to its end before it is passed on: once an answer begins the server
// closes a body whose end nobody has seen, and the transport, which still looks for that end behind an answer that came
// early, would take this for a failed request and cut the answer off.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.mu.Lock()
	p.passed = append(p.passed, r.Clone(r.Context()))
	rule := p.rule
	p.mu.Unlock()
	if rule == nil {
		p.forward.ServeHTTP(w, r)
		return
	}
	rule(w, r, p.forward)
}

// set makes rule the one from now on, and forgets what has passed.
func (p *proxy) set(rule func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule, p.passed = rule, nil
}

// count returns how many requests passed whose method and path contain all of the texts.
func (p *proxy) count(texts ...string) int { return len(p.requests(texts...)) }

func (p *proxy) requests(texts ...string) []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []*http.Request
	for _, r := range p.passed {
		if matches(r, texts...) {
			found = append(found, r)
		}
	}
	return found
}

// list returns what passed, for messages.
func (p *proxy) list() string {
	var lines []string
	for _, r := range p.requests() {
		lines = append(lines, r.Method+" "+r.URL.Path)
	}
	return strings.Join(lines, "\n")
}

func matches(r *http.Request, texts ...string) bool {
	for _, text := range texts {
		if !strings.Contains(r.Method+" "+r.URL.Path, text) {
			return false
		}
	}
	return true
}

// swallow lets matching requests through to the server and answers them with a status of its own.
func swallow(status int, texts ...string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !matches(r, texts...) {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(httptest.NewRecorder(), r)
		w.WriteHeader(status)
	}
}

// cut lets matching requests through and closes the connection in place of an answer.
func cut(texts ...string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !matches(r, texts...) {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
}

// refuse answers the first n matching requests with a status and a body, and keeps them from the server.
func refuse(n, status int, body string, texts ...string) func(http.ResponseWriter, *http.Request, http.Handler) {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		mu.Lock()
		defer mu.Unlock()
		if n == 0 || !matches(r, texts...) {
			next.ServeHTTP(w, r)
			return
		}
		n--
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// hang keeps matching requests until the client has left; where late is true it hands them on then.
func hang(late bool, texts ...string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if matches(r, texts...) {
			// The server notices that a client has left once it has read the body.
			body, _ := io.ReadAll(r.Body)
			<-r.Context().Done()
			if !late {
				return
			}
			r = r.WithContext(context.WithoutCancel(r.Context()))
			r.Body, w = io.NopCloser(bytes.NewReader(body)), httptest.NewRecorder()
		}
		next.ServeHTTP(w, r)
	}
}

// through returns options that reach the server by way of the proxy.
func (p *proxy) through(o hashicorp.Options) hashicorp.Options {
	o.Address = p.url
	return o
}

// takeForwardHeader does what a server does that is allowed to forward; without is told of reads of KV that do not ask.
func takeForwardHeader(without func(path string)) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if without != nil && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/data/") && r.Header.Get("X-Vault-Forward") == "" {
			without(r.URL.Path)
		}
		r.Header.Del("X-Vault-Forward")
		next.ServeHTTP(w, r)
	}
}
