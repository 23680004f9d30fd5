// Package outbound is how the service calls addresses that it was told of: providers' endpoints and tenants' webhooks.
//
// Mechanism: a name is resolved once for each connection, and the address that is dialled is checked between the
// resolution and the connect (net.Dialer.ControlContext sees the address itself, not the name). Addresses that are not
// on the public internet are refused, unless the operator allows their range. TLS is verified, and no redirect is
// followed.
//
// Reason: a name is checked in vain if it is resolved again for the call (DNS rebinding), and a webhook that points at
// 169.254.169.254 or at the database's address would make this service a tool against the network it runs in.
//
// Limit: through an HTTP proxy (HTTPS_PROXY) the proxy resolves the names; keeping it from private addresses is then the
// proxy's work. The proxy's own address is the operator's and may be private.
package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

// ErrRefused is why a connection was not made: the address is not public, and the operator has not allowed it.
var ErrRefused = errors.New("the address is not on the public internet, and TOKENKEEP_OUTBOUND_ALLOW does not name it")

// Options say what may be dialled. The zero value allows public addresses only.
type Options struct {
	// Allow are ranges that may be dialled although they are not public.
	Allow []netip.Prefix
	// TLS is the configuration of connections; nil means the system's roots and TLS 1.2 or newer.
	TLS *tls.Config
	// Proxy returns the proxy of a request; nil means none. See http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)
	// Resolver resolves names; nil means the system's.
	Resolver *net.Resolver
}

const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	// idleTimeout drops idle connections before common servers do, which wait for a minute: one that is closed just as we
	// write to it leaves an unknown outcome.
	idleTimeout = 20 * time.Second
	// maxHeader bounds the headers of an answer, in bytes.
	maxHeader = 64 << 10
)

// Transport returns a transport that dials what the options allow. Bodies are bounded by who reads them, and calls by
// their context.
func Transport(o Options) *http.Transport {
	d := dialer{allow: o.Allow, net: net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Resolver: o.Resolver}}
	config := o.TLS
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t := &http.Transport{
		DialContext:            d.dial,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    handshakeTimeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeader,
	}
	if o.Proxy != nil {
		t.Proxy = d.noting(o.Proxy)
	}
	return t
}

// Stay is a CheckRedirect that follows none: a form with a token in it goes where it was addressed, or nowhere.
func Stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Allowed reports whether the address may be dialled: it is public, or in one of the ranges.
func Allowed(address netip.Addr, allow []netip.Prefix) bool {
	address = address.Unmap()
	if slices.ContainsFunc(allow, func(p netip.Prefix) bool { return p.Contains(address) }) {
		return true
	}
	return public(address)
}

// ParseAllow reads ranges as the operator writes them: 10.0.0.0/8, or a single address.
func ParseAllow(texts []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		if address, err := netip.ParseAddr(text); err == nil {
			address = address.Unmap()
			out = append(out, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a range such as 10.0.0.0/8", text)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// dialer checks what it dials.
type dialer struct {
	allow   []netip.Prefix
	net     net.Dialer
	proxies proxies
}

// dial resolves and connects. Errors: ErrRefused, wrapped, where all addresses of the name are refused.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := d.net
	if !d.proxies.has(address) {
		dialer.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error { return d.check(resolved) }
	}
	return dialer.DialContext(ctx, network, address)
}

// check refuses an address, host and port, that is not to be dialled.
func (d *dialer) check(resolved string) error {
	at, err := netip.ParseAddrPort(resolved)
	if err != nil {
		return fmt.Errorf("%w: it cannot be read", ErrRefused)
	}
	if !Allowed(at.Addr(), d.allow) {
		return ErrRefused
	}
	return nil
}
