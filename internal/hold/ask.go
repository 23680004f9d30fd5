package hold

import (
	"context"
	"fmt"
	"time"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	enthold "github.com/tokenkeep/tokenkeep/ent/hold"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// Cause is why a connection is about to end.
type Cause string

// The causes.
const (
	// Refused: the provider refused the refresh token, and it held.
	Refused Cause = "REFUSED"
	// RolledBack: the vault's record is older than the row. The first one raises a hold of the fleet.
	RolledBack Cause = "ROLLED_BACK"
	// Lost: the record is gone or does not open. Policy.Minimum of them within the window raise a hold of the fleet.
	Lost Cause = "LOST"
)

// Ending is a connection that is about to end.
type Ending struct {
	Cause Cause
	App   uuid.UUID
	// HeldBy is the hold that kept it before; nil where none did.
	HeldBy *uuid.UUID
	// StoredAt is when its present token set was stored.
	StoredAt time.Time
}

// subject is what a hold of the ending is about.
func (e Ending) subject() Subject {
	if e.Cause == Refused {
		return OfApp(e.App)
	}
	return Fleet
}

// Ruling is what was found out about one ending. It is good for the transaction in which it was asked for.
type Ruling struct {
	Brake
	s      *Service
	ending Ending
	now    time.Time
	// standing is the hold that stands, nil where none does; count is what to count the ending into where one may be raised.
	standing *ent.Hold
	count    *Count
	// raised is the hold that this ending raised.
	raised *ent.Hold
}

// system is a context in which the holds can be seen.
func system(ctx context.Context) context.Context { return tenant.System(ctx, uuid.Nil) }

// Peek is Ask without a transaction, for what is decided before anything is spent; nothing can be done with its ruling but
// to read it.
func (s *Service) Peek(ctx context.Context, e Ending) (Brake, error) {
	r := &Ruling{s: s, ending: e, now: s.now()}
	err := r.readHolds(system(ctx), s.db.Ent)
	if e.Cause == RolledBack {
		r.Limit = 1
	}
	return r.Brake, err
}

// Ask finds out, as part of tx, whether the connection may end. Where no hold stands, the subject's counter stays locked
// until tx ends: whoever asks next knows what became of this one.
func (s *Service) Ask(ctx context.Context, tx *ent.Tx, e Ending) (*Ruling, error) {
	r := &Ruling{s: s, ending: e, now: s.now()}
	if err := r.readHolds(system(ctx), tx.Client()); err != nil || r.Standing || r.Confirmed {
		return r, err
	}
	count, err := s.lockCount(ctx, tx, e.subject())
	if err != nil {
		return nil, err
	}
	// Another replica may have raised a hold while this one waited for the counter.
	if err := r.readHolds(system(ctx), tx.Client()); err != nil || r.Standing || r.Confirmed {
		return r, err
	}
	return r, r.weigh(ctx, tx, count)
}

// readHolds reads the subject's newest hold, and the one that kept the connection before.
func (r *Ruling) readHolds(ctx context.Context, c *ent.Client) error {
	newest, err := c.Hold.Query().Where(enthold.Subject(string(r.ending.subject()))).Order(enthold.ByID(sql.OrderDesc())).First(ctx)
	if err != nil && !ent.IsNotFound(err) {
		return fmt.Errorf("reading the newest hold: %w", err)
	}
	mine := newest
	if by := r.ending.HeldBy; by != nil && (newest == nil || newest.ID != *by) {
		if mine, err = c.Hold.Get(ctx, *by); err != nil && !ent.IsNotFound(err) {
			return fmt.Errorf("reading the hold of a connection: %w", err)
		}
	}
	r.Standing = newest != nil && newest.State == enthold.StateSTANDING
	if r.Standing {
		r.standing = newest
	}
	kept := mine != nil && r.ending.HeldBy != nil && mine.ID == *r.ending.HeldBy && mine.Subject == string(r.ending.subject())
	r.Dismissed = kept && mine.State == enthold.StateDISMISSED
	r.Confirmed = confirms(newest, r.ending, r.now) || kept && confirms(mine, r.ending, r.now)
	return nil
}

// weigh sets what the number of endings says.
func (r *Ruling) weigh(ctx context.Context, tx *ent.Tx, c Count) error {
	if r.ending.Cause == RolledBack {
		r.Limit = 1 // the first is held
		return nil
	}
	c, fresh := c.At(r.now, r.s.policy.Window)
	if fresh && r.ending.Cause == Refused {
		var err error
		if c.Connected, err = connected(ctx, tx, r.ending.App); err != nil {
			return err
		}
	}
	r.count, r.Recent, r.Limit = &c, c.Recent(r.now, r.s.policy.Window), r.s.policy.Limit(c.Connected)
	return nil
}

// Pass counts the ending, which goes through. What an operator confirmed is not counted.
func (r *Ruling) Pass(ctx context.Context, tx *ent.Tx) error {
	if r.count == nil || r.Confirmed {
		return nil
	}
	r.count.Deaths++
	return r.s.writeCount(ctx, tx, r.ending.subject(), *r.count)
}

// Hold returns the hold that keeps the connection, raised for it where none stood. Call Stopped when the connection's
// row is written. reason is the failure reason with which it would have ended.
func (r *Ruling) Hold(ctx context.Context, tx *ent.Tx, reason string) (uuid.UUID, error) {
	if r.standing != nil {
		return r.standing.ID, nil
	}
	h, err := tx.Hold.Create().SetSubject(string(r.ending.subject())).SetReason(reason).SetStopped(1).SetRaisedAt(r.now).SetLastHeldAt(r.now).Save(system(ctx))
	if err != nil {
		return uuid.Nil, fmt.Errorf("raising a hold: %w", err)
	}
	r.raised = h
	return h.ID, audit.Record(system(ctx), tx.Client(), audit.Entry{
		Action: audit.HoldRaise, Object: Name(h), Allowed: true, Tenant: tenant.Operator, Detail: describe(h),
	})
}

// Stopped counts the connection, once for each hold that kept it. It is the last statement of its transaction but the
// commit: replicas wait for one another here.
func (r *Ruling) Stopped(ctx context.Context, tx *ent.Tx) error {
	if r.standing == nil {
		return nil // raised for this connection, and counted
	}
	u := tx.Hold.Update().Where(enthold.ID(r.standing.ID))
	if by := r.ending.HeldBy; by != nil && *by == r.standing.ID {
		u.Where(enthold.LastHeldAtLT(r.now.Add(-time.Minute)))
	} else {
		u.AddStopped(1)
	}
	if err := u.SetLastHeldAt(r.now).Exec(system(ctx)); err != nil {
		return fmt.Errorf("counting a held connection: %w", err)
	}
	return nil
}

// Alarm tells whoever reads the log, once the transaction is through, where the ending raised a hold.
func (r *Ruling) Alarm(ctx context.Context) {
	if r.raised == nil {
		return
	}
	name := Name(r.raised)
	r.s.log.ErrorContext(ctx, "a hold was raised: "+describe(r.raised)+". They stay connected until an operator decides",
		"hold", name, "subject", Subject(r.raised.Subject).String(), "reason", r.raised.Reason, "do", Advice(r.raised))
}

// Advice says what an operator can do about a hold that stands.
func Advice(h *ent.Hold) string {
	name := Name(h)
	if Subject(h.Subject) == Fleet {
		return "put the newer vault (or database) back if there is one: the hold ends by itself when all is well again. Otherwise run tokenkeep verify --confirm-rollback (or tokenkeep hold confirm " + name + "), and the users must connect again"
	}
	return "find out why the provider refuses so many tokens (the app's settings over there, an incident of theirs). If they are really over run tokenkeep hold confirm " + name +
		"; if it was a mistake that is mended run tokenkeep hold dismiss " + name + ", and the connections recover"
}

// lockCount reads the subject's counter and locks it until tx ends; SQLite has one writer anyway.
func (s *Service) lockCount(ctx context.Context, tx *ent.Tx, of Subject) (Count, error) {
	if _, err := tx.Client().ExecContext(ctx, `INSERT INTO death_counts (id, started_ms, deaths, earlier, connected) VALUES ($1, 0, 0, 0, 0) ON CONFLICT (id) DO NOTHING`, string(of)); err != nil {
		return Count{}, fmt.Errorf("making a counter: %w", err)
	}
	query := `SELECT started_ms, deaths, earlier, connected FROM death_counts WHERE id = $1`
	if s.db.Dialect == dialect.Postgres {
		query += ` FOR UPDATE`
	}
	var c Count
	var started int64
	if err := one(ctx, tx, query, []any{string(of)}, &started, &c.Deaths, &c.Earlier, &c.Connected); err != nil {
		return Count{}, fmt.Errorf("reading a counter: %w", err)
	}
	c.Started = time.UnixMilli(started)
	return c, nil
}

func (*Service) writeCount(ctx context.Context, tx *ent.Tx, of Subject, c Count) error {
	_, err := tx.Client().ExecContext(ctx, `UPDATE death_counts SET started_ms = $1, deaths = $2, earlier = $3, connected = $4 WHERE id = $5`,
		c.Started.UnixMilli(), c.Deaths, c.Earlier, c.Connected, string(of))
	if err != nil {
		return fmt.Errorf("writing a counter: %w", err)
	}
	return nil
}

// connected counts the connected among an app's connections, in all tenants. It looks at countAtMost rows at most, and once
// for each window; of an app with more the limit is thus that of a smaller one.
func connected(ctx context.Context, tx *ent.Tx, app uuid.UUID) (int64, error) {
	var n int64
	query := fmt.Sprintf(`SELECT count(*) FROM (SELECT state FROM connections WHERE app_id = $1 LIMIT %d) AS looked WHERE state = 'CONNECTED'`, countAtMost)
	if err := one(ctx, tx, query, []any{app}, &n); err != nil {
		return 0, fmt.Errorf("counting an app's connections: %w", err)
	}
	return n, nil
}

// one reads one row.
func one(ctx context.Context, tx *ent.Tx, query string, args []any, into ...any) error {
	rows, err := tx.Client().QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		return fmt.Errorf("no row: %w", rows.Err())
	}
	if err := rows.Scan(into...); err != nil {
		return err
	}
	return rows.Err()
}
