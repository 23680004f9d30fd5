package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/outbound"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenancy"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/embedded"
)

// The settings are embedded into the commands that need them, so that one name means one thing everywhere. Nothing is
// marked as required: the sentences below say more than "missing flag".

// databaseSettings say where the database is.
type databaseSettings struct {
	DatabaseURL string `name:"database-url" env:"TOKENKEEP_DATABASE_URL" placeholder:"URL" help:"sqlite:///path/of/a/file.db or postgres://user:password@host/database."`
}

// vaultSettings say where the vault is and what opens it.
type vaultSettings struct {
	Vault       string `env:"TOKENKEEP_VAULT" default:"embedded" placeholder:"KIND" help:"embedded or hashicorp (${default})."`
	VaultFrom   string `env:"TOKENKEEP_VAULT_FROM" placeholder:"KIND" help:"The other kind, while everything is moved from it into the first; see tokenkeep vault copy."`
	VaultFile   string `env:"TOKENKEEP_VAULT_FILE" placeholder:"FILE" help:"The embedded vault's file; made at the first start."`
	RootKeyFile string `env:"TOKENKEEP_ROOT_KEY_FILE" placeholder:"FILE" help:"File with the key that opens the embedded vault; tokenkeep rootkey create makes one."`
	hashicorpSettings
}

// providerSettings add providers to the built-in ones.
type providerSettings struct {
	ProvidersFile string `env:"TOKENKEEP_PROVIDERS_FILE" placeholder:"FILE" help:"Providers of your own, YAML or JSON, beside the built-in ones."`
}

// outboundSettings say which addresses providers may have.
type outboundSettings struct {
	OutboundAllow []string `env:"TOKENKEEP_OUTBOUND_ALLOW" sep:"," placeholder:"RANGE" help:"Addresses off the public internet where a provider may be called, such as 10.0.0.0/8 (none)."`
}

// allowed reads the ranges.
func (s outboundSettings) allowed() ([]netip.Prefix, error) {
	ranges, err := outbound.ParseAllow(s.OutboundAllow)
	if err != nil {
		return nil, fmt.Errorf("TOKENKEEP_OUTBOUND_ALLOW: %w", err)
	}
	return ranges, nil
}

// operatorSettings say who the operator is.
type operatorSettings struct {
	OperatorKeyFile string `env:"TOKENKEEP_OPERATOR_KEY_FILE" placeholder:"FILE" help:"File with the key that creates tenants over GraphQL; tokenkeep operatorkey create makes one."`
}

// publicSettings say how the service is reached.
type publicSettings struct {
	PublicURL string `name:"public-url" env:"TOKENKEEP_PUBLIC_URL" placeholder:"URL" help:"Where callers, browsers and providers reach this service, such as https://tokenkeep.example.com."`
}

// missing is the sentence for a setting that is not there.
func missing(flag, variable, what string) error {
	return fmt.Errorf("%s is not set: set it, or --%s, to %s", variable, flag, what)
}

// open reaches the database; its schema may be old. A file of SQLite is made where there is none.
func (s databaseSettings) open(ctx context.Context, log *slog.Logger) (*database.DB, error) {
	if s.DatabaseURL == "" {
		return nil, missing("database-url", "TOKENKEEP_DATABASE_URL",
			"sqlite:///path/of/a/file.db or postgres://user:password@host/database")
	}
	return database.Open(ctx, s.DatabaseURL, database.Options{Logger: log})
}

// openExisting is open, and makes no file: a wrong path is found out, not filled.
func (s databaseSettings) openExisting(ctx context.Context, log *slog.Logger) (*database.DB, error) {
	file, ok := strings.CutPrefix(s.DatabaseURL, "sqlite://")
	if ok && file != "" && !exists(file) {
		return nil, fmt.Errorf("there is no database at %s: correct TOKENKEEP_DATABASE_URL, or make a new one with tokenkeep migrate up", file)
	}
	return s.open(ctx, log)
}

// openMigrated is openExisting, and refuses an old schema: only "migrate up" changes it.
func (s databaseSettings) openMigrated(ctx context.Context, log *slog.Logger) (*database.DB, error) {
	db, err := s.openExisting(ctx, log)
	if err != nil {
		return nil, err
	}
	if err := migrated(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// migrated fails where the database lacks migrations.
func migrated(ctx context.Context, db *database.DB) error {
	pending, err := db.Pending(ctx)
	if err != nil {
		return err
	}
	if len(pending) > 0 {
		return fmt.Errorf("the database lacks %d of the migrations of this version: run tokenkeep migrate up", len(pending))
	}
	return nil
}

// check finds what is wrong with the settings by themselves.
func (s vaultSettings) check() error {
	if err := s.checkKind("TOKENKEEP_VAULT", s.Vault); err != nil || s.VaultFrom == "" {
		return err
	}
	if s.VaultFrom == s.Vault {
		return fmt.Errorf("TOKENKEEP_VAULT_FROM and TOKENKEEP_VAULT are both %s: a move goes from one kind to the other", s.Vault)
	}
	return s.checkKind("TOKENKEEP_VAULT_FROM", s.VaultFrom)
}

// checkKind finds what is wrong with the settings of one kind of vault, which the variable asks for.
func (s vaultSettings) checkKind(variable, kind string) error {
	switch {
	case kind == "hashicorp":
		return s.hashicorpSettings.check()
	case kind != "embedded":
		return fmt.Errorf("%s is %q, which is no kind of vault: set it to embedded or hashicorp", variable, kind)
	case s.VaultFile == "":
		return missing("vault-file", "TOKENKEEP_VAULT_FILE", "the path of the vault's file, such as /var/lib/tokenkeep/vault.db")
	case s.RootKeyFile == "":
		return missing("root-key-file", "TOKENKEEP_ROOT_KEY_FILE",
			"a file with the key that opens the vault; for a new vault, tokenkeep rootkey create FILE makes one")
	default:
		return nil
	}
}

// rootKey reads the key. It never makes one: a new key does not open an old vault.
func (s vaultSettings) rootKey() (secret.Bytes, error) {
	key, err := embedded.LoadRootKey(s.RootKeyFile)
	if errors.Is(err, os.ErrNotExist) {
		return key, fmt.Errorf("there is no root key at %s: put the vault's key back, or for a new vault make one with tokenkeep rootkey create %s",
			s.RootKeyFile, s.RootKeyFile)
	}
	return key, err
}

// open opens the vault, or both where everything is being moved, for a command that wants them now. log is told what a vault has to
// say while it is open.
func (s vaultSettings) open(ctx context.Context, db *database.DB, log *slog.Logger) (vault.Vault, error) {
	return s.openFor(ctx, db, log, false)
}

// openToServe is open for a service, which starts while HashiCorp Vault is away and works as soon as it is back.
func (s vaultSettings) openToServe(ctx context.Context, db *database.DB, log *slog.Logger) (vault.Vault, error) {
	return s.openFor(ctx, db, log, true)
}

func (s vaultSettings) openFor(ctx context.Context, db *database.DB, log *slog.Logger, startAway bool) (vault.Vault, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if s.VaultFrom != "" {
		return s.openMoving(ctx, db, log)
	}
	v, err := s.openKind(ctx, s.Vault, db, log, startAway)
	if err != nil {
		return nil, err
	}
	// A vault that is away now is asked later, before it says of anything that it does not have it.
	err = vault.CheckAlone(ctx, v)
	if err != nil && !(startAway && errors.Is(err, vault.ErrUnavailable)) {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// openKind opens one vault, whatever it says of itself.
func (s vaultSettings) openKind(ctx context.Context, kind string, db *database.DB, log *slog.Logger, startAway bool) (vault.Movable, error) {
	if kind == "hashicorp" {
		return s.hashicorpSettings.open(ctx, log, startAway)
	}
	if err := s.guard(ctx, db); err != nil {
		return nil, err
	}
	return s.openEmbedded(ctx)
}

// openEmbedded opens the vault's file, and makes it where there is none.
func (s vaultSettings) openEmbedded(ctx context.Context) (vault.Movable, error) {
	key, err := s.rootKey()
	if err != nil {
		return nil, err
	}
	v, err := embedded.Open(ctx, embedded.Options{Path: s.VaultFile, RootKey: key})
	if errors.Is(err, embedded.ErrRootKey) {
		return nil, fmt.Errorf("%w: TOKENKEEP_ROOT_KEY_FILE (%s) names another key than the one the vault was made with", err, s.RootKeyFile)
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// guard refuses to make a vault beside a database that is in use: its tokens lie in another one, and with a new one
// every API key and every connection would be dead.
func (s vaultSettings) guard(ctx context.Context, db *database.DB) error {
	if exists(s.VaultFile) {
		return nil
	}
	if s.VaultFrom != "" && s.Vault == "embedded" {
		return fmt.Errorf("there is no vault at %s yet: tokenkeep vault copy --prepare makes it", s.VaultFile)
	}
	used, err := db.Ent.Tenant.Query().Exist(tenant.NewContext(ctx, &tenant.Viewer{IsOperator: true}))
	if err != nil {
		return fmt.Errorf("looking for tenants: %w", err)
	}
	if used {
		return fmt.Errorf("there is no vault at %s, but the database has tenants, whose tokens are in one: correct TOKENKEEP_VAULT_FILE, or put the file back", s.VaultFile)
	}
	return nil
}

// load reads the key. It never makes one.
func (s operatorSettings) load() (tenancy.OperatorKey, error) {
	if s.OperatorKeyFile == "" {
		return tenancy.OperatorKey{}, missing("operator-key-file", "TOKENKEEP_OPERATOR_KEY_FILE",
			"a file with the operator's key; tokenkeep operatorkey create FILE makes one")
	}
	key, err := tenancy.LoadOperatorKey(s.OperatorKeyFile)
	if errors.Is(err, os.ErrNotExist) {
		return key, fmt.Errorf("there is no operator key at %s: make one with tokenkeep operatorkey create %s", s.OperatorKeyFile, s.OperatorKeyFile)
	}
	return key, err
}

// load is the built-in providers and those of the file, if there is one.
func (s providerSettings) load() (*provider.Catalogue, error) {
	if s.ProvidersFile == "" {
		return provider.Builtin(), nil
	}
	return provider.Builtin().LoadFile(s.ProvidersFile)
}

// base is the public address without a trailing slash.
func (s publicSettings) base() (string, error) {
	const like = "the address at which this service is reached, such as https://tokenkeep.example.com"
	if s.PublicURL == "" {
		return "", missing("public-url", "TOKENKEEP_PUBLIC_URL", like)
	}
	u, err := url.Parse(s.PublicURL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("TOKENKEEP_PUBLIC_URL is not an address: set it to %s", like)
	}
	return strings.TrimRight(s.PublicURL, "/"), nil
}
