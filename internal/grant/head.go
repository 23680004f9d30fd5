package grant

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/tombstone"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// head is what the vault holds for a connection.
type head struct {
	HeadView
	cas    vault.CAS
	record vault.Record
}

// peek reads the head without opening it.
func (k *Keeper) peek(ctx context.Context, ref vault.Ref) (head, error) {
	record, cas, err := k.vault.ReadRecord(ctx, ref)
	h := head{cas: cas, record: record}
	switch {
	case err == nil:
		h.HeadView = HeadView{State: HeadPresent, Generation: record.Generation, Attempt: record.Attempt}
	case errors.Is(err, vault.ErrNotFound):
		h.State = HeadAbsent
	case errors.Is(err, vault.ErrErased):
		h.State = HeadErased
	case errors.Is(err, vault.ErrCorrupt):
		h.State = HeadUnreadable
	default:
		return head{}, fmt.Errorf("reading the head: %w", err)
	}
	return h, nil
}

// open reads and opens the head. A head that does not open is HeadUnreadable, not an error; a vault that does not
// answer, or a tenant without a key, is an error: that is our own fault, never the connection's.
func (k *Keeper) open(ctx context.Context, ref vault.Ref) (head, TokenSet, error) {
	h, err := k.peek(ctx, ref)
	if err != nil || h.State != HeadPresent {
		return h, TokenSet{}, err
	}
	set, err := k.openRecord(ctx, ref, h.record)
	if errors.Is(err, ErrUnreadable) {
		h.State = HeadUnreadable
		return h, TokenSet{}, nil
	}
	return h, set, err
}

// openRecord opens one record. Errors: ErrUnreadable, and those of the vault.
func (k *Keeper) openRecord(ctx context.Context, ref vault.Ref, record vault.Record) (TokenSet, error) {
	plain, err := vault.OpenRecord(ctx, k.vault, ref, record)
	if errors.Is(err, vault.ErrCorrupt) {
		return TokenSet{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if err != nil {
		return TokenSet{}, err
	}
	return decodeSet(plain)
}

// reservation is everything a spend needs in hand before it may begin.
type reservation struct {
	ref  vault.Ref
	head head
	set  TokenSet
	key  vault.DataKey
}

// reserve reads and opens the head and takes a fresh data key: proof that the vault answers and that the answer to come
// can be sealed without asking anybody.
func (k *Keeper) reserve(ctx context.Context, ref vault.Ref) (reservation, error) {
	if err := k.vault.PrepareWrite(ctx, ref); err != nil {
		return reservation{}, fmt.Errorf("preparing the commit: %w", err)
	}
	h, set, err := k.open(ctx, ref)
	if err != nil {
		return reservation{}, err
	}
	key, err := k.vault.NewDataKey(ctx, ref.Tenant)
	if err != nil {
		return reservation{}, fmt.Errorf("taking a data key: %w", err)
	}
	return reservation{ref: ref, head: h, set: set, key: key}, nil
}

// rowView reads what decisions need of the row. A row that never was counts as existing: only a tombstone stops.
func (k *Keeper) rowView(ctx context.Context, id uuid.UUID) (RowView, error) {
	row, err := k.db.Ent.Connection.Query().Where(connection.ID(id)).Select(connection.FieldGeneration).Only(ctx)
	if err == nil {
		return RowView{Exists: true, Generation: row.Generation}, nil
	}
	if !ent.IsNotFound(err) {
		return RowView{}, fmt.Errorf("reading the row: %w", err)
	}
	gone, err := k.db.Ent.Tombstone.Query().Where(tombstone.ID(id)).Exist(ctx)
	if err != nil {
		return RowView{}, fmt.Errorf("reading the tombstone: %w", err)
	}
	return RowView{Exists: !gone}, nil
}

// Opened is a token set with its generation.
type Opened struct {
	Set        TokenSet
	Generation int64
}

// Open returns the newest stored token set of a connection: the one in escrow where there is one, otherwise the vault's.
// Where the row lags behind (a crash between the two writes) it is brought up to date, and nothing is spent.
// Errors: ErrMissing, ErrUnreadable, ErrRolledBack, ErrGone; VAULT_UNAVAILABLE where the vault does not answer.
func (k *Keeper) Open(ctx context.Context, row *ent.Connection) (Opened, error) {
	ref, err := refOf(ctx, row.ID)
	if err != nil {
		return Opened{}, err
	}
	if row.Escrowed {
		opened, found, err := k.openEscrow(ctx, ref)
		if err != nil || found && opened.Generation >= row.Generation {
			return opened, err
		}
	}
	h, set, err := k.open(ctx, ref)
	if err != nil {
		return Opened{}, unavailable(err)
	}
	return k.newest(ctx, row, h, set)
}

// newest is what a reader gets of an opened head; a row that lags behind is brought up to date.
func (k *Keeper) newest(ctx context.Context, row *ent.Connection, h head, set TokenSet) (Opened, error) {
	switch BeforeSpend(RowView{Exists: true, Generation: row.Generation}, h.HeadView) {
	case StepSpend:
		return Opened{Set: set, Generation: h.Generation}, nil
	case StepReconcile:
		if err := k.reconcile(ctx, row.ID, Landed{Set: set, Generation: h.Generation}); err != nil {
			return Opened{}, err
		}
		return Opened{Set: set, Generation: h.Generation}, nil
	case StepSpendRolledBack:
		return Opened{}, ErrRolledBack
	case StepUnreadable:
		return Opened{}, ErrUnreadable
	default:
		return Opened{}, ErrMissing
	}
}

// reconcile brings the row up to what is stored already. Errors: ErrGone, VAULT_UNAVAILABLE.
func (k *Keeper) reconcile(ctx context.Context, id uuid.UUID, l Landed) error {
	err := k.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error { return k.domain.Refreshed(ctx, tx, id, l) })
	if err != nil {
		return goneOrUnavailable(err)
	}
	return nil
}

// refOf names a connection's record under the caller's tenant.
func refOf(ctx context.Context, id uuid.UUID) (vault.Ref, error) {
	owner, err := callerTenant(ctx)
	if err != nil {
		return vault.Ref{}, err
	}
	return vault.Ref{Tenant: owner, Connection: id}, nil
}
