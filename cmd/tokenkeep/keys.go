package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/tokenkeep/tokenkeep/internal/tenancy"
	"github.com/tokenkeep/tokenkeep/internal/vault/embedded"
)

// rootkeyCmd is "tokenkeep rootkey".
type rootkeyCmd struct {
	Create rootkeyCreateCmd `cmd:"" help:"Write a new root key to a file that must not exist, readable by its owner alone."`
}

type rootkeyCreateCmd struct {
	File string `arg:"" help:"The file."`
}

// Help is what --help says beside the flags.
func (rootkeyCreateCmd) Help() string {
	return `The root key opens the embedded vault: without it the tokens are lost, and with it and the vault's file they can be
read. Keep a copy away from the backups of the vault. "openssl rand -hex 32" makes as good a key; the file must be
readable by its owner alone.`
}

// Run makes the key; it is printed nowhere.
func (c *rootkeyCreateCmd) Run(t *terminal) error {
	if err := embedded.CreateRootKey(c.File); err != nil {
		return keepFile(c.File, err)
	}
	_, err := fmt.Fprintf(t.out, "made %s: keep a copy of it, away from the backups of the vault\n", c.File)
	return err
}

// operatorkeyCmd is "tokenkeep operatorkey".
type operatorkeyCmd struct {
	Create operatorkeyCreateCmd `cmd:"" help:"Write a new operator key to a file that must not exist, readable by its owner alone."`
}

type operatorkeyCreateCmd struct {
	File string `arg:"" help:"The file."`
}

// Help is what --help says beside the flags.
func (operatorkeyCreateCmd) Help() string {
	return `The operator's key creates tenants and acts in all of them over GraphQL, but reads no credentials. Send it like an API
key, in the header Authorization. Another key in the file takes effect at the next start of serve.`
}

// Run makes the key; it is printed nowhere.
func (c *operatorkeyCreateCmd) Run(t *terminal) error {
	if _, err := tenancy.CreateOperatorKey(c.File); err != nil {
		return keepFile(c.File, err)
	}
	_, err := fmt.Fprintf(t.out, "made %s\n", c.File)
	return err
}

// keepFile is the sentence where there is a file already.
func keepFile(file string, err error) error {
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already and is left as it is: a new key would lock out what the old one opens; name another file", file)
	}
	return err
}
