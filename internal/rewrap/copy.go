package rewrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/moving"
)

// CopyOptions are what a copy between vaults needs.
type CopyOptions struct {
	DB    *database.DB
	Vault *moving.Vault
	// Lock is how long somebody may hold a data key from before the move: a grant lock's life. Zero means 60 s.
	Lock time.Duration
	// Batch is how many sealed things are asked for at once; zero means 100.
	Batch int
	// Report is told of what was done, a tenant and a wait at a time; nil is told nothing.
	Report func(CopyProgress)
	// Logger may be nil.
	Logger *slog.Logger
}

// CopyProgress is what a pass did so far.
type CopyProgress struct {
	// Pass counts from 1. Waiting is true between two passes.
	Pass    int  `json:"pass"`
	Waiting bool `json:"waiting,omitempty"`
	// Tenants of All are done in this pass.
	Tenants int `json:"tenants"`
	All     int `json:"all"`
	// Records and Values were moved since the beginning.
	Records int `json:"records"`
	Values  int `json:"values"`
}

// Copy moves everything from one vault to another. What is where is written in the two vaults and in what is sealed, and
// nowhere else: a copy may be ended at any point, begun again, and run twice at a time. Passes follow one another, each a
// lock's life after the one before, until one finds nothing to move and nobody is left who may hold a data key of the source.
type Copy struct {
	CopyOptions

	values   *Service
	progress CopyProgress
}

// NewCopy returns a copy.
func NewCopy(o CopyOptions) *Copy {
	if o.Lock <= 0 {
		o.Lock = time.Minute
	}
	if o.Batch <= 0 {
		o.Batch = 100
	}
	if o.Report == nil {
		o.Report = func(CopyProgress) {}
	}
	return &Copy{CopyOptions: o, values: New(Options{DB: o.DB, Vault: o.Vault, Logger: o.Logger})}
}

// Prepare makes the target ready for processes that know both vaults: it hashes API keys as the source does, has a key for
// each tenant, and says of itself that it must not be used alone. It moves nothing, and may be repeated. With turnBack it
// may begin while a move in the other direction is unfinished, which nobody may be working on then.
// Errors: vault.ErrPepper, vault.ErrMoving, vault.ErrNoKey (the source is not the service's vault) and those of the vaults.
func (c *Copy) Prepare(ctx context.Context, turnBack bool) error {
	from, to := c.Vault.From(), c.Vault.To()
	left, err := vault.MoveState(ctx, from)
	if err != nil {
		return err
	}
	switch {
	case left == vault.NoteMoved:
		return nil // it is finished
	case left == vault.NoteArriving && !turnBack:
		return fmt.Errorf("%w: one in the other direction is not finished: finish it, or stop every process of Tokenkeep and run this with --turn-back", vault.ErrMoving)
	}
	if err := c.belongs(ctx); err != nil {
		return err
	}
	if err := c.carryPepper(ctx); err != nil {
		return err
	}
	tenants, err := c.tenants(ctx)
	if err != nil {
		return err
	}
	for _, u := range tenants {
		if err := c.Vault.CreateKey(ctx, u); err != nil && !errors.Is(err, vault.ErrNoKey) {
			return fmt.Errorf("making a tenant's key in the target: %w", err)
		}
	}
	if err := vault.SetMoveState(ctx, to, vault.NoteArriving); err != nil || left == vault.NoNote {
		return err
	}
	return vault.SetMoveState(ctx, from, vault.NoNote)
}

// carryPepper makes the target hash as the source does.
func (c *Copy) carryPepper(ctx context.Context) error {
	if same, err := c.Vault.SamePepper(ctx); err == nil && same {
		return nil
	}
	pepper, err := c.Vault.From().ExportPepper(ctx)
	if err != nil {
		return err
	}
	if err := c.Vault.To().ImportPepper(ctx, pepper); err != nil {
		return err
	}
	same, err := c.Vault.SamePepper(ctx)
	if err == nil && !same {
		err = fmt.Errorf("%w: the target does not hash as the source does, although it was given the source's pepper", vault.ErrPepper)
	}
	return err
}

// Run moves everything and returns when a pass found nothing left. Errors: the context's, vault.ErrMoving (not prepared) and those
// of the stores; what was moved by then stays moved.
func (c *Copy) Run(ctx context.Context) (CopyProgress, error) {
	if err := c.Vault.Check(ctx); err != nil {
		return c.progress, err
	}
	cutoff := uuid.Nil
	for {
		c.progress.Pass++
		moved, err := c.pass(ctx)
		if err != nil {
			return c.progress, err
		}
		if c.progress.Pass > 1 && moved == 0 {
			busy, err := c.underWay(ctx, cutoff)
			if err != nil || !busy {
				return c.progress, err
			}
		}
		if cutoff == uuid.Nil {
			cutoff = id.New()
		}
		if err := c.pause(ctx); err != nil {
			return c.progress, err
		}
	}
}

// pause waits until whatever began before has ended.
func (c *Copy) pause(ctx context.Context) error {
	c.progress.Waiting = true
	c.Report(c.progress)
	c.progress.Waiting = false
	return wait(ctx, c.Lock)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pass walks over everything once and returns how much it moved.
func (c *Copy) pass(ctx context.Context) (int, error) {
	tenants, err := c.tenants(ctx)
	if err != nil {
		return 0, err
	}
	before := c.progress.Records + c.progress.Values
	c.progress.All = len(tenants)
	for c.progress.Tenants = 0; c.progress.Tenants < len(tenants); {
		if err := c.tenant(ctx, tenants[c.progress.Tenants]); err != nil {
			return 0, fmt.Errorf("moving what is %s's: %w", id.Tenant.Format(tenants[c.progress.Tenants]), err)
		}
		c.progress.Tenants++
		c.Report(c.progress)
	}
	return c.progress.Records + c.progress.Values - before, nil
}

// tenant moves what is one tenant's: records, then what is sealed in the database, then, for the sake of escrows that went from
// there to the target meanwhile, what the target has under keys of the source.
func (c *Copy) tenant(ctx context.Context, u uuid.UUID) error {
	for after := uuid.Nil; ; {
		did, err := c.Vault.Relocate(ctx, u, after, c.Batch)
		c.progress.Records += did.Moved
		if errors.Is(err, vault.ErrNoKey) {
			return nil // the tenant was deleted meanwhile
		}
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if !did.More {
			break
		}
		after = did.Last
	}
	for _, from := range c.values.sources() {
		if err := c.source(ctx, from, u); err != nil {
			if errors.Is(err, vault.ErrNoKey) {
				return nil
			}
			return err
		}
	}
	return nil
}

// source moves one kind of sealed things.
func (c *Copy) source(ctx context.Context, from source, u uuid.UUID) error {
	for after := uuid.Nil; ; {
		p, err := from.page(ctx, u, after, c.Batch)
		if err != nil {
			return err
		}
		for _, one := range p.items {
			if err := c.item(ctx, u, one); err != nil {
				return err
			}
		}
		if !p.more || ctx.Err() != nil {
			return ctx.Err()
		}
		after = p.last
	}
}

// item has the target wrap the data key of one thing that the source wrapped. One that does not open stays as it is.
func (c *Copy) item(ctx context.Context, u uuid.UUID, one item) error {
	for range tries {
		if !c.Vault.From().Wraps(one.key) {
			return nil
		}
		fresh, err := c.Vault.RewrapDataKeys(ctx, u, []vault.WrappedKey{one.key})
		if errors.Is(err, vault.ErrCorrupt) {
			return nil
		}
		if err != nil {
			return err
		}
		ok, err := one.put(ctx, fresh[0])
		if err != nil {
			return err
		}
		if ok {
			c.progress.Values++
			return nil
		}
		next, there, err := one.again(ctx)
		if err != nil || !there {
			return err
		}
		one = next
	}
	return nil
}

// underWay reports whether a spend that began before the cutoff still runs: it may hold a data key of the source. Answers to codes
// are sealed within less than the wait between two passes.
func (c *Copy) underWay(ctx context.Context, cutoff uuid.UUID) (bool, error) {
	return c.values.exists(ctx, fmt.Sprintf(`SELECT 1 FROM grant_locks WHERE owner < $1 AND until_ms >= %s LIMIT 1`, c.DB.NowMillis()), cutoff)
}

// Finish declares the move finished: the source must not be used alone any more, then, once what somebody who knows the source
// alone had begun is moved as well, the target may. Orders to re-wrap are dropped, since everything is under new keys. Call it
// when Verify found nothing; it may be interrupted and repeated.
func (c *Copy) Finish(ctx context.Context) error {
	there, err := vault.MoveState(ctx, c.Vault.To())
	if err != nil {
		return err
	}
	if err := vault.SetMoveState(ctx, c.Vault.From(), vault.NoteMoved); err != nil {
		return err
	}
	if there != vault.NoNote {
		if err := c.late(ctx); err != nil {
			return err
		}
	}
	if err := c.noteKeys(ctx); err != nil {
		return err
	}
	return vault.SetMoveState(ctx, c.Vault.To(), vault.NoNote)
}

// late moves what was begun in the source before that said that it was left: a first record, of which it had said by then that
// there is none.
func (c *Copy) late(ctx context.Context) error {
	for {
		if err := c.pause(ctx); err != nil {
			return err
		}
		c.progress.Pass++
		if moved, err := c.pass(ctx); err != nil || moved == 0 {
			return err
		}
	}
}

// noteKeys puts the versions of the target's keys into the tenants' rows, and drops what was ordered for those of the source.
func (c *Copy) noteKeys(ctx context.Context) error {
	tenants, err := c.tenants(ctx)
	if err != nil {
		return err
	}
	for _, u := range tenants {
		info, err := c.Vault.To().KeyInfo(ctx, u)
		if errors.Is(err, vault.ErrNoKey) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := c.DB.Ent.ExecContext(ctx, `UPDATE tenants SET key_version = $1 WHERE id = $2`, info.Latest, u); err != nil {
			return fmt.Errorf("noting a key's version: %w", err)
		}
	}
	if _, err := c.DB.Ent.ExecContext(ctx, `DELETE FROM key_rotations`); err != nil {
		return fmt.Errorf("dropping orders to re-wrap: %w", err)
	}
	return nil
}
