package outbound

import (
	"net"
	"net/http"
	"net/url"
	"sync"
)

// proxies are the addresses, host and port, of proxies that requests were sent by. They come from the operator's
// environment, never from who names a target.
type proxies struct {
	mu    sync.RWMutex
	known map[string]bool
}

func (p *proxies) has(address string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.known[address]
}

func (p *proxies) add(address string) {
	if p.has(address) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[string]bool{}
	}
	p.known[address] = true
}

// noting wraps a proxy function so that the dialer knows a proxy's address from a target's.
func (d *dialer) noting(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		u, err := proxy(r)
		if err == nil && u != nil {
			d.proxies.add(net.JoinHostPort(u.Hostname(), portOf(u)))
		}
		return u, err
	}
}

// portOf is the port that net/http dials for a proxy.
func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	case u.Scheme == "socks5", u.Scheme == "socks5h":
		return "1080"
	default:
		return "80"
	}
}
