package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/postgrestest"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// world is everything of one run.
type world struct {
	options
	out    io.Writer
	dir    string
	binary string
	began  time.Time
	// background lasts as long as the run.
	background context.Context
	stop       context.CancelFunc

	sim      *zoomsim.Server
	simURL   string
	weather  weather
	spending sync.Mutex
	ledger   *ledger
	windows  windows

	postgres *postgrestest.Cluster
	vault    *server.Server
	// database is the URL that the harness itself uses, past the proxies.
	database string
	settings []string
	operator string
	tenants  []*tenantOf
	users    []*user
	replicas []*replica
	readings readings
	// lures are calls whose only purpose is that a replica comes to a point.
	lures sync.WaitGroup

	mu sync.Mutex
	// broken are the promises that were not kept, ordered as they were found.
	broken []string
	// about are the users that broken promises are about; their histories are printed.
	about   []*user
	closers []func() error
}

func newWorld(ctx context.Context, o options, out io.Writer) (*world, error) {
	w := &world{options: o, out: out, dir: o.keep, ledger: newLedger(), began: time.Now()}
	var err error
	if w.dir == "" {
		w.dir, err = os.MkdirTemp("", "tokenkeep-torture")
	} else {
		err = os.MkdirAll(w.dir, 0o700)
	}
	if err != nil {
		return nil, err
	}
	if w.dir, err = filepath.Abs(w.dir); err != nil {
		return nil, err
	}
	w.background, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	w.say("torture %s", o)
	return w, nil
}

// close ends everything that still runs. Files stay where something was found, or where they were asked for.
func (w *world) close(failed bool) error {
	for _, r := range w.replicas {
		if p := r.current(); p != nil {
			r.down(sigkill)
		}
	}
	w.stop()
	var err error
	for i := len(w.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, w.closers[i]())
	}
	if failed || w.keep != "" {
		w.say("logs are in %s", w.dir)
		return err
	}
	return errors.Join(err, os.RemoveAll(w.dir))
}

func (w *world) later(f func() error) { w.closers = append(w.closers, f) }

// say prints a line with the time since the beginning.
func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = fmt.Fprintf(w.out, "%8.3fs  %s\n", time.Since(w.began).Seconds(), fmt.Sprintf(format, args...))
}

// broke notes a promise that was not kept.
func (w *world) broke(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	w.mu.Lock()
	w.broken = append(w.broken, line)
	w.mu.Unlock()
	w.say("BROKEN: %s", line)
}

// brokeOf is broke for a promise to a user, whose history is printed at the end.
func (w *world) brokeOf(u *user, format string, args ...any) {
	w.mu.Lock()
	if !slices.Contains(w.about, u) {
		w.about = append(w.about, u)
	}
	w.mu.Unlock()
	w.broke("%s: %s", u.email, fmt.Sprintf(format, args...))
}

// start builds and starts all that the run needs.
func (w *world) start(ctx context.Context) error {
	for _, step := range []func(context.Context) error{w.build, w.startZoom, w.startStores, w.prepare, w.startReplicas} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	w.say("%d replicas are ready", len(w.replicas))
	return nil
}

// startZoom serves the emulator for consents; replicas reach it through proxies.
func (w *world) startZoom(context.Context) error {
	w.sim = zoomsim.New(zoomsim.Options{})
	address, err := w.listen(w.sim)
	w.simURL = "http://" + address
	return err
}

// setLife sets the life of the next access token; spending must be held.
func (w *world) setLife(life time.Duration) {
	sw := w.sim.Switches()
	sw.AccessLifeSeconds = int(life / time.Second)
	if err := w.sim.SetSwitches(sw); err != nil {
		w.broke("the emulator does not take a life of %s: %v", life, err)
	}
}

// listen serves a handler on a free port of loopback until the run ends.
func (w *world) listen(h http.Handler) (address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to cancel: the address is free or it is not
	if err != nil {
		return "", err
	}
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // lines are cut on purpose
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet}
	go func() { _ = s.Serve(l) }()
	w.later(s.Close)
	return l.Addr().String(), nil
}

// startStores starts PostgreSQL and Vault, where they are used.
func (w *world) startStores(ctx context.Context) error {
	if w.mode == modeSQLite {
		w.database = "sqlite://" + w.file("tokenkeep.db")
		return nil
	}
	log, err := os.OpenFile(w.file("postgres.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	w.later(log.Close)
	if w.postgres, err = postgrestest.New(ctx, postgrestest.Options{Durable: true, Log: log}); err != nil {
		return err
	}
	w.later(w.postgres.Close)
	w.database = w.postgres.URL("postgres")
	if err := os.Mkdir(w.file("vault"), 0o700); err != nil {
		return err
	}
	if w.vault, err = server.New(context.WithoutCancel(ctx), server.Options{Dir: w.file("vault"), LogFile: w.file("vault.log")}); err != nil {
		return err
	}
	w.later(func() error { w.vault.Close(); return nil })
	w.ledger.secret("Vault's root token", w.vault.Token())
	return nil
}

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

// startReplicas starts the processes with their proxies.
func (w *world) startReplicas(ctx context.Context) error {
	for n := range w.options.replicas {
		r, err := w.newReplica(n)
		if err != nil {
			return err
		}
		w.replicas = append(w.replicas, r)
		if err := r.up(ctx); err != nil {
			return err
		}
	}
	return nil
}

// newReplica makes the place for a process: proxies and settings.
func (w *world) newReplica(n int) (*replica, error) {
	r := &replica{n: n, world: w, log: w.file(fmt.Sprintf("replica-%d.log", n))}
	r.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
	r.zoom = &zoomProxy{world: w, replica: n, traps: &r.traps}
	zoom, err := w.listen(r.zoom)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	r.graphql, r.ready = "http://"+address+"/graphql", "http://"+address+"/readyz"
	providers := w.file(fmt.Sprintf("providers-%d.json", n))
	if err := w.providers(providers, "http://"+zoom); err != nil {
		return nil, err
	}
	r.settings = append([]string{
		"TOKENKEEP_LISTEN=" + address, "TOKENKEEP_PUBLIC_URL=http://" + address, "TOKENKEEP_PROVIDERS_FILE=" + providers,
		"TOKENKEEP_LOG_FORMAT=json", "TOKENKEEP_OUTBOUND_ALLOW=127.0.0.0/8",
		// Grants are ended here by the dozen, which is what a hold is raised for.
		"TOKENKEEP_HOLD_MINIMUM=1000000",
	}, w.settings...)
	if w.mode == modeSQLite {
		return r, nil
	}
	return r, w.between(r)
}

// between puts proxies between the replica and its stores.
func (w *world) between(r *replica) error {
	to := strings.TrimPrefix(w.vault.Address(), "http://")
	r.vault = &vaultProxy{world: w, replica: r.n, traps: &r.traps, to: to,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}}
	address, err := w.listen(r.vault)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to cancel: the address is free or it is not
	if err != nil {
		return err
	}
	r.database = &postgresProxy{listener: l, socket: w.postgres.Socket(), traps: &r.traps, lines: map[net.Conn]net.Conn{}}
	go r.database.serve()
	w.later(func() error { _ = l.Close(); r.database.cut(); return nil })
	// The last one of each name counts.
	r.settings = append(r.settings, "VAULT_ADDR=http://"+address,
		"TOKENKEEP_DATABASE_URL=postgres://postgres@"+l.Addr().String()+"/postgres?sslmode=disable")
	return nil
}

// freeAddress is an address on loopback that was free a moment ago: a replica that is started again keeps its own.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to cancel: the address is free or it is not
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// anyReplica draws a replica.
func (w *world) anyReplica() *replica {
	return w.replicas[rand.IntN(len(w.replicas))] // #nosec G404 -- load
}

// alive draws a replica whose process runs and answers; nil where none does.
func (w *world) alive(ctx context.Context) *replica {
	for _, n := range rand.Perm(len(w.replicas)) { // #nosec G404 -- load
		if r := w.replicas[n]; r.current() != nil && r.isReady(ctx) {
			return r
		}
	}
	return nil
}
