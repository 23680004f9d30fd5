// Command vaultserver is a HashiCorp Vault server for tests, and for nothing else.
//
// Mechanism: Vault's own core behind its own HTTP handler, built from its Go modules: KV, transit, AppRole and Kubernetes
// login, storage in memory or in files, plain HTTP or TLS on one address. Everything else (initialising, unsealing,
// sealing, mounts, policies) is done over the API, as with any Vault.
//
// Reason: the promises of internal/vault/hashicorp are promises about what Vault does, so it is Vault that they are tested
// against, on any machine with a Go compiler.
//
// Licence: Vault is under the Business Source License, which allows testing and forbids competing production use. That is
// why this is a module of its own which the product neither imports nor ships.
//
// Limit: one node without high availability; nothing is locked in memory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	log "github.com/hashicorp/go-hclog"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/vault"
)

// settings are the command line.
type settings struct {
	listen  string
	storage string
	tls     tlsFiles
	lease   time.Duration
}

func main() {
	var s settings
	flag.StringVar(&s.listen, "listen", "127.0.0.1:0", "address to listen on")
	flag.StringVar(&s.storage, "storage", "", "folder of the file storage; empty keeps everything in memory")
	flag.StringVar(&s.tls.cert, "tls-cert", "", "certificate of the listener; empty listens without TLS")
	flag.StringVar(&s.tls.key, "tls-key", "", "private key of the listener")
	flag.StringVar(&s.tls.clientCA, "tls-client-ca", "", "certificates that clients must be signed by; empty asks for none")
	flag.DurationVar(&s.lease, "default-lease-ttl", 24*time.Hour, "life of tokens that say nothing else")
	flag.Parse()
	if err := run(s); err != nil {
		fmt.Fprintln(os.Stderr, "vaultserver:", err)
		os.Exit(1)
	}
}

// run serves until it is told to stop.
func run(s settings) error {
	logger := log.New(&log.LoggerOptions{Name: "vault", Level: log.Warn, Output: os.Stderr})
	listener, err := listen(s)
	if err != nil {
		return err
	}
	core, err := newCore(s, listener.Addr().String(), logger)
	if err != nil {
		return err
	}
	address := listener.Addr().String()
	server := &http.Server{
		Handler: vaulthttp.Handler.Handler(&vault.HandlerProperties{
			Core:           core,
			ListenerConfig: &configutil.Listener{Type: configutil.TCP, Address: address},
		}),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          logger.StandardLogger(nil),
	}
	// Whoever started us waits for this line.
	fmt.Printf("ready pid=%d address=%s\n", os.Getpid(), address)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return core.Shutdown()
}

// listen opens the listener before anything else, so that the address is known.
func listen(s settings) (net.Listener, error) {
	config, err := s.tls.config()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", s.listen)
	if err != nil || config == nil {
		return listener, err
	}
	return wrapTLS(listener, config), nil
}
