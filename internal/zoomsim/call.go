package zoomsim

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
)

// maxForm bounds the size of a request's form, in bytes.
const maxForm = 64 << 10

// Endpoint names one of Zoom's endpoints in a Fault.
type Endpoint string

// The endpoints that a Fault can match.
const (
	EndpointAuthorize Endpoint = "authorize"
	EndpointToken     Endpoint = "token"
	EndpointRevoke    Endpoint = "revoke"
	EndpointMe        Endpoint = "me"
)

// call is a request as far as every endpoint needs it.
type call struct {
	endpoint  Endpoint
	request   *http.Request
	form      url.Values // query and form body alike, which Zoom's token endpoint accepts; the body's values come first
	clientID  string     // as claimed; not yet authenticated
	grantType string
	base      string // the emulator's own address
}

// endpoint makes a handler of process. Every request of Zoom's side goes the same way: it is matched with a fault,
// processed to a complete answer unless the fault says otherwise, and delivered unless the fault says otherwise.
func (s *Server) endpoint(e Endpoint, process func(*call) answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "the request's form cannot be read", http.StatusBadRequest)
			return
		}
		c := s.newCall(e, r)
		leave := s.enterRefresh(c)
		f := s.takeFault(c)
		a := f.around(func() answer { return process(c) })
		leave() // before delivery: a caller may begin the next refresh as soon as it has the answer
		s.logger.LogAttrs(r.Context(), slog.LevelDebug, "zoom emulator",
			slog.String("endpoint", string(e)), slog.String("client_id", c.clientID),
			slog.String("grant_type", c.grantType), slog.Int("status", a.status), slog.String("fault", f.name()))
		f.deliver(w, a)
	})
}

func (s *Server) newCall(e Endpoint, r *http.Request) *call {
	c := &call{endpoint: e, request: r, form: r.Form, base: s.base(r)}
	if e == EndpointMe {
		c.clientID = s.clientOfToken(bearer(r))
		return c
	}
	c.grantType = c.form.Get("grant_type")
	c.clientID = c.form.Get("client_id")
	if id, _, ok := r.BasicAuth(); ok {
		c.clientID = id
	}
	return c
}

func (s *Server) clientOfToken(token string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.state.access[digestOf(token)]; ok {
		return t.grant.clientID
	}
	return ""
}

// enterRefresh counts a refresh of a known grant as being in flight until the returned function is called.
func (s *Server) enterRefresh(c *call) (leave func()) {
	if c.endpoint != EndpointToken || c.grantType != grantRefresh {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token, ok := s.state.refresh[digestOf(c.form.Get("refresh_token"))]
	if !ok {
		return func() {}
	}
	g := token.grant
	g.inFlight++
	g.maxInFlight = max(g.maxInFlight, g.inFlight)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		g.inFlight--
	}
}

// bearer returns the token of the Authorization header, or "".
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
