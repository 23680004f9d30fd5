package read

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/graph/page"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// CountLimit is where counting connections stops.
const CountLimit = 10_000

// Connections is a page of the connections of the caller's tenant. order.List is set here.
// Errors: UNAUTHENTICATED, FORBIDDEN, BAD_USER_INPUT.
func (r *Reader) Connections(ctx context.Context, args page.Args, f Filter, order page.Order) (*page.Page[*ent.Connection], error) {
	v, err := audit.RequireRead(ctx, tenant.ConnectionsRead)
	if err != nil {
		return nil, err
	}
	order.List = page.Connections
	plan, err := order.Plan(args)
	if err != nil {
		return nil, err
	}
	return page.Fetch(ctx, plan, r.connections(v.Tenant, f, order.Field))
}

func (r *Reader) connections(tenantID uuid.UUID, f Filter, field page.Field) page.Source[*ent.Connection] {
	s := &search{reader: r, tenant: tenantID, filter: f, field: field, terms: f.terms(), rows: f.conditions(field)}
	return page.Source[*ent.Connection]{
		Rows:  s.walk,
		Key:   func(c *ent.Connection) page.Key { return page.Key{At: c.UpdatedAt, ID: c.ID} },
		Count: s.count,
	}
}

// search is one list of connections.
type search struct {
	reader *Reader
	tenant uuid.UUID
	filter Filter
	field  page.Field
	terms  []term
	rows   []condition

	once  sync.Once
	least int
	err   error
}

// walk reads the rows of a walk.
func (s *search) walk(ctx context.Context, w page.Walk) ([]*ent.Connection, error) {
	conditions, err := s.conditions(ctx, &w)
	if err != nil {
		return nil, err
	}
	c := course{field: s.field, collect: s.filter.selective()}
	q := s.reader.client.Connection.Query().Where(c.within(w)).Order(c.along(w)).Limit(w.Limit)
	return q.Where(predicates(conditions)...).All(ctx)
}

// count counts the list up to the limit.
func (s *search) count(ctx context.Context) (page.Total, error) {
	conditions, err := s.conditions(ctx, nil)
	if err != nil {
		return page.Total{}, err
	}
	q := s.reader.client.Connection.Query().Where(predicates(conditions)...)
	q.Modify(limited(CountLimit + 1))
	n, err := q.Count(ctx)
	return page.Total{N: min(n, CountLimit), Exact: n <= CountLimit}, err
}

// conditions chooses where a query begins: with the walk's order, or with the side table of metadata. The latter pays in
// the order of ids, which the side table has, too, and wherever the rarest term has few rows; it does not where the
// filter names somebody.
func (s *search) conditions(ctx context.Context, w *page.Walk) ([]condition, error) {
	if len(s.terms) == 0 {
		return s.rows, nil
	}
	if s.filter.selective() {
		return append(s.rows[:len(s.rows):len(s.rows)], probing(s.terms, s.tenant)), nil
	}
	keyset := w != nil && s.field == page.Created
	if !keyset || len(s.terms) > 1 {
		if err := s.weigh(ctx); err != nil {
			return nil, err
		}
	}
	if !keyset && s.least > few {
		return append(s.rows[:len(s.rows):len(s.rows)], probing(s.terms, s.tenant)), nil
	}
	d := driving{terms: s.terms, tenant: s.tenant, rows: s.rows}
	if keyset {
		d.walk = w
	}
	return []condition{d.condition}, nil
}

// weigh puts the rarest term first, once.
func (s *search) weigh(ctx context.Context) error {
	s.once.Do(func() { s.least, s.err = s.reader.rarest(ctx, s.terms) })
	return s.err
}
