// Package playground serves GraphiQL, with one example per task, from assets inside the binary.
//
// Mechanism: ui/ holds the sources and a pinned lock file, dist/ the committed build, which is embedded (`npm ci` and
// `npm run build` in ui/ make it again, byte for byte). No request leaves the origin. The page fetches its settings as
// JSON from config.json, so that the Content-Security-Policy can refuse every inline script and style.
//
// Limit: the policy guards the page, not the API behind it; who may ask what is decided at the GraphQL endpoint.
package playground

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// base is the one address at which the built page works: vite writes it into every asset link.
const base = "/playground"

// Options configure the page. The zero value serves a page that asks its reader for a key.
type Options struct {
	// Endpoint is the path, on the same origin, that operations are sent to. Empty means "/graphql".
	Endpoint string
	// DevKey, where set, is filled into the Authorization header. Only `tokenkeep dev` sets it. It is handed out to
	// requests for a loopback host alone, so that a name that somebody points at this machine does not obtain it.
	DevKey secret.Text
	// DevValues fill the slots of the examples' variables: app, redirectUri, consentUrl (shown as a link), and any
	// other name in ui/src/examples/index.json. A slot without a value shows its hint. They are public: no secrets.
	DevValues map[string]string
}

// Handler serves the page; mount it at /playground and /playground/ without stripping the prefix.
func Handler(o Options) http.Handler {
	if o.Endpoint == "" {
		o.Endpoint = "/graphql"
	}
	page, files := loadAssets()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		switch r.URL.Path {
		case base, base + "/":
			page.serve(w, r)
		case base + "/config.json":
			o.serveConfig(w, r)
		default:
			serveFile(files[r.URL.Path], w, r)
		}
	})
}

func serveFile(file *asset, w http.ResponseWriter, r *http.Request) {
	if file == nil {
		http.NotFound(w, r)
		return
	}
	file.serve(w, r)
}

// config is what the page reads at its start.
type config struct {
	Endpoint string            `json:"endpoint"`
	APIKey   string            `json:"apiKey,omitempty"`
	Values   map[string]string `json:"values,omitempty"`
}

func (o Options) serveConfig(w http.ResponseWriter, r *http.Request) {
	c := config{Endpoint: o.Endpoint, Values: o.DevValues}
	if !o.DevKey.IsZero() && loopback(r.Host) {
		c.APIKey = o.DevKey.Reveal()
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return
	}
	_ = json.NewEncoder(w).Encode(c)
}

// loopback reports whether a Host header names this machine itself, by address or as localhost.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}
