package outbound_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/tokenkeep/tokenkeep/internal/outbound"
)

func TestAllowed(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true, "170.114.1.1": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "127.255.255.254": false, "::1": false, "::ffff:127.0.0.1": false, "0.0.0.0": false, "::": false,
		"10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false, "::ffff:10.0.0.1": false, "fd00::1": false,
		"172.32.0.1": true, "11.0.0.1": true,
		// Where clouds keep their metadata.
		"169.254.169.254": false, "fd00:ec2::254": false, "100.100.100.200": false, "192.0.0.192": false, "fe80::a9fe:a9fe": false, "::ffff:169.254.169.254": false,
		// Ways back into IPv4.
		"64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false, "2002:7f00:1::": false, "::127.0.0.1": false, "2001::1": false,
		"224.0.0.1": false, "255.255.255.255": false, "240.0.0.1": false, "ff02::1": false, "198.18.0.1": false, "100.64.0.1": false,
		"192.0.2.1": false, "198.51.100.1": false, "203.0.113.1": false, "2001:db8::1": false, "fec0::1": false,
	} {
		if got := outbound.Allowed(netip.MustParseAddr(address), nil); got != want {
			t.Errorf("%s: got %t", address, got)
		}
	}
	allow, err := outbound.ParseAllow([]string{"10.0.0.0/8", "::1", "::ffff:192.168.7.7"})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"10.9.9.9": true, "::ffff:10.9.9.9": true, "::1": true, "192.168.7.7": true, "192.168.7.8": false, "127.0.0.1": false, "8.8.8.8": true,
	} {
		if got := outbound.Allowed(netip.MustParseAddr(address), allow); got != want {
			t.Errorf("%s with exceptions: got %t", address, got)
		}
	}
	for _, text := range []string{"", "ten", "10.0.0.0/33", "10.0.0.0-10.0.0.9", "localhost"} {
		if _, err := outbound.ParseAllow([]string{text}); err == nil {
			t.Errorf("%q was taken for a range", text)
		}
	}
}

// target counts the requests that reach it.
func target(t *testing.T) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var hits atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}
	}))
	t.Cleanup(s.Close)
	return s, &hits
}

func client(t *testing.T, o outbound.Options) *http.Client {
	t.Helper()
	transport := outbound.Transport(o)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: outbound.Stay}
}

// get makes a request and drops the answer.
func get(c *http.Client, target string) error {
	resp, err := c.Get(target)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func loopback(t *testing.T) []netip.Prefix {
	t.Helper()
	allow, err := outbound.ParseAllow([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	return allow
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	server, hits := target(t)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f000001", "127.1", "2130706433"} {
		err := get(client(t, outbound.Options{}), "http://"+host+":"+port)
		if err == nil {
			t.Errorf("%s was reached", host)
		}
	}
	if err := get(client(t, outbound.Options{}), server.URL); !errors.Is(err, outbound.ErrRefused) {
		t.Errorf("got %v", err)
	}
	if hits.Load() != 0 {
		t.Fatalf("%d requests arrived", hits.Load())
	}
	if err := get(client(t, outbound.Options{Allow: loopback(t)}), server.URL); err != nil {
		t.Fatal(err)
	}
	if hits.Load() != 1 {
		t.Errorf("allowed: %d requests arrived", hits.Load())
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	server, hits := target(t)
	resp, err := client(t, outbound.Options{Allow: loopback(t)}).Post(server.URL+"/redirect", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusTemporaryRedirect || hits.Load() != 1 {
		t.Errorf("got %d after %d requests", resp.StatusCode, hits.Load())
	}
}

func TestTLSIsVerified(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	server.Config.ErrorLog = nil
	if err := get(client(t, outbound.Options{Allow: loopback(t)}), server.URL); err == nil {
		t.Error("a certificate of nobody's was accepted")
	}
}

// TestRebinding: a name that is public when it is looked at and private when it is dialled gains nothing, and neither does
// one that has both kinds of address.
func TestRebinding(t *testing.T) {
	server, hits := target(t)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	names := startNames(t)
	c := client(t, outbound.Options{Resolver: names.resolver()})
	for range 5 {
		if err := get(c, "http://rebind.example.com:"+port); !errors.Is(err, outbound.ErrRefused) {
			t.Errorf("got %v", err)
		}
	}
	if hits.Load() != 0 || names.asked.Load() == 0 {
		t.Errorf("%d requests arrived, %d names were asked for", hits.Load(), names.asked.Load())
	}
}

// TestProxyOfTheOperator: the proxy may be private; what it is asked for is not dialled by us.
func TestProxyOfTheOperator(t *testing.T) {
	var asked atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked.Store(r.URL.String()) }))
	defer proxy.Close()
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := get(client(t, outbound.Options{Proxy: http.ProxyURL(u)}), "http://provider.example.com/token"); err != nil {
		t.Fatal(err)
	}
	if got := asked.Load(); got != "http://provider.example.com/token" {
		t.Errorf("the proxy was asked for %v", got)
	}
}

// TestProxyIsNoTarget: that the proxy may be private lets nobody name it, past the proxy, as what is to be called.
func TestProxyIsNoTarget(t *testing.T) {
	var asked atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer proxy.Close()
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	// As with http.ProxyFromEnvironment, which sends nothing that is on loopback, or in NO_PROXY, by the proxy.
	c := client(t, outbound.Options{Proxy: func(r *http.Request) (*url.URL, error) {
		if r.URL.Hostname() == "127.0.0.1" {
			return nil, nil
		}
		return u, nil
	}})
	if err := get(c, "http://provider.example.com/token"); err != nil {
		t.Fatal(err)
	}
	if err := get(c, proxy.URL+"/admin"); !errors.Is(err, outbound.ErrRefused) {
		t.Errorf("the proxy itself: got %v", err)
	}
	if got := asked.Load(); got != 1 {
		t.Errorf("the proxy was asked %d times, want once", got)
	}
}

// names is a DNS server that answers every question with loopback.
type names struct {
	conn  net.PacketConn
	asked atomic.Int64
}

func startNames(t *testing.T) *names {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{conn: conn}
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.serve()
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return n
}

func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", n.conn.LocalAddr().String())
	}}
}

func (n *names) serve() {
	buffer := make([]byte, 1500)
	for {
		size, from, err := n.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var question dnsmessage.Message
		if question.Unpack(buffer[:size]) != nil || len(question.Questions) != 1 {
			continue
		}
		n.asked.Add(1)
		answer := dnsmessage.Message{Header: dnsmessage.Header{ID: question.ID, Response: true}, Questions: question.Questions}
		if q := question.Questions[0]; q.Type == dnsmessage.TypeA {
			answer.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
				Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
			}}
		}
		packed, err := answer.Pack()
		if err != nil {
			return
		}
		_, _ = n.conn.WriteTo(packed, from)
	}
}
