package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/tokenkeep/tokenkeep/graph"
	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/deletion"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/hold"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/outbound"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/refresh"
	"github.com/tokenkeep/tokenkeep/internal/rewrap"
	"github.com/tokenkeep/tokenkeep/internal/server"
	"github.com/tokenkeep/tokenkeep/internal/server/playground"
	"github.com/tokenkeep/tokenkeep/internal/tenancy"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/moving"
	"github.com/tokenkeep/tokenkeep/internal/zoom"
)

// parts are what was chosen and opened: everything else is the same whatever was chosen.
type parts struct {
	db        *database.DB
	vault     vault.Vault
	catalogue *provider.Catalogue
	operator  tenancy.OperatorKey
	refresh   refreshSettings
	// reachable are the ranges off the public internet where providers may be called.
	reachable []netip.Prefix
	// holdPolicy is when holds are raised; zero means the defaults.
	holdPolicy hold.Policy
	// publicURL is where callers and providers reach the service.
	publicURL string
	log       *slog.Logger
}

// close closes what is open, the vault before the database: what is written last is written to the vault.
func (p parts) close() error {
	var err error
	if p.vault != nil {
		err = p.vault.Close()
	}
	if p.db != nil {
		err = errors.Join(err, p.db.Close())
	}
	if err != nil {
		return fmt.Errorf("closing the vault and the database: %w", err)
	}
	return nil
}

// service is Tokenkeep, wired.
type service struct {
	parts
	tenancy     *tenancy.Service
	apps        *app.Service
	connections *connection.Service
	holds       *hold.Service
	watcher     *hold.Watcher
	sweeper     *grant.Sweeper
	// scheduler is nil where this process renews nothing ahead of need.
	scheduler *refresh.Scheduler
	rewrapper *rewrap.Service
	deleter   *deletion.Service
}

// wire makes a service of its parts. Nothing runs yet.
func wire(p parts) (*service, error) {
	tenants := tenancy.New(tenancy.Options{DB: p.db, Vault: p.vault, Operator: p.operator, Logger: p.log})
	apps := app.New(app.Options{DB: p.db, Keys: p.vault, Providers: p.catalogue, PublicURL: p.publicURL})
	clock := database.NewClock(p.db, time.Now, p.log)
	if err := measured(clock); err != nil {
		return nil, err
	}
	holds := hold.New(hold.Options{DB: p.db, Policy: p.holdPolicy, Now: clock.Now, Logger: p.log})
	calls := outbound.Transport(outbound.Options{Allow: p.reachable, Proxy: http.ProxyFromEnvironment})
	connections, err := connection.New(connection.Options{
		DB: p.db, Vault: p.vault, Apps: apps, OAuth: oauth.New(oauth.Options{Transport: calls}), Zoom: zoom.New(zoom.Options{Transport: calls}),
		Holds:     holds,
		Catalogue: p.catalogue, Pace: p.refresh.pace(), Now: clock.Now, Logger: p.log,
		Durable: func(what string, after time.Duration) {
			p.log.Debug("a provider's answer is durable", "what", what, "after", after)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("wiring the service: %w", err)
	}
	s := &service{
		parts: p, tenancy: tenants, apps: apps, connections: connections,
		holds: holds, watcher: hold.NewWatcher(holds, 0),
		sweeper:   grant.NewSweeper(connections.Keeper(), 0),
		rewrapper: rewrap.New(rewrap.Options{DB: p.db, Vault: p.vault, Logger: p.log}),
		deleter:   deletion.New(deletion.Options{DB: p.db, Vault: p.vault, Connections: connections, Forget: apps.Forget, Logger: p.log}),
	}
	if p.refresh.Workers > 0 {
		s.scheduler = refresh.New(p.refresh.options(connections, s.ready, p.log))
	}
	return s, nil
}

// measured compares the clock with the database's before anything depends on it.
func measured(c *database.Clock) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return c.Measure(ctx)
}

// ready asks both stores for an answer.
func (s *service) ready(ctx context.Context) error {
	return errors.Join(s.db.Ping(ctx), s.vault.Health(ctx))
}

// surface is how the service looks from outside.
type surface struct {
	introspection bool
	// playground is nil where there is no page.
	playground   *playground.Options
	loopbackOnly bool
}

// http makes the HTTP side.
func (s *service) http(o surface) *server.Server {
	return server.New(server.Options{
		GraphQL: graph.NewHandler(graph.Options{
			Connections: s.connections, Apps: s.apps, Tenancy: s.tenancy, Holds: s.holds, Providers: s.catalogue, Ent: s.db.Ent,
			Log: s.log, Introspection: o.introspection,
		}),
		Callers: s.tenancy, Ready: s.checks(), Playground: o.playground, LoopbackOnly: o.loopbackOnly, Logger: s.log,
	})
}

// checks are what /readyz reports.
func (s *service) checks() []server.Check {
	return []server.Check{
		{Name: "database", Run: s.db.Ping},
		{Name: "migrations", Run: func(ctx context.Context) error { return migrated(ctx, s.db) }},
		{Name: "vault", Run: s.vault.Health},
	}
}

// The times that are granted on the way out.
const (
	// grace is for requests and for what is spent at a provider, together, after the first signal.
	grace = 120 * time.Second
	// shortGrace is for what is spent at a provider after the second signal: that token exists nowhere else.
	shortGrace = 10 * time.Second
)

// run serves until it is told to stop, then waits for what must not be cut: a refresh whose answer is on its way is
// stored before run returns. It leaves the parts open.
func (s *service) run(sig signals, h *server.Server, l net.Listener) error {
	force, cancel := sig.within(grace)
	defer cancel()
	s.sweeper.Start(context.Background())
	if _, moves := s.vault.(*moving.Vault); !moves { // key versions of two vaults have nothing to do with one another
		s.rewrapper.Start(context.Background())
	}
	s.deleter.Start(context.Background())
	if s.scheduler != nil {
		s.scheduler.Start(context.Background())
	}
	s.watcher.Start(context.Background())
	err := h.Serve(sig.stop, force, l)
	return errors.Join(err, s.drain(force))
}

// drain ends what runs beside requests.
func (s *service) drain(force context.Context) error {
	if s.scheduler != nil {
		s.scheduler.Stop(force)
	}
	err := s.connections.Drain(force)
	if err != nil {
		short, cancel := context.WithTimeout(context.Background(), shortGrace)
		defer cancel()
		err = s.connections.Drain(short)
	}
	s.watcher.Stop()
	s.deleter.Stop()
	s.rewrapper.Stop()
	s.sweeper.Stop()
	s.tenancy.Close()
	s.apps.Close()
	if err != nil {
		return fmt.Errorf("refreshes were under way when the time was over; what they brought may be lost: %w", err)
	}
	return nil
}
