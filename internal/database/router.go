package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
)

// router is ent's driver for SQLite: reads outside of a transaction go to the readers, everything else to the writer. A
// statement it takes for a read by mistake fails, for the readers refuse to write.
type router struct{ writer, readers *sql.DB }

// Exec implements dialect.ExecQuerier.
func (r *router) Exec(ctx context.Context, query string, args, v any) error {
	return entsql.Conn{ExecQuerier: r}.Exec(ctx, query, args, v)
}

// Query implements dialect.ExecQuerier.
func (r *router) Query(ctx context.Context, query string, args, v any) error {
	return entsql.Conn{ExecQuerier: r}.Query(ctx, query, args, v)
}

// ExecContext runs a statement on the writer.
func (r *router) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := r.mayWrite(ctx); err != nil {
		return nil, err
	}
	return utc{r.writer}.ExecContext(ctx, query, args...)
}

// QueryContext runs a query where its statement belongs.
func (r *router) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if onlyReads(query) {
		return utc{r.readers}.QueryContext(ctx, query, args...)
	}
	if err := r.mayWrite(ctx); err != nil {
		return nil, err
	}
	return utc{r.writer}.QueryContext(ctx, query, args...)
}

// Tx implements dialect.Driver.
func (r *router) Tx(ctx context.Context) (dialect.Tx, error) { return r.BeginTx(ctx, nil) }

// BeginTx begins a transaction; a read-only one is a snapshot on one of the readers.
func (r *router) BeginTx(ctx context.Context, o *sql.TxOptions) (dialect.Tx, error) {
	pool := r.readers
	if o == nil || !o.ReadOnly {
		pool = r.writer
		if err := r.mayWrite(ctx); err != nil {
			return nil, err
		}
	}
	tx, err := pool.BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	return &entsql.Tx{Conn: entsql.Conn{ExecQuerier: utc{tx}}, Tx: tx}, nil
}

// mayWrite refuses to wait for the writer while this very call chain holds it.
func (r *router) mayWrite(ctx context.Context) error {
	if ctx.Value(openTx{}) == r.writer {
		return fmt.Errorf("writing: %w", ErrNested)
	}
	return nil
}

// Close implements dialect.Driver.
func (r *router) Close() error { return errors.Join(r.readers.Close(), r.writer.Close()) }

// Dialect implements dialect.Driver.
func (*router) Dialect() string { return dialect.SQLite }
