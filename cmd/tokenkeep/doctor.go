package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/hold"
	"github.com/tokenkeep/tokenkeep/internal/outbound"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// doctorCmd is "tokenkeep doctor". It has the settings of serve.
type doctorCmd struct {
	publicSettings
	databaseSettings
	vaultSettings
	operatorSettings
	providerSettings
	outboundSettings
}

// Help is what "tokenkeep doctor --help" says beside the flags.
func (doctorCmd) Help() string {
	return `Run it with the settings of serve, whether that runs or not. Each line is a check: what holds after a tick, and after a
cross what does not and how to mend it. Exit code 1 where there is a cross. It changes nothing, but that the
embedded vault notes a key of the operator's, and HashiCorp Vault that a key for trying was destroyed.`
}

// check is one line of the doctor: what it found to hold, or an error that says how to mend it.
type check func(context.Context, *patient) (holds string, err error)

// patient is what checks find out for those after them.
type patient struct {
	db *database.DB
	// answers is true where HashiCorp Vault does; vault is that one, open.
	answers bool
	vault   vault.Vault
}

// errSkipped is for a check that cannot be made because of a cross above.
var errSkipped = errors.New("not checked, for want of the above")

// Run makes all checks, whatever comes out of them.
func (c *doctorCmd) Run(t *terminal, sig signals) error {
	p := &patient{}
	failed := 0
	checks := slices.Concat([]check{c.checkPublic, c.checkDatabase, c.checkMigrations}, c.vaultChecks(), []check{c.checkOperator, c.checkProviders, c.checkHolds})
	for _, check := range checks {
		holds, err := check(sig.stop, p)
		line := "✓ " + holds
		if err != nil {
			failed++
			line = "✗ " + explain(err)
		}
		if _, err := fmt.Fprintln(t.out, line); err != nil {
			return err
		}
	}
	if err := (parts{db: p.db, vault: p.vault}).close(); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of the checks failed", failed)
	}
	return nil
}

// checkPublic wants https: keys travel to this address.
func (c *doctorCmd) checkPublic(context.Context, *patient) (string, error) {
	base, err := c.base()
	if err != nil {
		return "", err
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	if u.Scheme != "https" && !isLoopback(u.Hostname()) {
		return "", fmt.Errorf("TOKENKEEP_PUBLIC_URL %s is not https, and keys and credentials travel there: put a proxy that ends TLS in front, and name its address", base)
	}
	return "callers reach the service at " + base, nil
}

func (c *doctorCmd) checkDatabase(ctx context.Context, p *patient) (string, error) {
	db, err := c.databaseSettings.openExisting(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	p.db = db
	return "the database answers (" + db.Dialect + ")", nil
}

func (c *doctorCmd) checkMigrations(ctx context.Context, p *patient) (string, error) {
	if p.db == nil {
		return "", fmt.Errorf("the database's tables: %w", errSkipped)
	}
	if err := migrated(ctx, p.db); err != nil {
		return "", err
	}
	return "the database is up to date", nil
}

func (c *doctorCmd) checkRootKey(context.Context, *patient) (string, error) {
	if err := c.checkKind("TOKENKEEP_VAULT", "embedded"); err != nil {
		return "", err
	}
	if _, err := c.rootKey(); err != nil {
		return "", err
	}
	return "the root key can be read, by its owner alone", nil
}

// checkVault opens the vault, where there is one, and seals something.
func (c *doctorCmd) checkVault(ctx context.Context, p *patient) (string, error) {
	if p.db == nil || c.checkKind("TOKENKEEP_VAULT", "embedded") != nil || migrated(ctx, p.db) != nil {
		return "", fmt.Errorf("the vault: %w", errSkipped)
	}
	if !exists(c.VaultFile) {
		if err := c.guard(ctx, p.db); err != nil {
			return "", err
		}
		return "the vault " + c.VaultFile + " is not there yet; the first start makes it", nil
	}
	v, err := c.openEmbedded(ctx)
	if err != nil {
		return "", err
	}
	if err := errors.Join(seals(ctx, v), v.Close()); err != nil {
		return "", fmt.Errorf("trying the vault: %w", err)
	}
	return "the vault opens with the root key, seals and opens", nil
}

// seals seals something under the operator's key and opens it again.
func seals(ctx context.Context, v vault.Vault) error {
	if err := errors.Join(v.Health(ctx), v.CreateKey(ctx, tenant.Operator)); err != nil {
		return err
	}
	place := vault.Place{Tenant: tenant.Operator, Purpose: vault.PurposeClientSecret, Object: uuid.New()}
	want := []byte("doctor")
	sealed, err := vault.Seal(ctx, v, place, secret.NewBytes(bytes.Clone(want)))
	if err != nil {
		return err
	}
	got, err := vault.Unseal(ctx, v, place, sealed.Bytes)
	if err == nil && !bytes.Equal(got.Reveal(), want) {
		err = errors.New("what was opened is not what was sealed")
	}
	return err
}

func (c *doctorCmd) checkOperator(context.Context, *patient) (string, error) {
	if _, err := c.operatorSettings.load(); err != nil {
		return "", err
	}
	info, err := os.Stat(c.OperatorKeyFile)
	if err != nil {
		return "", fmt.Errorf("reading the operator key's mode: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("the operator key %s may be read by others (mode %04o): run chmod 600 %s", c.OperatorKeyFile, info.Mode().Perm(), c.OperatorKeyFile)
	}
	return "the operator key can be read, by its owner alone", nil
}

func (c *doctorCmd) checkProviders(ctx context.Context, _ *patient) (string, error) {
	loaded, err := c.providerSettings.load()
	if err != nil {
		return "", err
	}
	allow, err := c.allowed()
	if err != nil {
		return "", err
	}
	for _, p := range loaded.List() {
		if known, ok := provider.Builtin().Get(p.Key); ok && known.TokenEndpoint == p.TokenEndpoint {
			continue
		}
		if err := reachable(ctx, p, allow); err != nil {
			return "", err
		}
	}
	text := fmt.Sprintf("%d providers are known", len(loaded.List()))
	if c.ProvidersFile != "" {
		text += ", those of " + c.ProvidersFile + " among them"
	}
	return text, nil
}

// reachable fails where a provider's token endpoint has an address that would be refused. A name that does not resolve
// here is no finding: it may do so where serve runs, or a proxy's work.
func reachable(ctx context.Context, p provider.Provider, allow []netip.Prefix) error {
	u, err := url.Parse(p.TokenEndpoint)
	if err != nil || u.Hostname() == "" {
		return nil //nolint:nilerr // what is wrong with an endpoint the providers file's own check says
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	for _, a := range addresses {
		if !outbound.Allowed(a, allow) {
			return fmt.Errorf("the provider %s is at %s (%s), which is not on the public internet, and will not be called: add the address or its range to TOKENKEEP_OUTBOUND_ALLOW", p.Key, u.Hostname(), a.Unmap())
		}
	}
	return nil
}

// checkHolds tells of incidents that wait for a decision.
func (c *doctorCmd) checkHolds(ctx context.Context, p *patient) (string, error) {
	if p.db == nil || migrated(ctx, p.db) != nil {
		return "", fmt.Errorf("holds: %w", errSkipped)
	}
	operator := tenant.NewContext(ctx, &tenant.Viewer{IsOperator: true})
	standing, err := hold.New(hold.Options{DB: p.db}).List(operator, true)
	if err != nil {
		return "", err
	}
	if len(standing) == 0 {
		return "no connection is kept from ending by a hold", nil
	}
	var lines []error
	for _, h := range standing {
		lines = append(lines, fmt.Errorf("%s keeps %d connections of %s from ending (%s): %s", hold.Name(h.Hold), h.Kept, hold.Subject(h.Subject), h.Reason, hold.Advice(h.Hold)))
	}
	return "", errors.Join(lines...)
}
