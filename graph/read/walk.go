package read

import (
	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"

	"github.com/tokenkeep/tokenkeep/ent/predicate"
	"github.com/tokenkeep/tokenkeep/graph/page"
)

// condition narrows a query to rows, or orders it. It names columns through the selector, so that it fits the table
// under any name: ent's own query and the inside of a subquery.
type condition = func(*sql.Selector)

const (
	columnID      = "id"
	columnUpdated = "updated_at"
)

// course is how a list is walked.
type course struct {
	field page.Field
	// collect says that the filter leaves few rows: SQLite, which knows no statistics, is kept from walking the order's
	// index in search of them.
	collect bool
}

// created walks in the order of ids.
var created = course{field: page.Created}

// within narrows to the rows of a walk.
func (c course) within(w page.Walk) condition {
	return func(s *sql.Selector) {
		for _, b := range w.Bounds {
			s.Where(bound(c.field, b, c.updated(s), s.C(columnID)))
		}
	}
}

// updated is the time column, with the unary plus that keeps SQLite from using an index of it where that is not wanted.
func (c course) updated(s *sql.Selector) func(*sql.Builder) {
	return func(out *sql.Builder) {
		if c.collect && s.Dialect() == dialect.SQLite {
			out.WriteByte('+')
		}
		out.Ident(s.C(columnUpdated))
	}
}

// bound compares a row's key: the id, or time and id as one value, which both databases take as a range of an index.
func bound(field page.Field, b page.Bound, updated func(*sql.Builder), id string) *sql.Predicate {
	return sql.P(func(out *sql.Builder) {
		if field == page.Updated {
			out.Wrap(func(out *sql.Builder) {
				updated(out)
				out.Comma().Ident(id)
			})
			out.WriteOp(operatorOf(b))
			out.Wrap(func(out *sql.Builder) { out.Args(b.Key.At, b.Key.ID) })
			return
		}
		out.Ident(id).WriteOp(operatorOf(b)).Arg(b.Key.ID)
	})
}

func operatorOf(b page.Bound) sql.Op {
	switch {
	case b.Above && b.OrEqual:
		return sql.OpGTE
	case b.Above:
		return sql.OpGT
	case b.OrEqual:
		return sql.OpLTE
	default:
		return sql.OpLT
	}
}

// along orders rows as a walk goes.
func (c course) along(w page.Walk) condition {
	direction := "ASC"
	if w.Desc {
		direction = "DESC"
	}
	return func(s *sql.Selector) {
		if c.field == page.Updated {
			s.OrderExprFunc(func(out *sql.Builder) {
				c.updated(s)(out)
				out.Pad().WriteString(direction)
			})
		}
		s.OrderExprFunc(func(out *sql.Builder) { out.Ident(s.C(columnID)).Pad().WriteString(direction) })
	}
}

// limited makes a count stop at a limit: it counts the rows of a limited subquery instead of the table's. ent runs it
// when everything else of the query is in place, its own rules included, and before it selects the COUNT, which names the
// table: so the subquery takes the table's name.
func limited(limit int) condition {
	return func(s *sql.Selector) {
		inner := s.Clone()
		inner.Select(inner.C(columnID)).Limit(limit)
		*s = *sql.Dialect(s.Dialect()).Select().From(inner.As(s.TableName()))
	}
}

// predicates are conditions as ent's types of them.
func predicates(conditions []condition) []predicate.Connection {
	all := make([]predicate.Connection, len(conditions))
	for i, c := range conditions {
		all[i] = c
	}
	return all
}
