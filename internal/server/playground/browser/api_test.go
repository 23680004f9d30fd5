package browser_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/server/playground"
)

// key is the one key that the API of these tests knows.
const key = "tk_test_0123456789abcdef"

// api stands in for the GraphQL endpoint: it knows one key, answers introspection from the contract, and records the
// operations it was asked.
type api struct {
	introspection []byte

	mu    sync.Mutex
	calls []call
}

type call struct {
	Authorization string
	Query         string         `json:"query"`
	Variables     map[string]any `json:"variables"`
}

// serve starts the page and the API on one loopback origin. configure receives that origin.
func serve(t *testing.T, configure func(origin string) playground.Options) (*api, string) {
	t.Helper()
	a := &api{introspection: run(t, time.Minute, []string{"MODULES=" + modules(t)},
		node(t), "introspect.mjs", "../../../../docs/contract.graphqls")}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	page := playground.Handler(configure(server.URL))
	mux.Handle("/playground", page)
	mux.Handle("/playground/", page)
	mux.Handle("POST /graphql", a)
	return a, server.URL
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := call{Authorization: r.Header.Get("Authorization")}
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/graphql-response+json")
	switch {
	case c.Authorization != "Bearer "+key:
		_, _ = w.Write([]byte(`{"errors":[{"message":"a key is needed","extensions":{"code":"UNAUTHENTICATED"}}]}`))
	case strings.Contains(c.Query, "__schema"):
		_, _ = w.Write(a.introspection)
	default:
		a.mu.Lock()
		defer a.mu.Unlock()
		a.calls = append(a.calls, c)
		_, _ = w.Write([]byte(`{"data":{"answered":true}}`))
	}
}

// asked returns the operations, introspection left out, that came with the key.
func (a *api) asked() []call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls
}
