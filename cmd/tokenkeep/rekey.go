package main

import (
	"errors"
	"fmt"

	"github.com/tokenkeep/tokenkeep/internal/vault/embedded"
)

// rekeyCmd is "tokenkeep rekey".
type rekeyCmd struct {
	vaultSettings
	NewRootKeyFile string `placeholder:"FILE" help:"File with the key that is to open the vault; tokenkeep rootkey create makes one."`
}

// Help is what --help says beside the flags.
func (rekeyCmd) Help() string {
	return `It encrypts the tenants' keys and the vault's own secrets anew, in one step: after a crash either the old key or the new
one opens the vault, and the command may be repeated. Stop the service first; a process that has the vault open would go on
under the old key. Afterwards let TOKENKEEP_ROOT_KEY_FILE name the new key. Keep the old one as long as there are
backups of the vault from before: they open with no other.`
}

// Run changes the key.
func (c *rekeyCmd) Run(t *terminal, sig signals) error {
	if err := c.check(); err != nil {
		return err
	}
	if c.NewRootKeyFile == "" {
		return errors.New("--new-root-key-file is missing: name the file with the new key; tokenkeep rootkey create FILE makes one")
	}
	older, err := c.rootKey()
	if err != nil {
		return err
	}
	newer, err := embedded.LoadRootKey(c.NewRootKeyFile)
	if err != nil {
		return err
	}
	if !exists(c.VaultFile) {
		return fmt.Errorf("there is no vault at %s: correct TOKENKEEP_VAULT_FILE", c.VaultFile)
	}
	changed, err := embedded.Rekey(sig.stop, c.VaultFile, older, newer)
	switch {
	case errors.Is(err, embedded.ErrInUse):
		return fmt.Errorf("%w: stop the service, and whatever else works on the vault, and try again", err)
	case errors.Is(err, embedded.ErrRootKey):
		return fmt.Errorf("%w: neither %s nor %s opens it", err, c.RootKeyFile, c.NewRootKeyFile)
	case err != nil:
		return err
	case !changed:
		_, err = fmt.Fprintf(t.out, "the vault opens with %s already; nothing was changed\n", c.NewRootKeyFile)
	default:
		_, err = fmt.Fprintf(t.out, "the vault opens with %s now: let TOKENKEEP_ROOT_KEY_FILE name it, and keep the old key for older backups\n", c.NewRootKeyFile)
	}
	return err
}
