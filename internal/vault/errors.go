package vault

import (
	"errors"
	"fmt"
)

// Sentinels. Implementations wrap them; callers use errors.Is.
var (
	// ErrUnavailable says that the store does not answer or refuses to work for now (sealed, overloaded, away).
	ErrUnavailable = errors.New("vault unavailable")
	// ErrAway is the ErrUnavailable that will not pass by asking something else: sealed, or nobody answers at all.
	ErrAway = fmt.Errorf("%w: it is away", ErrUnavailable)
	// ErrNotFound says that there is no such record and never was.
	ErrNotFound = errors.New("record not found")
	// ErrErased says that the record was destroyed on purpose.
	ErrErased = errors.New("record erased")
	// ErrMismatch says that the check-and-set number is not the store's.
	ErrMismatch = errors.New("check-and-set did not match")
	// ErrNoKey says that the tenant has no key, or that it was destroyed.
	ErrNoKey = errors.New("tenant key missing")
	// ErrCorrupt says that a ciphertext does not open: altered, moved, wrong tenant, wrong purpose or a destroyed key version.
	ErrCorrupt = errors.New("sealed value does not open")
	// ErrFull says that the store has no room and nothing was written.
	ErrFull = errors.New("vault storage full")
	// ErrDenied says that the store refused our own credentials: a fault of the installation.
	ErrDenied = errors.New("vault denied the operation")
	// ErrInvalid says that the arguments bind nothing or make no sense (no tenant, no generation): a fault of the caller.
	ErrInvalid = errors.New("invalid argument to the vault")
	// ErrMoving says that the operation has to wait until everything was moved from one vault to another.
	ErrMoving = errors.New("a move between vaults is under way")
	// ErrPepper says that two vaults have different peppers and that the one that is in use cannot be replaced.
	ErrPepper = errors.New("another pepper is in use")
)

// CorruptKeysError is ErrCorrupt where a store knows which keys of a batch do not unwrap: their places in it, in order.
type CorruptKeysError struct{ Places []int }

// Error implements error.
func (e *CorruptKeysError) Error() string {
	return fmt.Sprintf("%v: %d of the keys asked for", ErrCorrupt, len(e.Places))
}

// Unwrap makes it ErrCorrupt.
func (e *CorruptKeysError) Unwrap() error { return ErrCorrupt }

// NoRecord reports whether an error of ReadRecord or ReadSlot says that there is none: never written, or erased.
func NoRecord(err error) bool { return errors.Is(err, ErrNotFound) || errors.Is(err, ErrErased) }
