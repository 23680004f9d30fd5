package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/server"
	"github.com/tokenkeep/tokenkeep/internal/server/playground"
	"github.com/tokenkeep/tokenkeep/internal/tenancy"
	"github.com/tokenkeep/tokenkeep/internal/vault/embedded"
)

// devCmd is "tokenkeep dev".
type devCmd struct {
	Data       string `default:".tokenkeep" placeholder:"DIR" help:"Folder for the database, the vault, all keys and the emulator's state; made where it is missing (${default} in the working directory)."`
	Listen     string `default:"127.0.0.1:8080" placeholder:"ADDRESS" help:"Loopback address of the API and the Playground; port 0 takes a free one (${default})."`
	ZoomListen string `default:"127.0.0.1:8090" placeholder:"ADDRESS" help:"Loopback address of the Zoom emulator; port 0 takes a free one (${default})."`
	providerSettings
	refreshSettings
	JSON      bool       `name:"json" help:"Print one line of JSON with graphql, playground, zoom, apiKey, operatorKey, app and tenant, and nothing else on standard output."`
	LogLevel  slog.Level `default:"warn" placeholder:"LEVEL" help:"debug, info, warn or error (${default}). Logs go to standard error."`
	LogFormat string     `default:"text" enum:"text,json" placeholder:"FORMAT" help:"text or json (${default})."`
}

// Help is what "tokenkeep dev --help" says beside the flags.
func (devCmd) Help() string {
	return `Nothing leaves this machine and nothing else is needed. The first start makes a demo tenant with an app of the
emulated Zoom and an API key; a second start with the same --data finds everything again, connections and the emulator's
grants included, and prints the same key. Ctrl-C stops.

The folder holds the keys beside what they open, so that it starts by itself: it is for trying, not for real accounts.`
}

// Run starts everything and stops with the first signal.
func (c *devCmd) Run(t *terminal, sig signals) error {
	log := newLogger(t.err, c.LogLevel, c.LogFormat)
	d, err := c.start(sig.stop, log)
	if err != nil {
		return errors.Join(err, d.close())
	}
	if err := d.info.write(t.out, c.JSON, c.Data); err != nil {
		return errors.Join(err, d.close())
	}
	return errors.Join(d.service.run(sig, d.server, d.listener), d.close())
}

// dev is what runs, and what is to be closed in the reverse order of its opening.
type dev struct {
	listener net.Listener
	service  *service
	server   *server.Server
	emulator *emulator
	info     devInfo
	closers  []func() error
}

func (d *dev) close() error {
	var all []error
	for i := len(d.closers) - 1; i >= 0; i-- {
		all = append(all, d.closers[i]())
	}
	d.closers = nil
	return errors.Join(all...)
}

func (d *dev) later(f func() error) { d.closers = append(d.closers, f) }

// path is a file in the data folder.
func (c *devCmd) path(name string) string { return filepath.Join(c.Data, name) }

// start opens everything. What it returns is to be closed, also beside an error.
func (c *devCmd) start(ctx context.Context, log *slog.Logger) (*dev, error) {
	d := &dev{}
	if err := c.claim(d); err != nil {
		return d, err
	}
	zoomListener, err := c.open(ctx, d)
	if err != nil {
		return d, err
	}
	if d.emulator, err = startEmulator(zoomListener, c.path("zoomsim.json"), log); err != nil {
		return d, errors.Join(err, zoomListener.Close())
	}
	d.later(d.emulator.close)
	p, operatorKey, err := c.parts(ctx, d, log)
	if err != nil {
		return d, err
	}
	if d.service, err = wire(p); err != nil {
		return d, err
	}
	return d, c.finish(ctx, d, operatorKey)
}

// claim makes the folder and takes its lock: two processes would each believe that the emulator's state is theirs.
func (c *devCmd) claim(d *dev) error {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("making the folder of --data: %w", err)
	}
	release, err := lockFile(c.path("lock"))
	if errors.Is(err, errLocked) {
		return fmt.Errorf("another tokenkeep dev runs on %s: stop it, or choose another folder with --data", c.Data)
	}
	if err != nil {
		return err
	}
	d.later(release)
	return nil
}

// open opens both listeners.
func (c *devCmd) open(ctx context.Context, d *dev) (zoomListener net.Listener, err error) {
	if d.listener, err = listenLoopback(ctx, "listen", c.Listen); err != nil {
		return nil, err
	}
	d.later(func() error { // closed by whoever served on it, unless nobody came to serve
		if err := d.listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return listenLoopback(ctx, "zoom-listen", c.ZoomListen)
}

// loopback is where the emulator is, and whatever else a developer runs.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// parts opens or makes the database, the vault and the keys.
func (c *devCmd) parts(ctx context.Context, d *dev, log *slog.Logger) (parts, secret.Text, error) {
	p := parts{publicURL: baseURL(d.listener), refresh: c.refreshSettings, log: log, reachable: loopback}
	if err := p.refresh.check(); err != nil {
		return p, secret.Text{}, err
	}
	operatorKey, err := c.operatorKey()
	if err != nil {
		return p, secret.Text{}, err
	}
	if p.operator, err = tenancy.NewOperatorKey(operatorKey); err != nil {
		return p, secret.Text{}, err
	}
	d.later(func() error { return p.close() })
	if p.db, err = database.Open(ctx, "sqlite://"+c.path("tokenkeep.db"), database.Options{Logger: log}); err != nil {
		return p, secret.Text{}, err
	}
	if _, err = p.db.Migrate(ctx); err != nil {
		return p, secret.Text{}, err
	}
	rootKey, err := c.rootKey()
	if err != nil {
		return p, secret.Text{}, err
	}
	opened, err := embedded.Open(ctx, embedded.Options{Path: c.path("vault.db"), RootKey: rootKey})
	if err != nil {
		return p, secret.Text{}, err
	}
	p.vault = opened
	p.catalogue, err = c.providerSettings.load()
	if err == nil {
		p.catalogue = p.catalogue.With(provider.Zoom().AtBase(d.emulator.url, d.emulator.url))
	}
	return p, operatorKey, err
}

// rootKey reads the vault's root key, and makes it with the vault. It never makes one for a vault that there is already.
func (c *devCmd) rootKey() (secret.Bytes, error) {
	file := c.path("root.key")
	if !exists(file) {
		if exists(c.path("vault.db")) {
			return secret.Bytes{}, fmt.Errorf("%s is missing, and nothing else opens the vault beside it: put it back, or remove %s to begin anew", file, c.Data)
		}
		if err := embedded.CreateRootKey(file); err != nil {
			return secret.Bytes{}, err
		}
	}
	return embedded.LoadRootKey(file)
}

func (c *devCmd) operatorKey() (secret.Text, error) {
	file := c.path("operator.key")
	if !exists(file) {
		return tenancy.CreateOperatorKey(file)
	}
	return tenancy.ReadOperatorKey(file)
}

// finish makes the demo tenant and the HTTP side, which fills its key into the Playground.
func (c *devCmd) finish(ctx context.Context, d *dev, operatorKey secret.Text) error {
	base := baseURL(d.listener)
	redirectURIs := []string{base + "/playground", base + "/oauth/callback"}
	made, err := demoMaker{file: c.path("demo.json"), service: d.service, emulator: d.emulator, redirectURIs: redirectURIs}.make(ctx)
	if err != nil {
		return err
	}
	d.info = devInfo{
		GraphQL: base + "/graphql", Playground: base + "/playground", Zoom: d.emulator.url,
		APIKey: made.APIKey, OperatorKey: operatorKey.Reveal(), App: made.App, Tenant: made.Tenant,
	}
	if d.info.consent, err = made.consentURL(d.service.catalogue, redirectURIs[0]); err != nil {
		return err
	}
	d.server = d.service.http(surface{
		introspection: true, loopbackOnly: true,
		playground: &playground.Options{
			DevKey:    secret.New(made.APIKey),
			DevValues: map[string]string{"app": made.App, "redirectUri": redirectURIs[0], "consentUrl": d.info.consent},
		},
	})
	return nil
}
