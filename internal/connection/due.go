package connection

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/oauthapp"
	enttenant "github.com/tokenkeep/tokenkeep/ent/tenant"
)

// Refreshes that are due lie in two indexes. next_refresh_at orders all of them by time: the intake. Where an app has
// more due than it has room for, or is paused, what stands in the others' way moves to the app's own lane (waiting_since,
// ordered within the app) and is taken from there when there is room; that is one write for each, however long the app
// is paused, and nothing needs to be moved back. These statements see all tenants and none of their secrets.

// Due is a connection whose refresh is due.
type Due struct {
	Connection, Tenant uuid.UUID
	Lane               Lane
	Generation         int64
	// At is when it was due.
	At time.Time
	// Suspended is true where its tenant is.
	Suspended bool
	// Probe is true where its app is misconfigured and this refresh is to find out whether it still is.
	Probe bool

	// claim is claimed_until_ms where ClaimDue has taken it.
	claim int64
}

// Lane is an app, as far as it decides whether its connections are refreshed now.
type Lane struct {
	App      uuid.UUID
	Provider string
	// Misconfigured is true where the provider refuses the app: one connection may be tried at Until.
	Misconfigured bool
	// Until is when the app's pause ends; zero where there is none.
	Until time.Time
}

// Closed reports whether the lane is paused at the time.
func (l Lane) Closed(now time.Time) bool { return now.Before(l.Until) }

// NextRefresh is when a connection's refresh is due, or was where its app has no room for it; nil where none is.
func NextRefresh(c *ent.Connection) *time.Time {
	if c.WaitingSince != nil {
		return c.WaitingSince
	}
	return c.NextRefreshAt
}

// dueColumns and laneColumns are what scanDue reads.
const (
	laneColumns = `a.id, a.provider, a.state, a.paused_until, a.failure_next_attempt_at`
	dueColumns  = `c.id, c.tenant_id, c.generation, c.due, t.state, ` + laneColumns
	dueJoin     = `JOIN oauth_apps a ON a.id = c.app_id LEFT JOIN tenants t ON t.id = c.tenant_id ORDER BY c.due`
)

// longestLease is longer than any claim lasts: one that lasts longer was made before the database's clock was set back,
// and nobody should wait for that. Which token is spent the grant's lock decides, so that taking it does no harm.
const longestLease = time.Hour

// unclaimedSQL holds for rows that no scheduler has taken.
func (s *Service) unclaimedSQL() string {
	now := s.db.NowMillis()
	return fmt.Sprintf(`(claimed_until_ms IS NULL OR claimed_until_ms < %s OR claimed_until_ms > %s + %d)`, now, now, longestLease.Milliseconds())
}

// A row in either index is CONNECTED: whoever ends a connection takes it out. The statements do not ask again, for without
// statistics PostgreSQL would then join two indexes and sort all that is due; RefreshDue looks, and puts right.

// DueNow returns refreshes that are due and not claimed, whatever their app or tenant, those that have waited longest
// first. It reads as many rows of the index as it returns.
func (s *Service) DueNow(ctx context.Context, limit int) ([]Due, error) {
	return s.queryDue(ctx, s.dueNowSQL(limit), s.now())
}

func (s *Service) dueNowSQL(limit int) string {
	return fmt.Sprintf(`SELECT %s FROM (
SELECT id, tenant_id, app_id, generation, next_refresh_at AS due FROM connections
WHERE next_refresh_at <= $1 AND %s ORDER BY next_refresh_at LIMIT %d) c %s`,
		dueColumns, s.unclaimedSQL(), limit, dueJoin)
}

// laneSettings have PostgreSQL walk along the lane's index.
const laneSettings = `SELECT set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true)`

// DueInLane returns refreshes that wait for their app and are not claimed, those that have waited longest first.
func (s *Service) DueInLane(ctx context.Context, app uuid.UUID, limit int) ([]Due, error) {
	if s.db.Dialect != dialect.Postgres {
		return s.queryDue(ctx, s.dueInLaneSQL(limit), app)
	}
	// A lane fills within seconds, long before statistics tell of it, and PostgreSQL would take it for short and sort it.
	var due []Due
	err := s.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) (err error) {
		if _, err := tx.ExecContext(ctx, laneSettings); err != nil {
			return fmt.Errorf("asking for the index: %w", err)
		}
		due, err = readDue(ctx, tx, s.dueInLaneSQL(limit), app)
		return err
	})
	return due, err
}

func (s *Service) dueInLaneSQL(limit int) string {
	return fmt.Sprintf(`SELECT %s FROM (
SELECT id, tenant_id, app_id, generation, waiting_since AS due FROM connections
WHERE app_id = $1 AND waiting_since IS NOT NULL AND %s ORDER BY waiting_since LIMIT %d) c %s`,
		dueColumns, s.unclaimedSQL(), limit, dueJoin)
}

// Lanes returns apps for which refreshes wait, those behind after in the order of their ids. It jumps from app to app
// in the index, so that its cost is the number of apps it returns, not of rows that wait.
func (s *Service) Lanes(ctx context.Context, after uuid.UUID, limit int) ([]Lane, error) {
	rows, err := s.db.Ent.QueryContext(ctx, lanesSQL(limit), after)
	if err != nil {
		return nil, fmt.Errorf("looking for apps whose refreshes wait: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Lane
	for rows.Next() {
		var l laneRow
		if err := rows.Scan(l.fields()...); err != nil {
			return nil, fmt.Errorf("reading an app whose refreshes wait: %w", err)
		}
		out = append(out, l.lane())
	}
	return out, rows.Err()
}

func lanesSQL(limit int) string {
	return fmt.Sprintf(`WITH RECURSIVE lane(app_id, n) AS (
SELECT (SELECT app_id FROM connections WHERE waiting_since IS NOT NULL AND app_id > $1 ORDER BY app_id, waiting_since LIMIT 1), 1
UNION ALL
SELECT (SELECT app_id FROM connections WHERE waiting_since IS NOT NULL AND app_id > lane.app_id ORDER BY app_id, waiting_since LIMIT 1), n + 1
FROM lane WHERE lane.app_id IS NOT NULL AND n < %d)
SELECT %s FROM lane JOIN oauth_apps a ON a.id = lane.app_id ORDER BY a.id`, limit, laneColumns)
}

// laneRow is what a row says of an app.
type laneRow struct {
	app             uuid.UUID
	provider, state string
	paused, next    sql.NullTime
}

func (l *laneRow) fields() []any { return []any{&l.app, &l.provider, &l.state, &l.paused, &l.next} }

func (l *laneRow) lane() Lane {
	out := Lane{App: l.app, Provider: l.provider, Until: l.paused.Time}
	if l.state == string(oauthapp.StateMISCONFIGURED) {
		out.Misconfigured = true
		if l.next.Time.After(out.Until) {
			out.Until = l.next.Time
		}
	}
	return out
}

func (s *Service) queryDue(ctx context.Context, query string, args ...any) ([]Due, error) {
	return readDue(ctx, s.db.Ent, query, args...)
}

// querier runs raw queries: the database's client, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func readDue(ctx context.Context, q querier, query string, args ...any) ([]Due, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("looking for due refreshes: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Due
	for rows.Next() {
		var d Due
		var l laneRow
		var state sql.NullString
		if err := rows.Scan(append([]any{&d.Connection, &d.Tenant, &d.Generation, &d.At, &state}, l.fields()...)...); err != nil {
			return nil, fmt.Errorf("reading a due refresh: %w", err)
		}
		d.Lane, d.Suspended = l.lane(), state.String != string(enttenant.StateACTIVE)
		out = append(out, d)
	}
	return out, rows.Err()
}

// ClaimDue takes refreshes for this process, for the lease by the database's clock, and returns those that it got: what
// another process has, or has renewed meanwhile, is left out. A process that dies leaves them to whoever comes after the
// lease. A claim is not a change of the connection: neither updated_at nor its watchers learn of it.
func (s *Service) ClaimDue(ctx context.Context, wanted []Due, lease time.Duration) ([]Due, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	in, args := idList(wanted, s.now())
	query := fmt.Sprintf(`UPDATE connections SET claimed_until_ms = %s + %d WHERE id IN (
SELECT id FROM connections WHERE (next_refresh_at <= $1 OR waiting_since IS NOT NULL) AND id IN (%s) AND %s%s)
RETURNING id, generation, claimed_until_ms`, s.db.NowMillis(), lease.Milliseconds(), in, s.unclaimedSQL(), s.skipLocked())
	rows, err := s.db.Ent.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("claiming due refreshes: %w", err)
	}
	defer func() { _ = rows.Close() }()
	byID := make(map[uuid.UUID]Due, len(wanted))
	for _, d := range wanted {
		byID[d.Connection] = d
	}
	var got []Due
	for rows.Next() {
		var one Due
		if err := rows.Scan(&one.Connection, &one.Generation, &one.claim); err != nil {
			return nil, fmt.Errorf("claiming due refreshes: %w", err)
		}
		d := byID[one.Connection]
		d.Generation, d.claim = one.Generation, one.claim
		got = append(got, d)
	}
	return got, rows.Err()
}

// ClaimProbe takes the next try of an app that its provider refuses, for one of all processes. The tries after it come at
// growing intervals, until one succeeds or the app is changed.
func (s *Service) ClaimProbe(ctx context.Context, app uuid.UUID) (bool, error) {
	rows, err := s.db.Ent.QueryContext(ctx, `SELECT failure_attempts FROM oauth_apps WHERE id = $1 AND state = 'MISCONFIGURED'`, app)
	if err != nil {
		return false, fmt.Errorf("reading a misconfigured app: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var probes int
	if !rows.Next() {
		return false, rows.Err()
	}
	if err := rows.Scan(&probes); err != nil {
		return false, fmt.Errorf("reading a misconfigured app: %w", err)
	}
	_ = rows.Close()
	now := s.now()
	res, err := s.db.Ent.ExecContext(ctx, `UPDATE oauth_apps SET failure_next_attempt_at = $1, failure_attempts = failure_attempts + 1
WHERE id = $2 AND state = 'MISCONFIGURED' AND (failure_next_attempt_at IS NULL OR failure_next_attempt_at <= $3)`,
		now.Add(probeWait(probes, s.jitter())).Truncate(time.Microsecond), app, now)
	if err != nil {
		return false, fmt.Errorf("taking the try of a misconfigured app: %w", err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// Park moves due refreshes to the lanes of their apps, in one statement.
func (s *Service) Park(ctx context.Context, due []Due) error {
	if len(due) == 0 {
		return nil
	}
	in, args := idList(due, s.now())
	_, err := s.db.Ent.ExecContext(ctx, fmt.Sprintf(`UPDATE connections SET waiting_since = next_refresh_at, next_refresh_at = NULL WHERE id IN (
SELECT id FROM connections WHERE next_refresh_at <= $1 AND id IN (%s) AND %s%s)`, in, s.unclaimedSQL(), s.skipLocked()), args...)
	if err != nil {
		return fmt.Errorf("parking due refreshes: %w", err)
	}
	return nil
}

// PutOff makes due refreshes due later, in one statement: those of tenants that are suspended.
func (s *Service) PutOff(ctx context.Context, due []Due, until time.Time) error {
	if len(due) == 0 {
		return nil
	}
	in, args := idList(due, until.UTC().Truncate(time.Microsecond))
	_, err := s.db.Ent.ExecContext(ctx, fmt.Sprintf(`UPDATE connections SET next_refresh_at = $1, waiting_since = NULL WHERE id IN (
SELECT id FROM connections WHERE id IN (%s) AND (next_refresh_at IS NOT NULL OR waiting_since IS NOT NULL) AND %s%s)`, in, s.unclaimedSQL(), s.skipLocked()), args...)
	if err != nil {
		return fmt.Errorf("putting due refreshes off: %w", err)
	}
	return nil
}

// GiveBack ends a claim of which nothing was made: the refresh is due as before.
func (s *Service) GiveBack(ctx context.Context, d Due) error {
	_, err := s.db.Ent.ExecContext(ctx, `UPDATE connections SET claimed_until_ms = NULL WHERE id = $1 AND claimed_until_ms = $2`, d.Connection, d.claim)
	if err != nil {
		return fmt.Errorf("giving a due refresh back: %w", err)
	}
	return nil
}

// dueAgain ends a claim and says when the refresh is due again, nil for never. Whoever has settled the row meanwhile has
// said so already, and ended the claim.
func (s *Service) dueAgain(ctx context.Context, d Due, at *time.Time) error {
	_, err := s.db.Ent.ExecContext(ctx, `UPDATE connections SET claimed_until_ms = NULL, waiting_since = NULL, next_refresh_at = $1
WHERE id = $2 AND claimed_until_ms = $3`, at, d.Connection, d.claim)
	if err != nil {
		return fmt.Errorf("putting a due refresh off: %w", err)
	}
	return nil
}

// skipLocked keeps processes from waiting for one another. SQLite has one writer.
func (s *Service) skipLocked() string {
	if s.db.Dialect == dialect.Postgres {
		return ` FOR UPDATE SKIP LOCKED`
	}
	return ``
}

// idList is the list of placeholders from $2 on for the connections' ids, and the arguments, the first of them first.
// SQLite numbers placeholders as it meets them, so $1 stands before the list in the statement.
func idList(due []Due, first any) (string, []any) {
	var b strings.Builder
	args := make([]any, 1, len(due)+1)
	args[0] = first
	for i, d := range due {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "$%d", i+2)
		args = append(args, d.Connection)
	}
	return b.String(), args
}

// NextDue is when the next refresh is due, claimed or not; false where none is planned.
func (s *Service) NextDue(ctx context.Context) (time.Time, bool, error) {
	rows, err := s.db.Ent.QueryContext(ctx, `SELECT next_refresh_at FROM connections WHERE next_refresh_at IS NOT NULL ORDER BY next_refresh_at LIMIT 1`)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("looking for the next refresh: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var at time.Time
	if !rows.Next() {
		return at, false, rows.Err()
	}
	if err := rows.Scan(&at); err != nil {
		return at, false, fmt.Errorf("reading the next refresh: %w", err)
	}
	return at, true, rows.Err()
}
