package server

import (
	"context"
	"maps"
	"net"
	"net/http"

	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// caller is where the check of the key leaves the viewer for the layers above it, which see the context as it was
// before. One goroutine at a time uses it.
type caller struct{ viewer *tenant.Viewer }

type callerKey struct{}

// callerOf returns the request's place for its viewer; never nil behind identified.
func callerOf(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	if c == nil {
		c = &caller{}
	}
	return c
}

// identified gives the request an id, its own whatever the caller sends: an id of the caller's making could repeat
// another's, or carry text into the log and the audit trail.
func identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := tenant.Request{ID: id.New().String(), RemoteAddress: remoteAddress(r)}
		w.Header().Set("X-Request-Id", request.ID)
		ctx := tenant.WithRequest(r.Context(), request)
		ctx = context.WithValue(ctx, callerKey{}, &caller{})
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// remoteAddress is the connection's, without the port.
func remoteAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// security are the headers of every answer. Each request's map has these very lists, which nothing changes: to set a
// header puts another list in the place of this one, and to add to it copies it.
var security = map[string][]string{
	"X-Content-Type-Options":       {"nosniff"},
	"Referrer-Policy":              {"no-referrer"},
	"Cache-Control":                {"no-store"},
	"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'"},
	"X-Frame-Options":              {"DENY"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
}

// secured sets the headers that every answer carries unless its handler knows better (the Playground has a policy of its
// own, its files may be cached).
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), security)
		next.ServeHTTP(w, r)
	})
}
