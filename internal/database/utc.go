package database

import (
	"context"
	"database/sql"
	"slices"
	"time"

	entsql "entgo.io/ent/dialect/sql"
)

// utc turns the times among the arguments to UTC with microseconds, as PostgreSQL keeps them. SQLite stores a time as the
// text of its own zone and compares texts: a cursor from a machine in another zone would skip rows, or repeat them.
type utc struct{ entsql.ExecQuerier }

// ExecContext implements entsql.ExecQuerier.
func (u utc) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return u.ExecQuerier.ExecContext(ctx, query, inUTC(args)...)
}

// QueryContext implements entsql.ExecQuerier.
func (u utc) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return u.ExecQuerier.QueryContext(ctx, query, inUTC(args)...)
}

// inUTC returns args, or a copy where one of them is a time.
func inUTC(args []any) []any {
	copied := false
	for i, a := range args {
		t, ok := timeOf(a)
		if !ok {
			continue
		}
		if !copied {
			args, copied = slices.Clone(args), true
		}
		args[i] = t.UTC().Truncate(time.Microsecond)
	}
	return args
}

// timeOf returns the time that an argument holds.
func timeOf(a any) (time.Time, bool) {
	switch v := a.(type) {
	case time.Time:
		return v, true
	case *time.Time:
		if v != nil {
			return *v, true
		}
	case sql.NullTime:
		return v.Time, v.Valid
	case *sql.NullTime:
		if v != nil {
			return v.Time, v.Valid
		}
	}
	return time.Time{}, false
}
