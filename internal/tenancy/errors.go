package tenancy

import (
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// vaultRetry is what a caller is told to wait where the vault is away.
const vaultRetry = 5 * time.Second

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

// absent turns ent's word for a row that is not there, or not the viewer's, into ours.
func absent(err error, what string) error {
	if ent.IsNotFound(err) {
		return errs.New(errs.NotFound, "there is no such %s", what).WithField("id")
	}
	return err
}

// nobody is the one answer to every key that does not open: it does not tell unknown from expired, revoked or suspended.
func nobody() *errs.Error {
	return errs.New(errs.Unauthenticated, "the API key is not valid; send a current one in the header Authorization")
}
