package grant

import (
	"errors"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/errs"
)

// Sentinels of this package.
var (
	// ErrBusy says that somebody else holds the grant's lock.
	ErrBusy = errors.New("grant is locked by another attempt")
	// ErrFenced says that the lock was lost to another attempt before settling; what is in the vault stands.
	ErrFenced = errors.New("grant lock was lost")
	// ErrGone says that the connection was deleted meanwhile.
	ErrGone = errors.New("connection is gone")
	// ErrUnreadable says that the record opened but does not hold a token set, or does not open.
	ErrUnreadable = errors.New("record is unreadable")
	// ErrMissing says that the row has a generation but the vault holds no record.
	ErrMissing = errors.New("record is missing")
	// ErrRolledBack says that the vault's record is older than the row.
	ErrRolledBack = errors.New("record is older than the row")
	// ErrNothingToSpend says that the token set has no refresh token.
	ErrNothingToSpend = errors.New("nothing to refresh with")
	// ErrDraining says that the service is stopping and begins nothing new.
	ErrDraining = errors.New("the service is stopping")
)

// unavailable is the caller's view of a vault or database that does not answer.
func unavailable(cause error) error {
	return errs.New(errs.VaultUnavailable, "the token store does not answer; try again shortly").
		WithRetryAfter(5 * time.Second).WithCause(cause)
}

// callersOr keeps an error that is the caller's and calls everything else our own fault.
func callersOr(err error) error {
	var told *errs.Error
	if errors.As(err, &told) {
		return err
	}
	return unavailable(err)
}
