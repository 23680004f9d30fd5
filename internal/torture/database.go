package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/id"
)

// rowView is what the database says of a connection that stands or that was deleted.
type rowView struct {
	id         string
	email      string
	state      string
	generation int64
	reason     string
	escrowed   bool
	deleted    bool
	// reasons are those of all failures that events told of.
	reasons []string
}

// stored is what the database says of everything.
type stored struct {
	rows map[string]*rowView
	// escrows, attempts, locks and jobs count what is left over.
	escrows, attempts, locks, jobs int
}

// withDatabase opens the database past the proxies.
func (w *world) withDatabase(ctx context.Context, f func(*sql.DB) error) error {
	db, err := database.Open(ctx, w.database, database.Options{MaxConns: 4})
	if err != nil {
		return err
	}
	return errors.Join(f(db.SQL()), db.Close())
}

// lookUp reads what is to be compared with the ledger.
func (w *world) lookUp(ctx context.Context) (stored, error) {
	out := stored{rows: map[string]*rowView{}}
	err := w.withDatabase(ctx, func(db *sql.DB) error {
		return errors.Join(
			out.connections(ctx, db), out.tombstones(ctx, db), out.events(ctx, db),
			count(ctx, db, &out.escrows, "SELECT count(*) FROM escrows"),
			count(ctx, db, &out.attempts, "SELECT count(*) FROM grant_attempts WHERE state IN ('SENT', 'PARKED')"),
			count(ctx, db, &out.locks, "SELECT count(*) FROM grant_locks WHERE owner IS NOT NULL"),
			count(ctx, db, &out.jobs, "SELECT count(*) FROM revocation_jobs WHERE state = 'PENDING'"),
		)
	})
	return out, err
}

func count(ctx context.Context, db *sql.DB, into *int, query string) error {
	return db.QueryRowContext(ctx, query).Scan(into)
}

// each runs a query and calls f for each row.
func each(ctx context.Context, db *sql.DB, query string, f func(scan func(...any) error) error) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
	}
	return rows.Err()
}

func (s *stored) row(u uuid.UUID) *rowView {
	name := id.Connection.Format(u)
	if s.rows[name] == nil {
		s.rows[name] = &rowView{id: name}
	}
	return s.rows[name]
}

func (s *stored) connections(ctx context.Context, db *sql.DB) error {
	return each(ctx, db, "SELECT id, COALESCE(external_email, ''), state, generation, COALESCE(failure_reason, ''), escrowed FROM connections", func(scan func(...any) error) error {
		var u uuid.UUID
		var v rowView
		if err := scan(&u, &v.email, &v.state, &v.generation, &v.reason, &v.escrowed); err != nil {
			return err
		}
		v.id = id.Connection.Format(u)
		s.rows[v.id] = &v
		return nil
	})
}

func (s *stored) tombstones(ctx context.Context, db *sql.DB) error {
	return each(ctx, db, "SELECT id, generation FROM tombstones", func(scan func(...any) error) error {
		var u uuid.UUID
		var generation int64
		if err := scan(&u, &generation); err != nil {
			return err
		}
		v := s.row(u)
		v.deleted, v.generation = true, generation
		return nil
	})
}

func (s *stored) events(ctx context.Context, db *sql.DB) error {
	return each(ctx, db, "SELECT connection_id, failure FROM events WHERE failure IS NOT NULL", func(scan func(...any) error) error {
		var u uuid.UUID
		var text []byte
		if err := scan(&u, &text); err != nil {
			return err
		}
		var f struct{ Reason string }
		if err := json.Unmarshal(text, &f); err != nil {
			return err
		}
		if v := s.row(u); f.Reason != "" {
			v.reasons = append(v.reasons, f.Reason)
		}
		return nil
	})
}

// timesOfWaiting are the columns that say since when, or until when, something waits.
var timesOfWaiting = []struct{ table, id, column string }{
	{"connections", "id", "failure_since"},
	{"connections", "id", "failure_next_attempt_at"},
	{"grant_attempts", "id", "created_at"},
	{"grant_attempts", "id", "updated_at"},
	{"revocation_jobs", "id", "next_attempt_at"},
}

// shiftTimes moves what waits into the past. No process may run.
func (w *world) shiftTimes(ctx context.Context, by time.Duration) error {
	return w.withDatabase(ctx, func(db *sql.DB) error {
		if _, err := db.ExecContext(ctx, "UPDATE grant_locks SET until_ms = until_ms - $1", by.Milliseconds()); err != nil {
			return err
		}
		for _, c := range timesOfWaiting {
			if err := shift(ctx, db, c.table, c.id, c.column, by); err != nil {
				return err
			}
		}
		return nil
	})
}

// shift moves one column, row by row: the databases write times differently, and the driver knows how.
func shift(ctx context.Context, db *sql.DB, table, key, column string, by time.Duration) error {
	type waiting struct {
		id uuid.UUID
		at time.Time
	}
	var all []waiting
	err := each(ctx, db, "SELECT "+key+", "+column+" FROM "+table+" WHERE "+column+" IS NOT NULL", func(scan func(...any) error) error { // #nosec G202 -- names of ours
		var one waiting
		err := scan(&one.id, &one.at)
		all = append(all, one)
		return err
	})
	for _, one := range all {
		if err != nil {
			break
		}
		_, err = db.ExecContext(ctx, "UPDATE "+table+" SET "+column+" = $1 WHERE "+key+" = $2", one.at.Add(-by).UTC(), one.id) // #nosec G202 -- names of ours
	}
	return err
}
