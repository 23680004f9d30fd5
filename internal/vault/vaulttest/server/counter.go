package server

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Counter is a proxy before a server that counts the requests of Vault's API that pass, as the server sees them. It is
// safe for concurrent use.
type Counter struct {
	// URL is where it listens.
	URL string

	front   *http.Server
	behind  *http.Transport
	forward http.Handler

	mu     sync.Mutex
	passed []string
}

// Count starts a counter before the server at an address. Close ends it.
func Count(address string) (*Counter, error) {
	target, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	reverse := httputil.NewSingleHostReverseProxy(target)
	c := &Counter{URL: "http://" + listener.Addr().String(), forward: reverse, behind: &http.Transport{MaxIdleConnsPerHost: 64}}
	reverse.Transport = c.behind
	c.front = &http.Server{Handler: c, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = c.front.Serve(listener) }()
	return c, nil
}

// ServeHTTP implements http.Handler. It reads the body to its end first: a transport that still looks for that end while the
// answer passes loses the answer, for the server has closed the body by then.
func (c *Counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	c.mu.Lock()
	c.passed = append(c.passed, r.Method+" "+r.URL.Path)
	c.mu.Unlock()
	c.forward.ServeHTTP(w, r)
}

// Take returns the method and path of what has passed since the last call.
func (c *Counter) Take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	passed := c.passed
	c.passed = nil
	return passed
}

// Matching counts those of the requests that contain the text.
func Matching(requests []string, text string) int {
	return len(slices.DeleteFunc(slices.Clone(requests), func(r string) bool { return !strings.Contains(r, text) }))
}

// Close ends the counter and its connections.
func (c *Counter) Close() error {
	err := c.front.Close()
	c.behind.CloseIdleConnections()
	return err
}
