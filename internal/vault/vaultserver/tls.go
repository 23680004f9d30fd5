package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
)

// tlsFiles name the files of a TLS listener; without a certificate there is none.
type tlsFiles struct{ cert, key, clientCA string }

// config is nil where the listener speaks plain HTTP.
func (f tlsFiles) config() (*tls.Config, error) {
	if f.cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if f.clientCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(f.clientCA)
	if err != nil {
		return nil, err
	}
	config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", f.clientCA)
	}
	return config, nil
}

func wrapTLS(l net.Listener, c *tls.Config) net.Listener { return tls.NewListener(l, c) }
