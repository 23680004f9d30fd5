package hashicorp

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// connections is how many idle connections are kept: as many requests run at once without connecting anew.
const connections = 128

// newTransport makes the one transport of a vault.
func newTransport(o Options) (*http.Transport, error) {
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: o.Timeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: o.Timeout,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		MaxIdleConns:        connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: 90 * time.Second,
	}
	config := api.Config{HttpClient: &http.Client{Transport: t}}
	if err := config.ConfigureTLS(&api.TLSConfig{
		CACert: o.CACert, CAPath: o.CAPath, ClientCert: o.ClientCert, ClientKey: o.ClientKey, TLSServerName: o.TLSServerName,
	}); err != nil {
		return nil, err
	}
	if o.ClientCert != "" {
		// Certificates are short-lived where somebody rotates them; the files on disk are the valid ones.
		t.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(o.ClientCert, o.ClientKey)
			return &pair, err
		}
	}
	return t, nil
}

// newClient makes a client of the library that carries a token (none where it is empty) and neither retries nor times
// out: both are done here.
func (v *Vault) newClient(token secret.Text) (*api.Client, error) {
	c, err := api.NewClient(&api.Config{
		Address: v.options.Address,
		HttpClient: &http.Client{
			Transport: v.transport,
			// The library follows the one redirect of a standby by itself, and never from https to http.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	})
	if err != nil {
		return nil, err
	}
	c.SetMaxRetries(0)
	c.SetClientTimeout(0)
	c.ClearNamespace()
	if v.options.Namespace != "" {
		c.SetNamespace(v.options.Namespace)
	}
	c.SetToken(token.Reveal())
	return c, nil
}

// newHeadClient is newClient for reads that only the active node may answer.
func (v *Vault) newHeadClient(token secret.Text) (*api.Client, error) {
	c, err := v.newClient(token)
	if err != nil {
		return nil, err
	}
	c.AddHeader(api.HeaderForward, "active-node")
	return c, nil
}
