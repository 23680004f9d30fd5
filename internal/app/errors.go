package app

import (
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// vaultRetry is what a caller is told to wait where the vault is away.
const vaultRetry = 5 * time.Second

// notFound is the answer for an app that is not there and for one of another tenant alike.
func notFound() *errs.Error {
	return errs.New(errs.NotFound, "there is no such app").WithField("id")
}

// fromVault says what a failure of the vault means to a caller: faults of ours are internal, the rest passes. To him a vault
// that refuses us is one that is away.
func fromVault(doing string, err error) error {
	err = fmt.Errorf("%s: %w", doing, err)
	for _, ours := range []error{vault.ErrNoKey, vault.ErrInvalid, vault.ErrCorrupt} {
		if errors.Is(err, ours) {
			return err
		}
	}
	return errs.New(errs.VaultUnavailable, "the vault is not available; try again shortly").WithRetryAfter(vaultRetry).WithCause(err)
}
