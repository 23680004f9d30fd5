package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tokenkeep/tokenkeep/internal/id"
)

// bench is one run.
type bench struct {
	options
	dir      string
	progress io.Writer
}

// target is a way to run the service that is worth measuring.
type target struct {
	name string
	// start fills the database and starts the service. What it returns is to be closed, also beside an error.
	start func(ctx context.Context, dir string, all []account) (*service, error)
}

// service is a running service and what its callers know.
type service struct {
	process *process
	client  *http.Client
	// graphql and zoom are addresses.
	graphql, zoom string
	key           string
	// tenant and app are ids as the API writes them.
	tenant, app           string
	clientID, redirectURI string
	// made are the connections that connected made.
	made []string
	// vault is nil with the embedded vault.
	vault *realVault
	// users counts the users that the emulator has seen.
	users   int64
	closers []func() error
	// restart ends the process and starts another, with settings beside its own; nil where there is no need.
	restart func(ctx context.Context, settings ...string) error
}

func (s *service) close() error {
	var all []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		all = append(all, s.closers[i]())
	}
	return errors.Join(all...)
}

func (s *service) later(f func() error) { s.closers = append(s.closers, f) }

// load is a load for the service.
func (s *service) load(clients int) *load {
	return &load{client: s.client, url: s.graphql, key: s.key, clients: clients}
}

// build builds the service, unless there is one already.
func (b *bench) build(ctx context.Context) error {
	if b.binary != "" {
		return nil
	}
	b.binary = filepath.Join(b.dir, "tokenkeep")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", b.binary, "github.com/tokenkeep/tokenkeep/cmd/tokenkeep").CombinedOutput() // #nosec G204 -- a path of its own
	if err != nil {
		return fmt.Errorf("building the service: %w: %s", err, out)
	}
	return nil
}

// targets are those that the flags ask for and this machine can run.
func (b *bench) targets() ([]target, error) {
	var all []target
	if b.database != "postgres" && b.vault != "hashicorp" {
		all = append(all, target{"tokenkeep dev: SQLite, embedded vault, the emulator in the same process", b.startDev})
	}
	if b.database == "sqlite" {
		return all, nil
	}
	if _, err := postgresPrograms(); err != nil {
		if len(all) == 0 {
			return nil, err
		}
		tell(b.progress, "leaving PostgreSQL out: %v\n", err)
		return all, nil
	}
	if b.vault != "hashicorp" {
		all = append(all, target{"tokenkeep serve: PostgreSQL, embedded vault, the emulator in a process of its own", b.startServe})
	}
	if b.vault != "embedded" {
		all = append(all, target{"tokenkeep serve: PostgreSQL, HashiCorp Vault, the emulator in a process of its own", b.startServeVault})
	}
	return all, nil
}

// startDev starts "tokenkeep dev" once for its tenant, and again over the filled database.
func (b *bench) startDev(ctx context.Context, dir string, all []account) (*service, error) {
	data := filepath.Join(dir, "data")
	s, err := b.dev(ctx, dir, data)
	if err != nil {
		return s, err
	}
	o, err := s.owner()
	if err := errors.Join(err, s.close()); err != nil {
		return s, err
	}
	if err := fill(ctx, "sqlite://"+filepath.Join(data, "tokenkeep.db"), o, all, b.progress); err != nil {
		return s, err
	}
	return b.dev(ctx, dir, data)
}

// dev starts "tokenkeep dev" and learns what it prints.
func (b *bench) dev(ctx context.Context, dir, data string) (*service, error) {
	s := &service{client: newClient(b.clients)}
	var err error
	if s.process, err = start(ctx, dir, nil, b.binary, "dev", "--json", "--data", data, "--listen", "127.0.0.1:0", "--zoom-listen", "127.0.0.1:0"); err != nil {
		return s, err
	}
	s.later(s.process.stop)
	if err := s.process.awaitLine(); err != nil {
		return s, err
	}
	var printed struct{ GraphQL, Zoom, APIKey, App, Tenant string }
	if err := json.Unmarshal([]byte(s.process.first), &printed); err != nil {
		return s, fmt.Errorf("reading the line of tokenkeep dev: %w", err)
	}
	s.graphql, s.zoom, s.key, s.app, s.tenant = printed.GraphQL, printed.Zoom, printed.APIKey, printed.App, printed.Tenant
	return s, s.learnApp(ctx)
}

// learnApp asks for what a consent needs to know of the app.
func (s *service) learnApp(ctx context.Context) error {
	l := s.load(1)
	l.want = []byte(`"clientId"`)
	given, err := l.post(ctx, encode(`query App($id: ID!) { app(id: $id) { clientId redirectUris } }`, variables{ID: s.app}))
	if err != nil {
		return err
	}
	var a struct {
		Data struct {
			App struct {
				ClientID     string
				RedirectURIs []string
			}
		}
	}
	if err := json.Unmarshal(given, &a); err != nil || len(a.Data.App.RedirectURIs) == 0 {
		return fmt.Errorf("reading the app: %w", errors.Join(err, errAnswer))
	}
	s.clientID, s.redirectURI = a.Data.App.ClientID, a.Data.App.RedirectURIs[0]
	return nil
}

// owner is the service's tenant and app as the database names them.
func (s *service) owner() (owner, error) {
	tenantID, err := id.Tenant.Parse(s.tenant)
	if err != nil {
		return owner{}, err
	}
	appID, err := id.App.Parse(s.app)
	return owner{tenant: tenantID, app: appID, clientID: s.clientID}, err
}

// startBare starts this binary as the reference.
func (b *bench) startBare(ctx context.Context, dir string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, dir, nil, self, bareArgument)
	if err != nil {
		return nil, err
	}
	if err := p.awaitLine(); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(p.first, "http://") {
		return nil, errors.Join(fmt.Errorf("the reference printed %q", p.first), p.stop())
	}
	return p, nil
}
