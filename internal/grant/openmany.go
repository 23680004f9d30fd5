package grant

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// headsAtOnce is how many heads one call of OpenMany reads side by side: enough to hide the way to the vault, and few
// enough that a hundred callers do not overwhelm it.
const headsAtOnce = 16

// OpenedOr is what became of one connection in OpenMany.
type OpenedOr struct {
	Opened
	// Err is as Open's.
	Err error
}

// OpenMany is Open for many connections of the caller's tenant, in the order given: the heads are read side by side, and
// their data keys are unwrapped together, by one call of the vault. One that does not open spoils only its own outcome.
func (k *Keeper) OpenMany(ctx context.Context, rows []*ent.Connection) []OpenedOr {
	if len(rows) == 0 {
		return nil
	}
	out, heads := make([]OpenedOr, len(rows)), make([]head, len(rows))
	var group errgroup.Group
	group.SetLimit(headsAtOnce)
	for i, row := range rows {
		group.Go(func() error {
			if row.Escrowed { // rare: the vault was away at its last refresh
				out[i].Opened, out[i].Err = k.Open(ctx, row)
				return nil
			}
			heads[i], out[i].Err = k.peekRow(ctx, row)
			return nil
		})
	}
	_ = group.Wait()
	sets, err := k.openHeads(ctx, rows, heads)
	for i, row := range rows {
		switch {
		case out[i].Err != nil || row.Escrowed:
		case err != nil:
			out[i].Err = unavailable(err)
		default:
			out[i].Opened, out[i].Err = k.newest(ctx, row, heads[i], sets[i])
		}
	}
	return out
}

// peekRow reads the head of a row. Errors: VAULT_UNAVAILABLE.
func (k *Keeper) peekRow(ctx context.Context, row *ent.Connection) (head, error) {
	ref, err := refOf(ctx, row.ID)
	if err != nil {
		return head{}, err
	}
	h, err := k.peek(ctx, ref)
	if err != nil {
		return head{}, unavailable(err)
	}
	return h, nil
}

// openHeads opens those heads that hold a record; one that does not open becomes HeadUnreadable.
func (k *Keeper) openHeads(ctx context.Context, rows []*ent.Connection, heads []head) ([]TokenSet, error) {
	owner, err := callerTenant(ctx)
	if err != nil {
		return nil, err
	}
	var items []vault.RecordOf
	var places []int
	for i, h := range heads {
		if h.State == HeadPresent {
			items, places = append(items, vault.RecordOf{Connection: rows[i].ID, Record: h.record}), append(places, i)
		}
	}
	opened, err := vault.OpenRecords(ctx, k.vault, owner, items)
	if err != nil {
		return nil, fmt.Errorf("opening heads: %w", err)
	}
	sets := make([]TokenSet, len(heads))
	for n, i := range places {
		if sets[i], err = decodeOpened(opened[n]); err != nil {
			heads[i].State = HeadUnreadable
		}
	}
	return sets, nil
}
