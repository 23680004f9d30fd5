package embedded

import (
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// Sentinels of Open, all of them with vault.ErrUnavailable inside: no record is to blame, the file as a whole is.
var (
	// ErrRootKey says that the file was made under another root key.
	ErrRootKey = fmt.Errorf("%w: the root key is not the one this vault was made with", vault.ErrUnavailable)
	// ErrDamaged says that bytes of the file were lost or changed.
	ErrDamaged = fmt.Errorf("%w: the vault file is damaged", vault.ErrUnavailable)
	// ErrRolledBack says that commits which were acknowledged are not in the file.
	ErrRolledBack = fmt.Errorf("%w: the vault file is older than its mark", vault.ErrUnavailable)
)

// storeError wraps what SQLite says into a sentinel of the seam; errors that have one already pass.
// A full disk is reported as ErrFull only by SQLITE_FULL, after which the transaction was rolled back.
func storeError(err error) error {
	if err == nil || hasSentinel(err) {
		return err
	}
	var e sqlite3.Error
	if errors.As(err, &e) {
		switch e.Code {
		case sqlite3.ErrFull:
			return fmt.Errorf("%w: %w", vault.ErrFull, err)
		case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return fmt.Errorf("%w: %w", vault.ErrUnavailable, err)
}

func hasSentinel(err error) bool {
	for _, s := range []error{
		vault.ErrUnavailable, vault.ErrNotFound, vault.ErrErased, vault.ErrMismatch, vault.ErrNoKey,
		vault.ErrCorrupt, vault.ErrFull, vault.ErrDenied, vault.ErrInvalid, vault.ErrPepper,
	} {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}
