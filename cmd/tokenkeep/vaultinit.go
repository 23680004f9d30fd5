package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp/setup"
)

// vaultCmd is "tokenkeep vault".
type vaultCmd struct {
	Init vaultInitCmd `cmd:"" help:"Make a new HashiCorp Vault ready, unattended; unseal it at later starts."`
	Copy vaultCopyCmd `cmd:"" help:"Move everything from one vault to the other, while the service runs."`
}

// vaultInitCmd is "tokenkeep vault init".
type vaultInitCmd struct {
	vaultAddress
	KeyFile  string        `env:"TOKENKEEP_VAULT_UNSEAL_KEY_FILE" placeholder:"FILE" help:"Where the unseal key is kept; made at the first run."`
	LoginDir string        `env:"TOKENKEEP_VAULT_LOGIN_DIR" placeholder:"DIR" help:"Where the service finds its secret ids; they are written there."`
	Wait     time.Duration `default:"2m" placeholder:"DURATION" help:"How long to wait for the server (${default})."`
}

// Help is what --help says beside the flags.
func (vaultInitCmd) Help() string {
	return `For a Vault that serves Tokenkeep alone, such as that of docker-compose.yml. It initialises a server that is new, unseals
it, mounts both engines, makes the pepper, the policies of docs/vault.md and two AppRoles, writes their secret ids, and
revokes the root token. A server that is set up already is unsealed and left as it is. What was interrupted is taken up by
the next run.

The unseal key is in a file then: whoever has it and the server's storage has everything. In production let Vault unseal
itself by a KMS or HSM, keep its recovery keys with people, and set it up as docs/vault.md says. Namespaces are not
supported here.

The service logs in with TOKENKEEP_VAULT_ROLE_ID=tokenkeep, TOKENKEEP_VAULT_SECRET_ID_FILE=DIR/service-secret-id,
TOKENKEEP_VAULT_KEYS_ROLE_ID=tokenkeep-keys and TOKENKEEP_VAULT_KEYS_SECRET_ID_FILE=DIR/keys-secret-id.`
}

// Run sets it up.
func (c *vaultInitCmd) Run(t *terminal, sig signals) error {
	if err := c.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(sig.stop, c.Wait)
	defer cancel()
	client, release, err := c.client()
	if err != nil {
		return err
	}
	defer release()
	done, err := setup.Run(ctx, setup.Options{
		Client: client, TransitMount: c.TransitMount, KVMount: c.KVMount, KeyFile: c.KeyFile, LoginDir: c.LoginDir,
		Logger: newLogger(t.err, slog.LevelInfo, "text"),
	})
	if err != nil {
		return fmt.Errorf("setting HashiCorp Vault up: %w", err)
	}
	said := "HashiCorp Vault was set up and unsealed before; nothing was changed"
	switch {
	case done.Configured:
		said = "HashiCorp Vault is set up, and no root token is left; the secret ids are in " + c.LoginDir
	case done.Unsealed:
		said = "HashiCorp Vault is unsealed; nothing else was changed"
	}
	_, err = fmt.Fprintln(t.out, said)
	return err
}

func (c *vaultInitCmd) check() error {
	switch {
	case c.Namespace != "":
		return errors.New("VAULT_NAMESPACE is set: namespaces are set up by hand, as docs/vault.md says")
	case c.KeyFile == "":
		return missing("key-file", "TOKENKEEP_VAULT_UNSEAL_KEY_FILE", "the file in which the unseal key is to be kept, which nobody else reads")
	case c.LoginDir == "":
		return missing("login-dir", "TOKENKEEP_VAULT_LOGIN_DIR", "the folder in which the service is to find its secret ids")
	default:
		return c.vaultAddress.check()
	}
}
