package hashicorp

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// mark says what became of a tenant's key. Transit forgets a deleted key altogether, so this is kept beside the records.
// It only rises: none, live, destroyed.
type mark int

const (
	markNone mark = iota
	markLive
	markDestroyed
)

// marks are how marks are written.
var marks = map[mark]string{markLive: "live", markDestroyed: "destroyed"}

// readMark reads a tenant's mark and its check-and-set number. A mark that was deleted by hand, or that says nothing we
// know, counts as destroyed: a key is made again by removing the mark's metadata, which nobody does by mistake.
func (v *Vault) readMark(ctx context.Context, tenant uuid.UUID) (mark, vault.CAS, error) {
	k, err := v.readKV(ctx, v.keeper, tenantPath(tenant))
	if err != nil {
		return markNone, 0, err
	}
	cas := vault.CAS(k.Metadata.Version)
	switch {
	case cas == 0:
		return markNone, 0, nil
	case k.Data != nil && k.Data.Key == marks[markLive]:
		return markLive, cas, nil
	default:
		return markDestroyed, cas, nil
	}
}

// raiseMark raises the mark to at least m and returns what it is then. A write in doubt is looked for.
func (v *Vault) raiseMark(ctx context.Context, tenant uuid.UUID, m mark) (mark, error) {
	for doubts := 0; ; {
		is, cas, err := v.readMark(ctx, tenant)
		if err != nil || is >= m {
			return is, err
		}
		if cas == 0 {
			if err := v.keepOne(ctx, v.keeper, tenantPath(tenant)); err != nil {
				return markNone, err
			}
		}
		_, err = v.writeKV(ctx, v.keeper, tenantPath(tenant), value{Key: marks[m]}, cas)
		if err == nil {
			return m, nil
		}
		if errors.Is(err, vault.ErrMismatch) && ctx.Err() == nil {
			continue
		}
		if refused(err) || doubts >= v.options.Retries || pause(ctx, doubts) != nil {
			return markNone, fmt.Errorf("writing the tenant's mark: %w", err)
		}
		doubts++
	}
}
