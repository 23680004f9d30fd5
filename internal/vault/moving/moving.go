// Package moving is the vault of a service that is moving from one vault to another: it knows both and is used like either.
//
// Mechanism: everything new goes to the target, data keys too; what is read is looked for in the target first and, where
// that has none, in the source. A record moves in steps, each by check-and-set: in the source it is marked as moving,
// which freezes it and keeps it readable for whoever knows both; it (or the record that takes its place) is written to the
// target, which must have none; the source keeps a note without content. A process that dies in between leaves what the next
// one continues from. A wrapped data key says by its form which vault wrapped it. A tenant's key is in both, API keys are hashed
// the same by both, because the pepper is carried first.
//
// Reason: whoever knows the source alone (a process that was started before the move) must never spend a token that was
// replaced already, and must not take a connection for dead: it finds a mark or a note and says that the vault is not
// available. And where both are known no instant may exist in which a record is in neither.
//
// Tokens are not opened by a move; data keys are, to be wrapped by the target. A record that is replaced anyway needs not
// even that: PrepareWrite marks it before the spend, and the commit is one write, as always.
//
// Limit: all processes move in one direction; to turn a move round they are stopped first. While it lasts both vaults must
// answer, tenant keys are not rotated, and a process that knows the source alone cannot erase what has moved: its order, the
// tombstone, is carried out by another.
package moving

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

var _ vault.Vault = (*Vault)(nil)

// Vault is a source and a target. It is safe for concurrent use, beside other processes that move in the same direction.
type Vault struct {
	from, to vault.Movable
}

// New returns a vault that is being moved. Preparing must have been done: see Check.
func New(from, to vault.Movable) *Vault { return &Vault{from: from, to: to} }

// From is the vault that is being left.
func (v *Vault) From() vault.Movable { return v.from }

// To is the vault that is moved into.
func (v *Vault) To() vault.Movable { return v.to }

// Check fails where the move was not prepared, or in the other direction. Errors: vault.ErrMoving, vault.ErrPepper and those
// of asking.
func (v *Vault) Check(ctx context.Context) error {
	there, err := vault.MoveState(ctx, v.to)
	if err != nil {
		return err
	}
	left, err := vault.MoveState(ctx, v.from)
	switch {
	case err != nil:
		return err
	case left == vault.NoteArriving, there == vault.NoteMoved:
		return fmt.Errorf("%w: it goes the other way: TOKENKEEP_VAULT is the vault that is moved into, TOKENKEEP_VAULT_FROM the one that is left", vault.ErrMoving)
	case there != vault.NoteArriving && left != vault.NoteMoved:
		return fmt.Errorf("%w: it was not prepared: run tokenkeep vault copy --prepare", vault.ErrMoving)
	}
	same, err := v.SamePepper(ctx)
	if err == nil && !same {
		err = fmt.Errorf("%w: the two vaults hash API keys differently: run tokenkeep vault copy --prepare", vault.ErrPepper)
	}
	return err
}

// SamePepper reports whether both vaults hash alike.
func (v *Vault) SamePepper(ctx context.Context) (bool, error) {
	probe := []byte("the same pepper in both vaults")
	a, err := v.from.MAC(ctx, probe)
	if err != nil {
		return false, err
	}
	b, err := v.to.MAC(ctx, probe)
	return bytes.Equal(a, b), err
}

// MAC implements vault.Vault; the pepper is the same in both.
func (v *Vault) MAC(ctx context.Context, data []byte) ([]byte, error) { return v.to.MAC(ctx, data) }

// Health implements vault.Vault: both are needed.
func (v *Vault) Health(ctx context.Context) error {
	return errors.Join(named("the vault that is moved into", v.to.Health(ctx)), named("the vault that is being left", v.from.Health(ctx)))
}

// Absent says that one of the two is known to be away: see vault.Absent.
func (v *Vault) Absent() error { return errors.Join(vault.Absent(v.to), vault.Absent(v.from)) }

// Close implements vault.Vault.
func (v *Vault) Close() error { return errors.Join(v.to.Close(), v.from.Close()) }

func named(which string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", which, err)
}
