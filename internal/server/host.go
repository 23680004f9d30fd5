package server

import (
	"net"
	"net/http"
	"strings"

	"github.com/tokenkeep/tokenkeep/internal/errs"
)

// LoopbackOnly answers 421 to requests whose Host is not 127.0.0.1, [::1] or localhost, at any port. A page of the web
// can make its own name resolve to 127.0.0.1 and then counts as the same origin in the browser; its requests still
// carry its name.
func LoopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.Host) {
			refuse(w, r, http.StatusMisdirectedRequest,
				errs.New(errs.BadUserInput, "this server answers to 127.0.0.1, [::1] and localhost only"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopback reports whether a Host header is one of the three.
func loopback(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	} else {
		name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	}
	return name == "127.0.0.1" || name == "::1" || strings.EqualFold(name, "localhost")
}
