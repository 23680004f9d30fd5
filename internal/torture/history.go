package main

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// mostLines bounds each part of a history to its end.
const mostLines = 100

// history prints all that is known of a user: what was done to him, his grants by both ledgers, his rows, the audit trail
// and what the processes said of his connections.
func (w *world) history(ctx context.Context, u *user) {
	w.say("--- %s of tenant %d (%s), tokens live %s; connections %v, fate %s (%s)", u.email, u.tenant.n, u.tenant.id, u.life, u.all, u.fate, u.ending)
	for _, line := range u.said[max(0, len(u.said)-mostLines):] {
		w.say("    %s", line)
	}
	for _, g := range u.grants {
		w.say("    grant %d: acknowledged %s, ended %s %s", g.n, at(g.acknowledged), at(g.ended), g.why)
		for _, s := range g.sets[max(0, len(g.sets)-mostLines/4):] {
			w.say("      set %d to replica %d: committed %s, expires %s, answered %s, durable %s as generation %d, presented %t, served %s, lost: %q, cause: %q",
				s.n, s.to, at(s.committed), at(s.expires), at(s.answered), at(s.durable), s.generation, s.presented, at(s.served), s.lost, w.cause(s))
		}
	}
	for _, g := range w.sim.Ledger().Grants {
		if g.Email == u.email {
			w.say("    emulator: %s %s %s, generation %d, refused %d, issued %s, rotated %s, ended %s", g.ID, g.Status, g.EndedReason, g.Generation, g.RefusedRefreshes,
				at(g.IssuedAt), at(g.RotatedAt), at(g.EndedAt))
		}
	}
	w.must("reading a history", w.withDatabase(ctx, func(db *sql.DB) error { return w.rowsOf(ctx, db, u) }))
	w.logsOf(u)
}

func at(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return stamp(t)
}

// rowsOf prints rows, tombstones, events and audit entries of a user's connections.
func (w *world) rowsOf(ctx context.Context, db *sql.DB, u *user) error {
	for _, connection := range u.all {
		for _, query := range []string{
			"SELECT 'row', state, generation, escrowed, failure_reason, failure_attempts, failure_since, failure_next_attempt_at, access_token_expires_at, consented_at, last_refreshed_at FROM connections WHERE id = $1",
			"SELECT 'tombstone', generation, deleted_at, erased_at FROM tombstones WHERE id = $1",
			"SELECT 'event', at, sequence, type, previous_state, state, failure FROM events WHERE connection_id = $1 ORDER BY sequence",
			"SELECT 'lock', l.* FROM grant_locks l JOIN connections c ON c.grant_key = l.grant_key WHERE c.id = $1",
		} {
			if err := w.printRows(ctx, db, query, uuidOf(connection)); err != nil {
				return err
			}
		}
		err := w.printRows(ctx, db, "SELECT 'audit', at, actor, action, allowed, credential_version FROM audit_entries WHERE object = $1 AND action <> 'credential.read' ORDER BY id", connection)
		if err != nil {
			return err
		}
	}
	return nil
}

// printRows prints what a query finds, column by column.
func (w *world) printRows(ctx context.Context, db *sql.DB, query string, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		var line []string
		for i, v := range values {
			switch v := v.(type) {
			case nil:
				continue
			case time.Time:
				line = append(line, names[i]+"="+stamp(v))
			case []byte:
				line = append(line, names[i]+"="+string(v))
			default:
				line = append(line, fmt.Sprintf("%s=%v", names[i], v))
			}
		}
		w.say("    %s", strings.Join(line, " "))
	}
	return rows.Err()
}

// logsOf prints the lines of all logs that name a user's connections.
func (w *world) logsOf(u *user) {
	var names []string
	for _, connection := range u.all {
		names = append(names, connection, uuidOf(connection))
	}
	for _, file := range w.logFiles() {
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, maxAnswer)
		for lines.Scan() {
			if slices.ContainsFunc(names, func(name string) bool { return strings.Contains(lines.Text(), name) }) {
				w.say("    %s: %.500s", filepath.Base(file), lines.Text())
			}
		}
		_ = f.Close()
	}
}
