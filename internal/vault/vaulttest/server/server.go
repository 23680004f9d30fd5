// Package server runs a real HashiCorp Vault for tests.
//
// Mechanism: internal/vault/vaultserver, a module of its own, is built once per machine into the user's cache and run as a
// child process on a loopback port. Start initialises and unseals it, mounts transit and KV version 2, and makes the
// pepper. Tests seal, unseal, stop, restart, kill and freeze it; it keeps its address, and with a folder its data.
//
// Reason: what Vault does when a write lands behind a lost answer is for Vault to say, not for a fake.
//
// Limit: one key share, one node, no durability promised by the operating system's cache beyond a killed process.
package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// Options say which server. The zero value is one that keeps everything in memory, with the mounts transit and secret.
type Options struct {
	// Dir is the folder of its storage; empty keeps everything in memory, which a restart loses.
	Dir string
	// TransitMount and KVMount are where the engines go; empty means transit and secret.
	TransitMount, KVMount string
	// New leaves the server as it is before anybody has initialised it: whatever needs a root token or a key fails.
	New bool
	// TLS are files of a TLS listener; the zero value speaks plain HTTP.
	TLS TLS
	// NoPepper leaves the key of MAC out, for vaults that are moved into.
	NoPepper bool
	// LogFile is a file that what the server says is added to; empty keeps it in one that goes with the process.
	LogFile string
}

// TLS names the files of a TLS listener.
type TLS struct {
	// Cert and Key are the listener's. ClientCA, where not empty, is whom clients must be signed by.
	Cert, Key, ClientCA string
	// CA, Client and ClientKey are what the test kit itself connects with.
	CA, Client, ClientKey string
}

// Server is a Vault server. Its methods are for one test at a time.
type Server struct {
	options Options
	binary  string
	process *process
	// address is host and port, the same after each restart.
	address    string
	key, token string
	client     *api.Client
}

// Start starts a server that is ready to use and lasts as long as the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := New(context.WithoutCancel(t.Context()), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// New is Start without a test, for one that several share; Close ends it.
func New(ctx context.Context, o Options) (*Server, error) {
	binary, err := Build(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, binary: binary, address: "127.0.0.1:0"}
	if s.options.TransitMount == "" {
		s.options.TransitMount = "transit"
	}
	if s.options.KVMount == "" {
		s.options.KVMount = "secret"
	}
	if err := s.launch(); err != nil {
		return nil, err
	}
	if o.New {
		return s, nil
	}
	if err := errors.Join(s.initialise(ctx), s.unseal(ctx), s.mount(ctx, s.options.TransitMount, s.options.KVMount)); err != nil {
		s.Close()
		return nil, fmt.Errorf("setting the Vault server up: %w\n%s", err, s.process.log())
	}
	return s, nil
}

// Address is the server's URL.
func (s *Server) Address() string {
	if s.options.TLS.Cert != "" {
		return "https://" + s.address
	}
	return "http://" + s.address
}

// Token is the root token.
func (s *Server) Token() string { return s.token }

// Mounts are where the engines are.
func (s *Server) Mounts() (transit, kv string) { return s.options.TransitMount, s.options.KVMount }

// PID is the server's process.
func (s *Server) PID() int { return s.process.pid }

// Client is a client with the root token, for looking and acting beneath whatever is under test.
func (s *Server) Client() *api.Client { return s.client }

// Close kills the server.
func (s *Server) Close() {
	if s.process != nil {
		s.process.kill()
	}
	if s.client != nil {
		s.client.CloneConfig().HttpClient.CloseIdleConnections()
	}
}

// Stop ends the server as an operator does.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.TryStop(); err != nil {
		t.Fatal(err)
	}
}

// Kill ends the server as a power cut does, but for what the operating system has not written yet.
func (s *Server) Kill() { s.process.kill() }

// Freeze stops the server in its tracks: connections are accepted and nothing answers. Thaw lets it go on. It returns once
// a request went without answer: the signal takes a moment to stop all threads.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	s.process.signal(t, freeze)
	for answered := true; answered; {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := s.client.Sys().HealthWithContext(ctx)
		answered = err == nil
		cancel()
	}
}

// Thaw undoes Freeze.
func (s *Server) Thaw(t testing.TB) { s.process.signal(t, thaw) }

// Boot starts the server again after Stop or Kill; it is sealed, as after any start.
func (s *Server) Boot(t testing.TB) {
	t.Helper()
	if err := s.TryBoot(); err != nil {
		t.Fatal(err)
	}
}

// Restart stops, boots and unseals. Only with a folder does anything survive that.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop(t)
	s.Boot(t)
	s.Unseal(t)
}

// Seal seals the server: it answers 503 to everything.
func (s *Server) Seal(t testing.TB) {
	t.Helper()
	if err := s.TrySeal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Unseal unseals the server and waits until it works.
func (s *Server) Unseal(t testing.TB) {
	t.Helper()
	if err := s.TryUnseal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// launch starts the process at the address.
func (s *Server) launch() error {
	args := []string{"-listen", s.address, "-storage", s.options.Dir}
	if tls := s.options.TLS; tls.Cert != "" {
		args = append(args, "-tls-cert", tls.Cert, "-tls-key", tls.Key, "-tls-client-ca", tls.ClientCA)
	}
	p, address, err := run(s.binary, s.options.LogFile, args...)
	if err != nil {
		return err
	}
	s.process, s.address = p, address
	if s.client == nil {
		s.client, err = s.newClient()
	}
	return err
}

func (s *Server) newClient() (*api.Client, error) {
	config := api.DefaultConfig()
	config.Address = s.Address()
	config.Timeout = 30 * time.Second
	tls := s.options.TLS
	if err := config.ConfigureTLS(&api.TLSConfig{CACert: tls.CA, ClientCert: tls.Client, ClientKey: tls.ClientKey}); err != nil {
		return nil, err
	}
	c, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	c.ClearNamespace()
	return c, nil
}

func (s *Server) initialise(ctx context.Context) error {
	got, err := s.client.Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return err
	}
	s.key, s.token = got.KeysB64[0], got.RootToken
	s.client.SetToken(s.token)
	return nil
}

func (s *Server) unseal(ctx context.Context) error {
	is, err := s.client.Sys().UnsealWithContext(ctx, s.key)
	if err != nil {
		return err
	}
	if is.Sealed {
		return errors.New("the server stays sealed")
	}
	return nil
}

// Mount mounts both engines once more, elsewhere and with a pepper of their own: those who share the server share nothing
// else then.
func (s *Server) Mount(t testing.TB, transit, kv string) {
	t.Helper()
	if err := s.mount(t.Context(), transit, kv); err != nil {
		t.Fatal(err)
	}
}

// mount mounts the engines and makes the pepper.
func (s *Server) mount(ctx context.Context, transit, kv string) error {
	err := errors.Join(
		s.client.Sys().MountWithContext(ctx, transit, &api.MountInput{Type: "transit"}),
		s.client.Sys().MountWithContext(ctx, kv, &api.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}),
	)
	if err != nil {
		return err
	}
	if err := s.awaitKV(ctx, kv); err != nil {
		return err
	}
	if s.options.NoPepper {
		return nil
	}
	_, err = s.client.Logical().WriteWithContext(ctx, transit+"/keys/tokenkeep-pepper", map[string]any{"type": "hmac", "key_size": 32})
	return err
}

// awaitKV waits until KV has prepared its mount, which it does behind our backs.
func (s *Server) awaitKV(ctx context.Context, kv string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := s.client.Logical().ReadWithContext(ctx, kv+"/config")
		var answer *api.ResponseError
		if err == nil || errors.As(err, &answer) && answer.StatusCode != http.StatusBadRequest && answer.StatusCode < 500 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", kv, err)
		}
	}
}

// environment is what the server's process sees: nothing that the test's own Vault settings could change.
func environment() []string { return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir()} }
