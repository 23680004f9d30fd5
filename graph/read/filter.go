package read

import (
	"encoding/binary"
	"time"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/graph/page"
)

// Filter says which connections a list has. Nil and empty restrict nothing.
type Filter struct {
	App                                                       *uuid.UUID
	Provider                                                  *string
	Kind, GrantType                                           *string
	States                                                    []string
	HasFailure                                                *bool
	Subject, ExternalUserID, ExternalAccountID, ExternalEmail *string
	// Metadata must all be there; of MetadataKeys only the keys.
	Metadata     map[string]string
	MetadataKeys []string
	// The instants themselves are outside.
	CreatedAfter, CreatedBefore, UpdatedAfter *time.Time
}

// selective reports whether the filter names somebody: such rows are few, and it pays to begin with their index.
func (f *Filter) selective() bool {
	return f.Subject != nil || f.ExternalUserID != nil || f.ExternalEmail != nil
}

// conditions are the filter's without metadata. Where the list is ordered by change, columns that most rows share are
// kept from choosing the index on SQLite, which knows no statistics: it would collect and sort them all for one page.
func (f *Filter) conditions(field page.Field) []condition {
	var all []condition
	shared := equal
	if field == page.Updated {
		shared = unindexed
	}
	all = add(all, shared, connection.FieldAppID, f.App)
	all = add(all, equal, connection.FieldProvider, f.Provider)
	all = add(all, equal, connection.FieldKind, f.Kind)
	all = add(all, equal, connection.FieldGrantType, f.GrantType)
	all = add(all, equal, connection.FieldSubject, f.Subject)
	all = add(all, equal, connection.FieldExternalUserID, f.ExternalUserID)
	all = add(all, equal, connection.FieldExternalAccountID, f.ExternalAccountID)
	all = add(all, equal, connection.FieldExternalEmail, f.ExternalEmail)
	if c := f.state(field); c != nil {
		all = append(all, c)
	}
	if f.HasFailure != nil {
		all = append(all, failing(*f.HasFailure))
	}
	return append(all, f.times(field)...)
}

func add[T any](all []condition, how func(string, any) condition, column string, value *T) []condition {
	if value == nil {
		return all
	}
	return append(all, how(column, *value))
}

func equal(column string, value any) condition { return sql.FieldEQ(column, value) }

// unindexed is equal with the unary plus that keeps SQLite from using an index for it.
func unindexed(column string, value any) condition {
	return func(s *sql.Selector) {
		s.Where(sql.P(func(b *sql.Builder) {
			if s.Dialect() == dialect.SQLite {
				b.WriteByte('+')
			}
			b.Ident(s.C(column)).WriteOp(sql.OpEQ).Arg(value)
		}))
	}
}

// state allows some of the three states. Two of them are "not the third", which leaves the walk to the order's index; one
// of them is a range of an index of its own, which in an order by change is worth its sorting for the rare states only.
func (f *Filter) state(field page.Field) condition {
	var missing []string
	for _, s := range []connection.State{connection.StatePENDING, connection.StateCONNECTED, connection.StateDISCONNECTED} {
		if !contains(f.States, string(s)) {
			missing = append(missing, string(s))
		}
	}
	switch {
	case len(f.States) == 0 || len(missing) == 0:
		return nil
	case len(missing) == 1:
		return sql.FieldNEQ(connection.FieldState, missing[0])
	case field == page.Updated && contains(f.States, string(connection.StateCONNECTED)):
		return unindexed(connection.FieldState, f.States[0])
	default:
		return equal(connection.FieldState, f.States[0])
	}
}

func contains(list []string, s string) bool {
	for _, each := range list {
		if each == s {
			return true
		}
	}
	return false
}

// failing is whether a failure's class is set; an emptied column may hold either nothing or an empty text.
func failing(yes bool) condition {
	if yes {
		return sql.FieldNEQ(connection.FieldFailureClass, "")
	}
	return sql.OrPredicates(sql.FieldIsNull(connection.FieldFailureClass), sql.FieldEQ(connection.FieldFailureClass, ""))
}

// slack is how far the time in an id may lie from created_at. A connection takes created_at from its id, and this leaves
// room for rounding and for rows that came about otherwise.
const slack = time.Minute

// times compares times. In the order of ids a time of creation bounds the ids, too, so that the walk begins near its rows.
func (f *Filter) times(field page.Field) []condition {
	var all []condition
	if f.CreatedAfter != nil {
		all = append(all, sql.FieldGT(connection.FieldCreatedAt, f.CreatedAfter.UTC()))
		if field == page.Created {
			all = append(all, sql.FieldGT(connection.FieldID, edge(f.CreatedAfter.Add(-slack), 0)))
		}
	}
	if f.CreatedBefore != nil {
		all = append(all, sql.FieldLT(connection.FieldCreatedAt, f.CreatedBefore.UTC()))
		if field == page.Created {
			all = append(all, sql.FieldLT(connection.FieldID, edge(f.CreatedBefore.Add(slack), 0xff)))
		}
	}
	if f.UpdatedAfter != nil {
		all = append(all, sql.FieldGT(connection.FieldUpdatedAt, f.UpdatedAfter.UTC()))
	}
	return all
}

// edge is the least or the greatest UUID of a millisecond.
func edge(t time.Time, fill byte) uuid.UUID {
	var u uuid.UUID
	for i := range u {
		u[i] = fill
	}
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(t.UnixMilli(), 0))) //nolint:gosec // not negative
	copy(u[:6], ms[2:])
	return u
}
