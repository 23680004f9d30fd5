package hashicorp

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// listingLife is for how long the pages of one listing come from the same answer of Vault's.
const listingLife = time.Minute

// listing is the last answer to a list, so that a walk over a tenant's records asks once and not for every page.
type listing struct {
	mu     sync.Mutex
	tenant uuid.UUID
	at     time.Time
	ids    []uuid.UUID
}

// ListRecords implements vault.Records. Vault lists all names of a tenant at once; the pages after the first are taken from
// the same list where it is younger than a minute, and the last one, which says that there is no more, asks anew. Among
// the ids may be such that were erased, or announced and never written.
func (v *Vault) ListRecords(ctx context.Context, tenant, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	if limit <= 0 {
		return nil, nil
	}
	if after != uuid.Nil {
		if page := pageOf(v.listing.of(tenant, v.options.Now()), after, limit); len(page) == limit {
			return page, nil
		}
	}
	ids, err := v.list(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("listing records: %w", sentinel(err))
	}
	page := pageOf(ids, after, limit)
	if len(page) == limit {
		v.listing.keep(tenant, v.options.Now(), ids)
	} else {
		v.listing.keep(uuid.Nil, time.Time{}, nil)
	}
	return page, nil
}

// list asks Vault for all ids of a tenant and sorts them. Names that are no ids are not ours.
func (v *Vault) list(ctx context.Context, tenant uuid.UUID) ([]uuid.UUID, error) {
	var got struct {
		Keys []string `json:"keys"`
	}
	err := v.call(ctx, v.service, request{
		method: http.MethodGet, path: v.options.KVMount + "/metadata/" + connectionsPath(tenant),
		query: map[string][]string{"list": {"true"}}, head: true,
	}, &got)
	if e, ok := asAnswer(err); ok && e.status == http.StatusNotFound && len(e.said) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, 0, len(got.Keys))
	for _, name := range got.Keys {
		if id, err := uuid.Parse(name); err == nil && id.String() == name {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, compareIDs)
	return ids, nil
}

// of returns the list of a tenant, nil where there is none that is young enough.
func (l *listing) of(tenant uuid.UUID, now time.Time) []uuid.UUID {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tenant != tenant || now.Sub(l.at) > listingLife {
		return nil
	}
	return l.ids
}

func (l *listing) keep(tenant uuid.UUID, at time.Time, ids []uuid.UUID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tenant, l.at, l.ids = tenant, at, ids
}

// pageOf returns at most limit ids after the given one; ids are in order.
func pageOf(ids []uuid.UUID, after uuid.UUID, limit int) []uuid.UUID {
	from, found := slices.BinarySearchFunc(ids, after, compareIDs)
	if found {
		from++
	}
	return slices.Clone(ids[from:min(from+limit, len(ids))])
}

func compareIDs(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }
