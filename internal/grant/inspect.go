package grant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/grantattempt"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// Inspection is what the stores hold of one connection, side by side. Making one changes nothing.
type Inspection struct {
	Connection uuid.UUID
	// Row is nil where there is none; only then the next two are filled in.
	Row *ent.Connection
	// Tombstone is nil where the connection was not deleted.
	Tombstone *ent.Tombstone
	// Authorizing is true where an authorization is on its way that will make this connection.
	Authorizing bool
	// Head is the vault's record, Escrow the one that waits for the vault; what does not open is HeadUnreadable.
	Head, Escrow HeadView
	// Newest is the newest stored set that opens; its generation is 0 where there is none.
	Newest Opened
	// NewestEscrowed is true where that is the one in escrow.
	NewestEscrowed bool
}

// Inspect reads and opens everything that is stored of a connection in the caller's tenant.
// Errors: VAULT_UNAVAILABLE.
func (k *Keeper) Inspect(ctx context.Context, connectionID uuid.UUID) (Inspection, error) {
	i := Inspection{Connection: connectionID}
	var err error
	i.Row, err = k.db.Ent.Connection.Query().Where(connection.ID(connectionID)).Only(ctx)
	if ent.IsNotFound(err) {
		i.Row = nil
		err = k.inspectAbsent(ctx, &i)
	}
	if err == nil {
		err = k.inspectStored(ctx, []*Inspection{&i})
	}
	if err == nil {
		err = k.inspectEscrow(ctx, &i)
	}
	if err != nil {
		return Inspection{}, unavailable(fmt.Errorf("inspecting a connection: %w", err))
	}
	return i, nil
}

// InspectRows is Inspect for many rows, with one call of the vault to open them all.
func (k *Keeper) InspectRows(ctx context.Context, rows []*ent.Connection) ([]Inspection, error) {
	out, all := make([]Inspection, len(rows)), make([]*Inspection, len(rows))
	for i, row := range rows {
		out[i] = Inspection{Connection: row.ID, Row: row}
		all[i] = &out[i]
	}
	if err := k.inspectStored(ctx, all); err != nil {
		return nil, unavailable(fmt.Errorf("inspecting connections: %w", err))
	}
	for i := range out {
		if !out[i].Row.Escrowed {
			continue
		}
		if err := k.inspectEscrow(ctx, &out[i]); err != nil {
			return nil, unavailable(fmt.Errorf("inspecting an escrow: %w", err))
		}
	}
	return out, nil
}

// inspectAbsent finds out why there is no row.
func (k *Keeper) inspectAbsent(ctx context.Context, i *Inspection) error {
	t, err := k.db.Ent.Tombstone.Get(ctx, i.Connection)
	if err != nil && !ent.IsNotFound(err) {
		return err
	}
	if err == nil {
		i.Tombstone = t
	}
	i.Authorizing, err = k.db.Ent.GrantAttempt.Query().Where(grantattempt.ConnectionID(i.Connection), unfinished()).Exist(ctx)
	return err
}

// inspectStored reads the heads and opens them together.
func (k *Keeper) inspectStored(ctx context.Context, all []*Inspection) error {
	owner, err := callerTenant(ctx)
	if err != nil {
		return err
	}
	var items []vault.RecordOf
	var of []*Inspection
	for _, i := range all {
		h, err := k.peek(ctx, vault.Ref{Tenant: owner, Connection: i.Connection})
		if err != nil {
			return err
		}
		i.Head, i.Escrow = h.HeadView, HeadView{State: HeadAbsent}
		if h.State == HeadPresent {
			items, of = append(items, vault.RecordOf{Connection: i.Connection, Record: h.record}), append(of, i)
		}
	}
	opened, err := vault.OpenRecords(ctx, k.vault, owner, items)
	if err != nil {
		return err
	}
	for n, o := range opened {
		set, err := decodeOpened(o)
		if err != nil {
			of[n].Head.State = HeadUnreadable
			continue
		}
		of[n].Newest = Opened{Set: set, Generation: of[n].Head.Generation}
	}
	return nil
}

// decodeOpened reads one record of a batch. Errors: those of opening, ErrUnreadable.
func decodeOpened(o vault.Opened) (TokenSet, error) {
	if o.Err != nil {
		return TokenSet{}, o.Err
	}
	return decodeSet(o.Plaintext)
}

// inspectEscrow reads and opens what waits in escrow.
func (k *Keeper) inspectEscrow(ctx context.Context, i *Inspection) error {
	ref, err := refOf(ctx, i.Connection)
	if err != nil {
		return err
	}
	opened, found, err := k.openEscrow(ctx, ref)
	switch {
	case errors.Is(err, ErrUnreadable):
		i.Escrow = HeadView{State: HeadUnreadable}
	case err != nil:
		return err
	case found:
		i.Escrow = HeadView{State: HeadPresent, Generation: opened.Generation}
		if opened.Generation > i.Newest.Generation {
			i.Newest, i.NewestEscrowed = opened, true
		}
	}
	return nil
}

// Key names the grant of the owner's set, stored under the connection.
func (o Owner) Key(connectionID uuid.UUID) Key {
	if o.UserID == "" {
		return KeyOfConnection(o.Provider, o.ClientID, connectionID)
	}
	return KeyOfUser(o.Provider, o.ClientID, o.UserID)
}

// Hold runs f under the lock of a connection's grant: nothing is spent meanwhile, and what f reads stays as it is. f is
// carried through once it has begun, whatever becomes of the caller. Errors: those of f, ErrBusy.
func (k *Keeper) Hold(ctx context.Context, key Key, connectionID uuid.UUID, f func(ctx context.Context) error) error {
	_, err := detach(ctx, k, func(ctx context.Context) (struct{}, error) {
		held, err := k.claimPatiently(ctx, key)
		if err != nil {
			return struct{}{}, err
		}
		defer held.close(ctx)
		if err := f(ctx); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, k.forgetPast(ctx, held, connectionID)
	})
	return err
}

// claimPatiently waits for a lock that somebody else holds. Errors: ErrBusy.
func (k *Keeper) claimPatiently(ctx context.Context, key Key) (*lock, error) {
	until := time.Now().Add(k.budgets.Claim)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		held, err := k.locks.claim(ctx, key, id.New())
		if err == nil || !errors.Is(err, ErrBusy) || time.Now().After(until) {
			return held, err
		}
		pause(ctx, wait)
	}
}

// forgetPast drops what the lock remembers of a generation that is past.
func (k *Keeper) forgetPast(ctx context.Context, held *lock, connectionID uuid.UUID) error {
	if held.unknown == 0 {
		return nil
	}
	row, err := k.rowView(ctx, connectionID)
	if err == nil && row.Generation != held.unknown {
		held.unknown = 0
	}
	return err
}
