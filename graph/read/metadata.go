package read

import (
	"context"
	"maps"
	"slices"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/connectionmetadata"
	"github.com/tokenkeep/tokenkeep/graph/page"
	"github.com/tokenkeep/tokenkeep/internal/metadata"
)

// term is one thing that a connection's metadata must have: a row of the side table.
type term struct {
	column string
	digest []byte
}

// terms are what the filter asks of metadata, in a fixed order. A pair speaks for its key.
func (f *Filter) terms() []term {
	var all []term
	for _, key := range slices.Sorted(maps.Keys(f.Metadata)) {
		_, pair := metadata.Digests(key, f.Metadata[key])
		all = append(all, term{connectionmetadata.FieldPairDigest, pair})
	}
	keys := slices.Clone(f.MetadataKeys)
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		if _, paired := f.Metadata[key]; !paired {
			digest, _ := metadata.Digests(key, "")
			all = append(all, term{connectionmetadata.FieldKeyDigest, digest})
		}
	}
	return all
}

// few is how many rows of the side table are soon collected and sorted.
const few = 1000

// rarest puts the term with the fewest rows first and returns how many those are, counted up to few+1. The first term
// drives a query, the others are looked up for each of its rows.
func (r *Reader) rarest(ctx context.Context, terms []term) (int, error) {
	least := few + 2
	for i, t := range terms {
		q := r.client.ConnectionMetadata.Query().Where(t.matches)
		q.Modify(limited(few + 1))
		n, err := q.Count(ctx)
		if err != nil {
			return 0, err
		}
		if n < least {
			least = n
			terms[0], terms[i] = terms[i], terms[0]
		}
	}
	return least, nil
}

// matches narrows rows of the side table to the term's.
func (t term) matches(s *sql.Selector) { s.Where(sql.EQ(s.C(t.column), t.digest)) }

// has narrows a query to the connections that have the term; id is the column that names the connection. The subquery
// names the tenant, for ent's rules do not reach into it.
func (t term) has(d *sql.DialectBuilder, tenantID uuid.UUID, id string) *sql.Predicate {
	m := d.Table(connectionmetadata.Table).As("other")
	sub := d.Select().From(m)
	sub.Select(sub.C(connectionmetadata.FieldConnectionID)).Where(sql.And(
		sql.ColumnsEQ(sub.C(connectionmetadata.FieldConnectionID), id),
		sql.EQ(sub.C(connectionmetadata.FieldTenantID), tenantID),
		sql.EQ(sub.C(t.column), t.digest),
	))
	return sql.Exists(sub)
}

// probing looks the terms up for each row of the walk.
func probing(terms []term, tenantID uuid.UUID) condition {
	return func(s *sql.Selector) {
		d := sql.Dialect(s.Dialect())
		for _, t := range terms {
			s.Where(t.has(d, tenantID, s.C(connection.FieldID)))
		}
	}
}

// driving begins with the first term's rows of the side table.
type driving struct {
	terms  []term
	tenant uuid.UUID
	// rows are the other conditions. They are inside, too: a limit may only count rows that meet all of them.
	rows []condition
	// walk, if set, is the part of the ids' order that is wanted: the keyset inside the subquery, so that a common pair
	// costs a page and not all of its rows.
	walk *page.Walk
}

// condition is "id IN (the side table's walk)".
func (q driving) condition(s *sql.Selector) {
	d := sql.Dialect(s.Dialect())
	sub := d.Select().From(d.Table(connectionmetadata.Table).As("meta"))
	id := sub.C(connectionmetadata.FieldConnectionID)
	sub.Select(id).Where(sql.EQ(sub.C(connectionmetadata.FieldTenantID), q.tenant))
	q.terms[0].matches(sub)
	for _, t := range q.terms[1:] {
		sub.Where(t.has(d, q.tenant, id))
	}
	if len(q.rows) > 0 {
		sub.Where(q.row(d, id))
	}
	if q.walk != nil {
		q.keyset(sub, id)
	}
	s.Where(sql.In(s.C(connection.FieldID), sub))
}

// row is the rest of the filter for the connection that a row of the side table names.
func (q driving) row(d *sql.DialectBuilder, id string) *sql.Predicate {
	sub := d.Select().From(d.Table(connection.Table).As("candidate"))
	sub.Select(sub.C(connection.FieldID)).Where(sql.And(
		sql.ColumnsEQ(sub.C(connection.FieldID), id),
		sql.EQ(sub.C(connection.FieldTenantID), q.tenant),
	))
	for _, c := range q.rows {
		c(sub)
	}
	return sql.Exists(sub)
}

// keyset walks the side table in the order of connection ids.
func (q driving) keyset(sub *sql.Selector, id string) {
	for _, b := range q.walk.Bounds {
		sub.Where(bound(page.Created, b, nil, id))
	}
	direction := sql.Asc
	if q.walk.Desc {
		direction = sql.Desc
	}
	sub.OrderBy(direction(id)).Limit(q.walk.Limit)
}
