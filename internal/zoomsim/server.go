package zoomsim

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options configure a Server. The zero value is a Zoom without clients, on the wall clock.
type Options struct {
	// Now is the clock by which codes and tokens expire. Nil means time.Now.
	Now func() time.Time
	// Clients are registered from the start; PutClient adds others.
	Clients []Client
	// BaseURL is the address under which the emulator is reached, without a trailing slash. It is what the token
	// endpoint hands out as api_url. Empty means the scheme and host of each request.
	BaseURL string
	// Switches choose between behaviours. The zero value is what Zoom is known, or most likely, to do.
	Switches Switches
	// Logger gets one debug line per request, never a token, code or secret. Nil discards them.
	Logger *slog.Logger
}

// Server emulates Zoom. It is an http.Handler and safe for concurrent use.
type Server struct {
	now    func() time.Time
	logger *slog.Logger
	mux    *http.ServeMux

	mu      sync.Mutex
	baseURL string
	state   *state
}

// New returns a Server. It panics when a client or the switches in opts are invalid; PutClient and SetSwitches return
// an error instead, for values that come from outside the program.
func New(opts Options) *Server {
	s := &Server{
		now:    opts.Now,
		logger: opts.Logger,
		mux:    http.NewServeMux(),
		state:  newState(),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	s.SetBaseURL(opts.BaseURL)
	must(s.SetSwitches(opts.Switches))
	for _, c := range opts.Clients {
		must(s.PutClient(c))
	}
	s.routes()
	return s
}

func must(err error) {
	if err != nil {
		panic("zoomsim: " + err.Error())
	}
}

func (s *Server) routes() {
	s.mux.Handle("GET /oauth/authorize", s.endpoint(EndpointAuthorize, s.showConsent))
	s.mux.Handle("POST /oauth/authorize", s.endpoint(EndpointAuthorize, s.decideConsent))
	s.mux.HandleFunc("GET "+stylesheetPath, serveStylesheet)
	s.mux.Handle("POST /oauth/token", s.endpoint(EndpointToken, s.token))
	s.mux.Handle("POST /oauth/revoke", s.endpoint(EndpointRevoke, s.revoke))
	s.mux.Handle("GET /v2/users/me", s.endpoint(EndpointMe, s.me))
	s.controlRoutes()
}

// ServeHTTP answers as Zoom would, or as a fault demands. A fault that closes the connection panics with
// http.ErrAbortHandler, which net/http turns into exactly that.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mux.ServeHTTP(w, r)
}

// SetBaseURL changes Options.BaseURL; for a listener whose port is known only after it was opened.
func (s *Server) SetBaseURL(base string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.baseURL = strings.TrimRight(base, "/")
}

// base returns the address of the emulator as the sender of r may use it.
func (s *Server) base(r *http.Request) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.baseURL != "":
		return s.baseURL
	case r.TLS != nil:
		return "https://" + r.Host
	default:
		return "http://" + r.Host
	}
}
