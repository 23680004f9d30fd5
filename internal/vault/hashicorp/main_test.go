package hashicorp_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

// shared is a server in memory that most tests share: tenants are random, so they do not meet.
var shared = sync.OnceValues(func() (*server.Server, error) {
	started = true
	return server.New(context.Background(), server.Options{})
})

// started is read when all tests are over.
var started bool

func TestMain(m *testing.M) {
	code := m.Run()
	if started {
		if s, err := shared(); err == nil {
			s.Close()
		}
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func sharedServer(t testing.TB) *server.Server {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rootOptions are options that log in to s with its root token.
func rootOptions(s *server.Server) hashicorp.Options {
	transit, kv := s.Mounts()
	return hashicorp.Options{
		Address: s.Address(), TransitMount: transit, KVMount: kv, Login: tokenLogin(s.Token()),
		Logger: slog.New(slog.DiscardHandler),
	}
}

// openVault opens a vault that is closed when the test ends.
func openVault(t testing.TB, o hashicorp.Options) *hashicorp.Vault {
	t.Helper()
	v, err := hashicorp.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func tokenLogin(token string) hashicorp.Login { return hashicorp.Login{Token: secret.New(token)} }
