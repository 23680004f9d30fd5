package hashicorp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// file holds the certificate.
	file string
}

func newAuthority(t *testing.T, folder, name string) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(folder, name+".pem")}
	template := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: name}}
	a.cert, a.key = a.sign(t, template, a.file, "")
	return a
}

// issue writes a certificate and its key, and returns their files.
func (a *authority) issue(t *testing.T, folder, name string, usage x509.ExtKeyUsage) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(folder, name+".pem"), filepath.Join(folder, name+".key")
	a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{usage}, KeyUsage: x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"vault.test"},
	}, cert, key)
	return cert, key
}

func (a *authority) sign(t *testing.T, template *x509.Certificate, certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, certFile, "CERTIFICATE", der)
	if keyFile != "" {
		encoded, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		writePEM(t, keyFile, "EC PRIVATE KEY", encoded)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTLS talks to a server with a certificate of its own authority that asks for ours.
func TestTLS(t *testing.T) {
	folder := t.TempDir()
	ca, stranger := newAuthority(t, folder, "ca"), newAuthority(t, folder, "stranger")
	cert, key := ca.issue(t, folder, "server", x509.ExtKeyUsageServerAuth)
	client, clientKey := ca.issue(t, folder, "client", x509.ExtKeyUsageClientAuth)
	wrong, wrongKey := stranger.issue(t, folder, "wrong", x509.ExtKeyUsageClientAuth)
	only := filepath.Join(folder, "only")
	if err := os.Mkdir(only, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(ca.file, filepath.Join(only, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	s := server.Start(t, server.Options{TLS: server.TLS{
		Cert: cert, Key: key, ClientCA: ca.file, CA: ca.file, Client: client, ClientKey: clientKey,
	}})
	good := rootOptions(s)
	good.CACert, good.ClientCert, good.ClientKey, good.Retries = ca.file, client, clientKey, -1
	for _, c := range []struct {
		name   string
		change func(*hashicorp.Options)
		want   error
	}{
		{"as it should be", func(*hashicorp.Options) {}, nil},
		{"a folder of authorities", func(o *hashicorp.Options) { o.CACert, o.CAPath = "", only }, nil},
		{"the name in the certificate", func(o *hashicorp.Options) { o.TLSServerName = "vault.test" }, nil},
		{"another name", func(o *hashicorp.Options) { o.TLSServerName = "other.test" }, vault.ErrUnavailable},
		{"the system's authorities", func(o *hashicorp.Options) { o.CACert = "" }, vault.ErrUnavailable},
		{"another authority", func(o *hashicorp.Options) { o.CACert = stranger.file }, vault.ErrUnavailable},
		{"no client certificate", func(o *hashicorp.Options) { o.ClientCert, o.ClientKey = "", "" }, vault.ErrUnavailable},
		{"another's client certificate", func(o *hashicorp.Options) { o.ClientCert, o.ClientKey = wrong, wrongKey }, vault.ErrUnavailable},
		{"a file that is missing", func(o *hashicorp.Options) { o.CACert = filepath.Join(folder, "missing") }, vault.ErrInvalid},
		{"a certificate without its key", func(o *hashicorp.Options) { o.ClientKey = "" }, vault.ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := good
			c.change(&o)
			v, err := hashicorp.Open(t.Context(), o)
			wantError(t, "opening", err, c.want)
			if err != nil {
				return
			}
			defer v.Close()
			wantWorks(t, v)
		})
	}
}

// TestClientCertificateRotates replaces the client certificate's files: new connections use the new one.
func TestClientCertificateRotates(t *testing.T) {
	folder := t.TempDir()
	ca := newAuthority(t, folder, "ca")
	cert, key := ca.issue(t, folder, "server", x509.ExtKeyUsageServerAuth)
	client, clientKey := ca.issue(t, folder, "client", x509.ExtKeyUsageClientAuth)
	mine, mineKey := ca.issue(t, folder, "mine", x509.ExtKeyUsageClientAuth)
	s := server.Start(t, server.Options{Dir: t.TempDir(), TLS: server.TLS{
		Cert: cert, Key: key, ClientCA: ca.file, CA: ca.file, Client: client, ClientKey: clientKey,
	}})
	o := rootOptions(s)
	o.CACert, o.ClientCert, o.ClientKey = ca.file, mine, mineKey
	v := openVault(t, o)
	ca.issue(t, folder, "mine", x509.ExtKeyUsageClientAuth) // over the same files
	s.Restart(t)
	wantWorks(t, v)
}

// TestNamespace sends the namespace with every request, logins and renewals included, and none where none is set.
func TestNamespace(t *testing.T) {
	s := sharedServer(t)
	p := newProxy(t, s)
	for _, want := range []string{"", "team/a"} {
		_, o := shortLived(t)
		o.Address, o.Namespace = p.url, want
		p.set(nil)
		v := openVault(t, o)
		wantWorks(t, v)
		if err := v.Health(t.Context()); err != nil {
			t.Error(err)
		}
		v.Close()
		if len(p.requests("/login")) == 0 || len(p.requests("revoke-self")) == 0 {
			t.Errorf("not everything passed the proxy:\n%s", p.list())
		}
		for _, r := range p.requests() {
			if got := r.Header.Get("X-Vault-Namespace"); got != want {
				t.Errorf("%s %s: got namespace %q, want %q", r.Method, r.URL.Path, got, want)
			}
		}
	}
}

// TestForwardHeader asks for the active node with every read of a head, until the server refuses the header, as one
// without Enterprise does.
func TestForwardHeader(t *testing.T) {
	s := sharedServer(t)
	p := newProxy(t, s)
	v := openVault(t, p.through(rootOptions(s)))
	ref := newRef(t, v)
	write(t, v, ref, 1, 0)
	head(t, v, ref)
	asked := 0
	for _, r := range p.requests() {
		if r.Header.Get("X-Vault-Forward") == "active-node" {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("it was asked for %d times, want once: this server refuses it", asked)
	}
	// A server that takes the header is asked each time.
	q := newProxy(t, s)
	q.set(takeForwardHeader(nil))
	w := openVault(t, q.through(rootOptions(s)))
	q.set(takeForwardHeader(func(path string) { t.Errorf("%s was read without the header", path) }))
	for range 3 {
		head(t, w, ref)
	}
}

// TestMounts uses engines at places of their own, with an address that has a path.
func TestMounts(t *testing.T) {
	s := server.Start(t, server.Options{TransitMount: "team/transit", KVMount: "team/kv"})
	v := openVault(t, rootOptions(s))
	wantWorks(t, v)
	if err := v.Health(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestOptionsThatMakeNoSense are refused before anything is sent.
func TestOptionsThatMakeNoSense(t *testing.T) {
	token := tokenLogin("t")
	for name, o := range map[string]hashicorp.Options{
		"nothing":                   {},
		"no address":                {Login: token},
		"an address without scheme": {Address: "vault.example.com:8200", Login: token},
		"a password in the address": {Address: "https://u:p@vault.example.com", Login: token},
		"no login":                  {Address: "https://vault.example.com"},
		"two logins":                {Address: "https://vault.example.com", Login: hashicorp.Login{Token: token.Token, TokenFile: "f"}},
		"a role without id":         {Address: "https://vault.example.com", Login: hashicorp.Login{AppRole: &hashicorp.AppRole{SecretIDFile: "f"}}},
		"a role without secret":     {Address: "https://vault.example.com", Login: hashicorp.Login{AppRole: &hashicorp.AppRole{RoleID: "r"}}},
		"Kubernetes without role":   {Address: "https://vault.example.com", Login: hashicorp.Login{Kubernetes: &hashicorp.Kubernetes{}}},
		"half a client certificate": {Address: "https://vault.example.com", Login: token, ClientCert: "c"},
		"a timeout below zero":      {Address: "https://vault.example.com", Login: token, Timeout: -1},
		"two logins for keys":       {Address: "https://vault.example.com", Login: token, KeyLogin: hashicorp.Login{Token: token.Token, TokenFile: "f"}},
	} {
		_, err := hashicorp.Open(t.Context(), o)
		wantError(t, name, err, vault.ErrInvalid)
	}
}
