package grant

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/grantattempt"
	"github.com/tokenkeep/tokenkeep/ent/predicate"
	"github.com/tokenkeep/tokenkeep/ent/revocationjob"
	"github.com/tokenkeep/tokenkeep/ent/tombstone"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// revocationsAtOnce bounds how many revocations one round has under way, so that one slow provider does not hold up the
// others.
const revocationsAtOnce = 8

// sweepBatch bounds what one round does of each kind of work.
const sweepBatch = 100

// dueAgain says how long an attempt is left alone between two tries to finish it: whoever makes it needs less, a provider
// that is down is not asked every second, and what could not be finished for an hour hardly will be in the next minute.
var dueAgain = []struct{ youngerThan, after time.Duration }{
	{5 * time.Minute, 15 * time.Second},
	{time.Hour, time.Minute},
	{math.MaxInt64 / 8, 10 * time.Minute},
}

// due holds for the attempts that are to be tried again.
func due(now time.Time) predicate.GrantAttempt {
	var ages []predicate.GrantAttempt
	for _, d := range dueAgain {
		ages = append(ages, grantattempt.And(grantattempt.CreatedAtGT(now.Add(-d.youngerThan)), grantattempt.UpdatedAtLT(now.Add(-d.after))))
	}
	return grantattempt.And(unfinished(), grantattempt.Or(ages...))
}

// attemptLife is how long ended attempts are kept; a code is dead long before.
const attemptLife = 24 * time.Hour

// Swept counts what one round did.
type Swept struct{ Attempts, Erasures, Revocations, Escrows int }

// Sweeper finishes what a crash or an outage left: parked answers, erasures that a tombstone orders, revocations that
// are due, escrows the vault can take again. It is a loop: Start, Stop, RunOnce.
type Sweeper struct {
	keeper *Keeper
	every  time.Duration
	// tidied is when locks were last cleared away.
	tidied time.Time
	stop   context.CancelFunc
	done   chan struct{}
}

// NewSweeper returns a sweeper that looks for work every so often (zero: every second) and whenever the keeper is woken.
func NewSweeper(k *Keeper, every time.Duration) *Sweeper {
	if every <= 0 {
		every = time.Second
	}
	return &Sweeper{keeper: k, every: every}
}

// Start runs the loop until Stop.
func (s *Sweeper) Start(ctx context.Context) {
	ctx, s.stop = context.WithCancel(ctx)
	s.done = make(chan struct{})
	go s.loop(ctx)
}

// Stop ends the loop and waits for the round under way.
func (s *Sweeper) Stop() {
	if s.stop == nil {
		return
	}
	s.stop()
	<-s.done
}

func (s *Sweeper) loop(ctx context.Context) {
	defer close(s.done)
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		if _, err := s.RunOnce(ctx); err != nil && ctx.Err() == nil {
			s.keeper.log.ErrorContext(ctx, "a sweep failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.keeper.wake:
		}
	}
}

// RunOnce does one round and says what it did. One item that fails does not hold up the others, and one kind of work does
// not wait for another: a provider that hangs must not keep records from being erased. Where ctx ends no item is
// begun any more, and one that was is carried through: it may be between a provider's answer and its storing. While the
// vault is known to be away a round does nothing: all of its work needs the vault.
func (s *Sweeper) RunOnce(ctx context.Context) (Swept, error) {
	var out Swept
	if vault.Absent(s.keeper.vault) != nil {
		return out, nil //nolint:nilerr // the vault's absence is logged where it is found
	}
	var errAttempts, errErase, errRevoke, errEscrow error
	var kinds sync.WaitGroup
	kinds.Go(func() { out.Attempts, errAttempts = s.attempts(ctx) })
	kinds.Go(func() { out.Escrows, errEscrow = s.escrows(ctx) })
	kinds.Go(func() { out.Erasures, errErase = s.erasures(ctx) })
	kinds.Go(func() { out.Revocations, errRevoke = s.revocations(ctx) })
	kinds.Wait()
	return out, errors.Join(errAttempts, errEscrow, errErase, errRevoke)
}

// attempts resumes what other processes left and forgets what is long over. Those of this process are locked.
func (s *Sweeper) attempts(ctx context.Context) (int, error) {
	k, all := s.keeper, tenant.System(ctx, uuid.Nil)
	open, err := k.db.Ent.GrantAttempt.Query().
		Where(due(k.now())).
		Order(grantattempt.ByUpdatedAt()).Limit(sweepBatch).All(all)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, attempt := range open {
		if ctx.Err() != nil {
			return n, ctx.Err()
		}
		inside := s.inside(ctx, attempt.TenantID)
		if _, took, err := k.resume(inside, attempt.ID); took {
			n++
			if err != nil {
				k.log.InfoContext(ctx, "an attempt was resumed without success", "attempt", attempt.ID, "error", err)
				s.yieldTurn(inside, attempt)
			}
		}
	}
	_, err = k.db.Ent.GrantAttempt.Delete().Where(
		grantattempt.StateIn(grantattempt.StateDONE, grantattempt.StateREFUSED, grantattempt.StateLOST),
		grantattempt.UpdatedAtLT(k.now().Add(-attemptLife))).Exec(all)
	return n, errors.Join(err, s.tidyLocks(ctx))
}

// tidyEvery is how often locks that nobody will ask for again are cleared away.
const tidyEvery = 10 * time.Minute

// tidyLocks clears away what dead processes left of locks, now and then.
func (s *Sweeper) tidyLocks(ctx context.Context) error {
	if now := s.keeper.now(); now.Sub(s.tidied) >= tidyEvery {
		s.tidied = now
		return s.keeper.locks.tidy(ctx)
	}
	return nil
}

// inside is the context of one item: in its tenant, and not ended by the end of the loop.
func (s *Sweeper) inside(ctx context.Context, owner uuid.UUID) context.Context {
	return tenant.System(context.WithoutCancel(ctx), owner)
}

// yieldTurn puts an attempt that cannot be finished for now behind the others.
func (s *Sweeper) yieldTurn(ctx context.Context, attempt *ent.GrantAttempt) {
	_ = s.keeper.db.Ent.GrantAttempt.Update().Where(grantattempt.ID(attempt.ID), unfinished()).SetUpdatedAt(s.keeper.now()).Exec(ctx)
}

// erasures destroys the records that tombstones order destroyed.
func (s *Sweeper) erasures(ctx context.Context) (int, error) {
	k, all := s.keeper, tenant.System(ctx, uuid.Nil)
	due, err := k.db.Ent.Tombstone.Query().Where(tombstone.ErasedAtIsNil()).Order(tombstone.ByDeletedAt()).Limit(sweepBatch).All(all)
	if err != nil {
		return 0, err
	}
	var failed error
	n := 0
	for _, t := range due {
		if ctx.Err() != nil {
			return n, errors.Join(failed, ctx.Err())
		}
		if err := k.Erase(s.inside(ctx, t.TenantID), t.ID); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		n++
	}
	return n, failed
}

// revocations carries out what is due.
func (s *Sweeper) revocations(ctx context.Context) (int, error) {
	k, all := s.keeper, tenant.System(ctx, uuid.Nil)
	due, err := k.db.Ent.RevocationJob.Query().
		Where(revocationjob.StateEQ(revocationjob.StatePENDING), revocationjob.NextAttemptAtLTE(k.now())).
		Order(revocationjob.ByNextAttemptAt(sql.OrderAsc())).Limit(sweepBatch).All(all)
	if err != nil {
		return 0, err
	}
	failures := make([]error, len(due))
	var begun atomic.Int64
	var grants sync.WaitGroup
	slots := make(chan struct{}, revocationsAtOnce)
	for _, jobs := range byGrant(due) {
		slots <- struct{}{}
		grants.Go(func() {
			defer func() { <-slots }()
			for _, i := range jobs {
				if failures[i] = ctx.Err(); failures[i] != nil {
					return
				}
				begun.Add(1)
				_, failures[i] = runSafely(s.inside(ctx, due[i].TenantID), k, func(ctx context.Context) (struct{}, error) {
					return struct{}{}, k.runRevocation(ctx, due[i])
				})
			}
		})
	}
	grants.Wait()
	return int(begun.Load()), errors.Join(failures...)
}

// byGrant groups jobs, by their place, that want the same grant's lock: they are done one after the other.
func byGrant(jobs []*ent.RevocationJob) (groups [][]int) {
	of := map[string]int{}
	for i, job := range jobs {
		n, known := of[job.GrantKey]
		if !known {
			n, groups = len(groups), append(groups, nil)
			of[job.GrantKey] = n
		}
		groups[n] = append(groups[n], i)
	}
	return groups
}

// escrows lands what waits, under each grant's lock.
func (s *Sweeper) escrows(ctx context.Context) (int, error) {
	k, all := s.keeper, tenant.System(ctx, uuid.Nil)
	waiting, err := k.db.Ent.Escrow.Query().Limit(sweepBatch).All(all)
	if err != nil {
		return 0, err
	}
	var failed error
	n := 0
	for _, e := range waiting {
		if ctx.Err() != nil {
			return n, errors.Join(failed, ctx.Err())
		}
		switch err := k.landOne(s.inside(ctx, e.TenantID), e.ID); {
		case err == nil, errors.Is(err, ErrGone):
			n++
		case errors.Is(err, vault.ErrUnavailable):
			return n, errors.Join(failed, err) // it is still away: no use in trying the others
		case !errors.Is(err, ErrBusy):
			failed = errors.Join(failed, err)
		}
	}
	return n, failed
}
