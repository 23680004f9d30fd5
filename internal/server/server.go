// Package server is the HTTP side: which path leads where, who is calling, and how the process stops.
//
// Mechanism: one mux over the GraphQL handler, the Playground and the two probes, behind layers that each do one thing:
// headers, request id, access log, recovery, the check of the host, and on the API the check of the key. A key becomes a
// tenant.Viewer in the context, and everything below takes the caller from there.
//
// Reason: what every request needs, and what no request may do, is decided before GraphQL sees it.
//
// Limit: TLS ends in front of this process; the caller's address is that of the connection, so behind a proxy it is the
// proxy's.
package server

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/server/playground"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// Authenticator says who is calling; *tenancy.Service is one.
type Authenticator interface {
	// Authenticate returns whom a key stands for. Errors: UNAUTHENTICATED, VAULT_UNAVAILABLE.
	Authenticate(ctx context.Context, presented secret.Text) (*tenant.Viewer, error)
	// ActIn returns the viewer inside a tenant. Errors: NOT_FOUND.
	ActIn(ctx context.Context, v *tenant.Viewer, tenantID uuid.UUID) (*tenant.Viewer, error)
}

// Options configure a Server.
type Options struct {
	// GraphQL serves the API. It finds the caller and the request in the context.
	GraphQL http.Handler
	Callers Authenticator
	// Ready are the parts that must work for this process to be of use. None: it is ready once it runs.
	Ready []Check
	// Playground is the page's settings; nil serves no page.
	Playground *playground.Options
	// LoopbackOnly refuses requests whose Host is not a name of this machine itself: without TLS and with a key in the
	// page, a name that somebody points at 127.0.0.1 (DNS rebinding) must not be of use.
	LoopbackOnly bool
	// Logger gets a line for each request, and what callers do not see; nil discards.
	Logger *slog.Logger
}

// Server answers HTTP requests; see Serve for the one way to run it.
type Server struct {
	handler http.Handler
	log     *slog.Logger
}

// New returns a Server.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h := routes(o)
	if o.LoopbackOnly {
		h = LoopbackOnly(h)
	}
	h = recovered(o.Logger, h)
	h = logged(o.Logger, h)
	h = identified(h)
	h = secured(h)
	return &Server{handler: h, log: o.Logger}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// routes are all paths.
func routes(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/graphql", naming(authenticated(o.Callers, o.Logger, o.GraphQL)))
	mux.HandleFunc("OPTIONS /graphql", options)
	mux.Handle("/healthz", onlyGET(http.HandlerFunc(alive)))
	mux.Handle("/readyz", onlyGET(&readiness{checks: o.Ready, log: o.Logger}))
	mux.HandleFunc("/", absent)
	if o.Playground == nil {
		mux.Handle("/{$}", onlyGET(greeting("Tokenkeep. The GraphQL API is at /graphql.\n")))
		return mux
	}
	page := playground.Handler(*o.Playground)
	mux.Handle("/playground", page)
	mux.Handle("/playground/", page)
	mux.Handle("/{$}", onlyGET(greeting("Tokenkeep. The GraphQL API is at /graphql, a page to try it at /playground.\n")))
	return mux
}

// options answers OPTIONS without the headers of CORS: pages of other origins may not call the API.
func options(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Allow", "GET, POST, OPTIONS")
	w.WriteHeader(http.StatusNoContent)
}

// greeting is what somebody sees who opens the bare address.
func greeting(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(text))
	})
}
