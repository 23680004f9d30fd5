package moving_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/embedded"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

// shared is a server in memory that the tests share: tenants are random, so they do not meet.
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

// direction is which vault is left for which.
type direction struct {
	name           string
	intoEmbedded   bool
	embeddedFolder string
}

// each runs the test in both directions.
func each(t *testing.T, test func(t *testing.T, d direction)) {
	t.Helper()
	for _, d := range []direction{{name: "into hashicorp"}, {name: "into embedded", intoEmbedded: true}} {
		t.Run(d.name, func(t *testing.T) {
			d.embeddedFolder = t.TempDir()
			test(t, d)
		})
	}
}

// open opens both vaults as another process does.
func (d direction) open(t *testing.T) (from, to vault.Movable) {
	t.Helper()
	e, h := openEmbedded(t, d.embeddedFolder), openHashicorp(t)
	if d.intoEmbedded {
		return h, e
	}
	return e, h
}

func openEmbedded(t *testing.T, folder string) vault.Movable {
	t.Helper()
	v, err := embedded.Open(t.Context(), embedded.Options{
		Path: filepath.Join(folder, "vault.db"), RootKey: secret.NewBytes(bytes.Repeat([]byte{5}, 32)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func openHashicorp(t *testing.T) vault.Movable {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	v, err := hashicorp.Open(t.Context(), hashicorp.Options{
		Address: s.Address(), Login: hashicorp.Login{Token: secret.New(s.Token())}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}
