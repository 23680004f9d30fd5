package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/tokenkeep/tokenkeep/internal/server/playground"
)

// serveCmd is "tokenkeep serve".
type serveCmd struct {
	Listen string `env:"TOKENKEEP_LISTEN" default:"127.0.0.1:8080" placeholder:"ADDRESS" help:"Address of the API (${default}). TLS ends in front of it."`
	publicSettings
	databaseSettings
	vaultSettings
	operatorSettings
	providerSettings
	refreshSettings
	outboundSettings
	holdSettings
	Playground    bool       `env:"TOKENKEEP_PLAYGROUND" negatable:"" help:"Serve a page at /playground to try queries in a browser (off)."`
	Introspection bool       `env:"TOKENKEEP_INTROSPECTION" default:"true" negatable:"" help:"Let anybody read the schema, which is public, and suggest names in errors (on)."`
	LogLevel      slog.Level `env:"TOKENKEEP_LOG_LEVEL" default:"info" placeholder:"LEVEL" help:"debug, info, warn or error (${default}). Logs go to standard error."`
	LogFormat     string     `env:"TOKENKEEP_LOG_FORMAT" default:"text" enum:"text,json" placeholder:"FORMAT" help:"text or json (${default})."`
}

// Help is what "tokenkeep serve --help" says beside the flags.
func (serveCmd) Help() string {
	return `A setting that is missing or wrong stops the start and says what to do. serve makes no keys and changes no tables:

  tokenkeep rootkey create FILE       the key that opens the vault; keep a copy of it elsewhere
  tokenkeep operatorkey create FILE   the key that creates tenants
  tokenkeep migrate up                the tables
  tokenkeep tenant create NAME        a tenant and its first API key
  tokenkeep doctor                    what is wrong with the settings, and how to mend it

/healthz answers while the process runs, /readyz while database, migrations and vault are well. While HashiCorp Vault is
sealed or away serve starts all the same and goes to work once it is back; a login that it refuses stops the start. After SIGTERM requests
under way have two minutes to finish, and a refresh whose answer is on its way is stored before the process ends; give a
service manager that much patience.`
}

// Run serves until the first signal.
func (c *serveCmd) Run(t *terminal, sig signals) error {
	log := newLogger(t.err, c.LogLevel, c.LogFormat)
	p, err := c.parts(sig.stop, log)
	if err != nil {
		return err
	}
	return errors.Join(c.serve(sig, p), p.close())
}

func (c *serveCmd) serve(sig signals, p parts) error {
	s, err := wire(p)
	if err != nil {
		return err
	}
	l, err := listen(sig.stop, "listen", c.Listen)
	if err != nil {
		return err
	}
	o := surface{introspection: c.Introspection}
	if c.Playground {
		o.playground = &playground.Options{}
	}
	p.log.Info("listening", "address", l.Addr().String(), "public", p.publicURL, "version", version())
	err = s.run(sig, s.http(o), l)
	p.log.Info("stopped")
	return err
}

// parts checks all settings and opens what they name: first what costs nothing to check.
func (c *serveCmd) parts(ctx context.Context, log *slog.Logger) (p parts, err error) {
	p.log = log
	if p.publicURL, err = c.base(); err != nil {
		return p, err
	}
	if p.holdPolicy, err = c.policy(); err != nil {
		return p, err
	}
	if err := c.vaultSettings.check(); err != nil {
		return p, err
	}
	if p.operator, err = c.operatorSettings.load(); err != nil {
		return p, err
	}
	if p.catalogue, err = c.providerSettings.load(); err != nil {
		return p, err
	}
	if p.reachable, err = c.allowed(); err != nil {
		return p, err
	}
	p.refresh = c.refreshSettings
	if err := p.refresh.check(); err != nil {
		return p, err
	}
	return c.connect(ctx, p)
}

// connect opens the database and the vault.
func (c *serveCmd) connect(ctx context.Context, p parts) (parts, error) {
	var err error
	if p.db, err = c.openMigrated(ctx, p.log); err != nil {
		return p, err
	}
	if p.vault, err = c.vaultSettings.openToServe(ctx, p.db, p.log); err != nil {
		return p, errors.Join(err, p.close())
	}
	return p, nil
}
