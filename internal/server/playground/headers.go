package playground

import (
	"net/http"
	"strings"
)

// policy allows what GraphiQL needs and nothing else: scripts and styles from this origin's files only, data addresses
// for images and fonts, requests to this origin, and no framing. font-src and img-src are wider than default-src because
// stylesheets may carry small images and fonts as data.
var policy = strings.Join([]string{
	"default-src 'none'",
	"script-src 'self'",
	"style-src 'self'",
	"img-src 'self' data:",
	"font-src 'self' data:",
	"connect-src 'self'",
	"base-uri 'none'",
	"form-action 'none'",
	"frame-ancestors 'none'",
}, "; ")

// secure sets the headers that every answer carries, errors included.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}
