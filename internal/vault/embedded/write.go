package embedded

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"fmt"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// change is one write transaction.
type change struct {
	tx    *sql.Tx
	auth  authenticator
	state state
	dirty bool
}

// write runs fn in an immediate transaction and commits what it changed, durably. It may be given up while it waits for
// its turn; afterwards ctx no longer counts, so that the caller always learns the outcome. Where fn fails, nothing is
// written and its error returns. Errors of the commit other than ErrFull leave open whether it landed.
func (v *Vault) write(ctx context.Context, what string, fn func(*change) error) error {
	if err := v.inTurn(ctx, func() error { return v.commit(context.WithoutCancel(ctx), fn) }); err != nil {
		return fmt.Errorf("%s: %w", what, storeError(err))
	}
	return nil
}

// inTurn runs fn while no other write of this process is under way.
func (v *Vault) inTurn(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: nothing was done: %w", vault.ErrUnavailable, err)
	}
	select {
	case v.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w: nothing was done: %w", vault.ErrUnavailable, ctx.Err())
	}
	defer func() { <-v.turn }()
	return fn()
}

func (v *Vault) commit(ctx context.Context, fn func(*change) error) error {
	tx, err := v.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	s, err := v.readState(ctx, tx)
	if err != nil {
		return err
	}
	if err := v.mark.raise(s.seq); err != nil {
		return err
	}
	c := &change{tx: tx, auth: v.auth, state: s}
	if err := fn(c); err != nil || !c.dirty {
		return err
	}
	c.state.seq++
	if err := c.saveState(ctx); err != nil {
		return err
	}
	return tx.Commit()
}

// put notes that a row's MAC went from old (nil for a new row) to mac.
func (c *change) put(table string, key, old, mac []byte) {
	if old != nil {
		c.state.sum.remove(c.auth.leaf(table, key, old))
	}
	c.state.sum.add(c.auth.leaf(table, key, mac))
	c.dirty = true
}

func (c *change) saveState(ctx context.Context) error {
	_, err := c.tx.ExecContext(ctx, `UPDATE state SET seq = ?, sum = ?, mac = ? WHERE id = 1`,
		c.state.seq, c.state.sum.bytes(), c.auth.state(c.state))
	return err
}

// queryer is what *sql.DB and *sql.Tx share for reading.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// readState reads and authenticates the state. Errors: ErrDamaged.
func (v *Vault) readState(ctx context.Context, q queryer) (state, error) {
	var s state
	var encoded, mac []byte
	err := q.QueryRowContext(ctx, `SELECT seq, sum, mac FROM state WHERE id = 1`).Scan(&s.seq, &encoded, &mac)
	if err == sql.ErrNoRows {
		return state{}, fmt.Errorf("%w: no state", ErrDamaged)
	}
	if err != nil {
		return state{}, storeError(err)
	}
	parsed, ok := parseSum(encoded)
	s.sum = parsed
	if !ok || !hmac.Equal(mac, v.auth.state(s)) {
		return state{}, fmt.Errorf("%w: its state was altered", ErrDamaged)
	}
	return s, nil
}

// scrub moves the log into the file and empties it, so that what was just overwritten is gone from both. It is a
// courtesy: where a reader stands in the way the next checkpoint does it.
func (v *Vault) scrub(ctx context.Context) {
	_ = v.inTurn(context.WithoutCancel(ctx), func() error {
		_, err := v.writer.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
		return err
	})
}
