package grant

import (
	"context"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/hold"
)

// OfStore reports whether a failure reason says that a store of ours, not the provider, is why a connection would end.
func OfStore(reason string) bool {
	return reason == ReasonRolledBack || reason == ReasonMissing || reason == ReasonUnreadable
}

// lostRecord settles a row whose record is gone or does not open: nothing can be spent, and unless that is held the user
// must connect again.
func (s *spend) lostRecord(ctx context.Context, step SpendStep) (Refreshed, bool, error) {
	jitter := s.jitter()
	return s.settleEnding(ctx, hold.Lost, func(b hold.Brake) Verdict {
		return Braked(VerdictOnLoss(step), b, s.now(), s.row.FailureAttempts, jitter)
	})
}

// rolledBack settles a head that is older than the row where its token is not sent; done is false where it is.
func (s *spend) rolledBack(ctx context.Context) (done bool, _ Refreshed, settled bool, _ error) {
	b, err := s.holds.Peek(ctx, s.ending(hold.RolledBack))
	if err != nil {
		return true, Refreshed{}, false, unavailable(err)
	}
	usable := !s.reserved.set.RefreshToken.IsZero() && s.row.RefusedGeneration != s.reserved.head.Generation
	p, _ := s.catalogue.Get(s.row.Provider)
	step := AfterRollback(usable, p.Reuse, b)
	if step == RollbackTry {
		return false, Refreshed{}, false, nil
	}
	jitter := s.jitter()
	out, settled, err := s.settleEnding(ctx, hold.RolledBack, func(b hold.Brake) Verdict {
		v := VerdictOnRollback(step, b, s.now(), s.row.FailureAttempts, jitter)
		v.RefusedGeneration = s.row.RefusedGeneration
		if s.row.FailureReason == ReasonRolledBack { // what the provider said when it was tried
			v.Code, v.HTTPStatus = s.row.FailureProviderCode, s.row.FailureHTTPStatus
		}
		return v
	})
	return true, out, settled, err
}

// ending is the present connection as one that is about to end.
func (s *spend) ending(cause hold.Cause) hold.Ending { return endingOf(s.row, cause) }

// endingOf is a connection that is about to end, for the holds.
func endingOf(row *ent.Connection, cause hold.Cause) hold.Ending {
	stored := row.ConsentedAt
	if at := row.LastRefreshedAt; at != nil && at.After(stored) {
		stored = *at
	}
	return hold.Ending{Cause: cause, App: row.AppID, HeldBy: row.HeldBy, StoredAt: stored}
}

// Lose settles, as part of tx, a row whose record is gone (StepMissing) or does not open (StepUnreadable) where no attempt
// found it: the connection ends, unless the holds keep it, which held says. Call alarm when tx is through.
func (k *Keeper) Lose(ctx context.Context, tx *ent.Tx, row *ent.Connection, step SpendStep) (held bool, alarm func(context.Context), err error) {
	jitter := k.jitter()
	v, ruling, end, err := k.ask(ctx, tx, endingOf(row, hold.Lost), func(b hold.Brake) Verdict {
		return Braked(VerdictOnLoss(step), b, k.now(), row.FailureAttempts, jitter)
	})
	if err != nil {
		return false, nil, err
	}
	v.Generation = row.Generation
	if err := k.domain.Failed(ctx, tx, row.ID, v); err != nil {
		return false, nil, err
	}
	return v.Held, ruling.Alarm, end()
}

// ask asks the holds, as part of tx, and judge with their answer. Run end when the verdict is written.
func (k *Keeper) ask(ctx context.Context, tx *ent.Tx, e hold.Ending, judge func(hold.Brake) Verdict) (v Verdict, r *hold.Ruling, end func() error, err error) {
	if r, err = k.holds.Ask(ctx, tx, e); err != nil {
		return v, r, nil, err
	}
	switch v = judge(r.Brake); {
	case v.Held:
		v.Hold, err = r.Hold(ctx, tx, v.Reason)
		return v, r, func() error { return r.Stopped(ctx, tx) }, err
	case v.Disconnect:
		return v, r, func() error { return r.Pass(ctx, tx) }, nil
	default:
		return v, r, func() error { return nil }, nil
	}
}

// settleEnding settles what judge says. Where a hold could keep the connection from ending, the holds are asked in the same
// transaction, and judge with their answer: no replica ends a connection after a hold stands.
func (s *spend) settleEnding(ctx context.Context, cause hold.Cause, judge func(hold.Brake) Verdict) (Refreshed, bool, error) {
	v := judge(hold.Brake{Standing: true})
	if !v.Held {
		return s.settleFailure(ctx, v)
	}
	var ruling *hold.Ruling
	out, settled, err := s.settle(ctx, &v, func(ctx context.Context, tx *ent.Tx) (end func() error, err error) {
		v, ruling, end, err = s.ask(ctx, tx, s.ending(cause), judge)
		return end, err
	})
	if err == nil && ruling != nil {
		ruling.Alarm(ctx)
	}
	return out, settled, err
}

// settleFailure writes a verdict that no hold concerns.
func (s *spend) settleFailure(ctx context.Context, v Verdict) (Refreshed, bool, error) {
	return s.settle(ctx, &v, func(context.Context, *ent.Tx) (func() error, error) { return nil, nil })
}

// settle writes a verdict on the generation that was reserved and releases the lock, in one transaction, in which revise
// may change the verdict; what that returns is run last. That a spend went without an answer is remembered for as long as
// the connection lives in this generation.
func (s *spend) settle(ctx context.Context, v *Verdict, revise func(ctx context.Context, tx *ent.Tx) (end func() error, err error)) (Refreshed, bool, error) {
	err := s.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
		past, err := tx.Connection.Query().Where(connection.ID(s.ref.Connection), connection.GenerationGT(s.row.Generation)).Exist(ctx)
		if err != nil {
			return err
		}
		if past {
			return s.lock.release(ctx, tx, 0)
		}
		end, err := revise(ctx, tx)
		if err != nil {
			return err
		}
		v.Generation = s.row.Generation
		if err := s.lock.release(ctx, tx, Unanswered(FailedSpend{Interrupted: s.interrupted}, *v, s.row.Generation)); err != nil {
			return err
		}
		if err := s.domain.Failed(ctx, tx, s.ref.Connection, *v); err != nil || end == nil {
			return err
		}
		return end()
	})
	if err != nil {
		return Refreshed{}, false, goneOrUnavailable(err)
	}
	s.log.InfoContext(ctx, "a refresh failed", "connection", s.ref.Connection, "reason", v.Reason, "disconnected", v.Disconnect, "held", v.Held)
	return Refreshed{Verdict: v}, true, nil
}
