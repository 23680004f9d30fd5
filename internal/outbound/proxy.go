package outbound

import (
	"fmt"
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

// noting wraps a proxy function so that the dialer knows a proxy's address from a target's. A target that is at a proxy's
// address and is not reached by one is refused: the dialer could not tell them apart. Errors: ErrRefused.
func (d *dialer) noting(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		u, err := proxy(r)
		switch {
		case err != nil:
			return nil, err
		case u != nil:
			d.proxies.add(addressOf(u))
		case d.proxies.has(addressOf(r.URL)):
			return nil, fmt.Errorf("%w: it is the proxy's", ErrRefused)
		}
		return u, nil
	}
}

// addressOf is what net/http dials for a URL.
func addressOf(u *url.URL) string { return net.JoinHostPort(u.Hostname(), portOf(u)) }

// portOf is the port that net/http dials for a proxy or a target.
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
