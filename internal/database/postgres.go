package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/tokenkeep/tokenkeep/ent"
)

// The pool's size where Options has none, and how long its connections live: long enough to be worth their statements,
// short enough that a failed-over server is noticed.
const (
	defaultMaxConns = 20
	connIdleTime    = 5 * time.Minute
	connLifetime    = 30 * time.Minute
	connectTimeout  = 5 * time.Second
)

// openPostgres opens a pool and reaches the server.
func openPostgres(ctx context.Context, url string, o Options) (*DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil { // pgx leaves the password out
		return nil, fmt.Errorf("%w: %w", ErrURL, err)
	}
	configure(config)
	pool := postgresPool(config, o.MaxConns)
	db := &DB{Dialect: dialect.Postgres, writer: pool, together: newTogether(config), log: o.Logger, signals: newSignals(config, notifyOn(pool), o.Logger)}
	if err := db.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w; check the host, port, user and password in the URL, and that the server accepts connections from here", err), db.Close())
	}
	db.Ent = ent.NewClient(ent.Driver(entsql.OpenDB(dialect.Postgres, pool)))
	return db, nil
}

// configure sets what must be the same for every session. Statements stay prepared, as pgx does by default: planned anew
// with the values at hand, they keep the plan that fits.
func configure(c *pgx.ConnConfig) {
	c.RuntimeParams["timezone"] = "UTC"
	c.RuntimeParams["plan_cache_mode"] = "force_custom_plan"
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "tokenkeep"
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	c.DialFunc = dialer(c.ConnectTimeout)
}

// postgresPool makes the pool; its times come back as UTC.
func postgresPool(config *pgx.ConnConfig, maxConns int) *sql.DB {
	if maxConns == 0 {
		maxConns = defaultMaxConns
	}
	pool := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(_ context.Context, c *pgx.Conn) error {
		c.TypeMap().RegisterType(&pgtype.Type{
			Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
		})
		return nil
	}))
	pool.SetMaxOpenConns(maxConns)
	pool.SetMaxIdleConns(maxConns)
	pool.SetConnMaxIdleTime(connIdleTime)
	pool.SetConnMaxLifetime(connLifetime)
	return pool
}
