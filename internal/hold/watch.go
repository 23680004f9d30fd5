package hold

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	enthold "github.com/tokenkeep/tokenkeep/ent/hold"
	"github.com/tokenkeep/tokenkeep/ent/predicate"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// alarmAgain is how often a process says again that a hold stands: whoever raised it may have died before it could say so, and
// whoever was told may have forgotten.
const alarmAgain = time.Hour

// Watcher ends holds that nothing needs any more, and names those that stand in the log: when it starts, and every hour. It is
// a loop: Start, Stop, RunOnce.
type Watcher struct {
	s     *Service
	every time.Duration
	stop  context.CancelFunc
	done  chan struct{}
	// alarmed is when the holds that stood were named last.
	alarmed time.Time
}

// NewWatcher returns a watcher that looks every so often; zero means every minute.
func NewWatcher(s *Service, every time.Duration) *Watcher {
	if every <= 0 {
		every = time.Minute
	}
	return &Watcher{s: s, every: every}
}

// Start runs the loop until Stop.
func (w *Watcher) Start(ctx context.Context) {
	ctx, w.stop = context.WithCancel(ctx)
	w.done = make(chan struct{})
	go w.loop(ctx)
}

// Stop ends the loop and waits for the round under way.
func (w *Watcher) Stop() {
	if w.stop == nil {
		return
	}
	w.stop()
	<-w.done
}

func (w *Watcher) loop(ctx context.Context) {
	defer close(w.done)
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		if _, err := w.RunOnce(ctx); err != nil && ctx.Err() == nil {
			w.s.log.ErrorContext(ctx, "looking after holds failed and is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// RunOnce ends the holds that keep no connection any more: that of the fleet at once, for all that was rolled back is right
// again, one of an app when it has kept nothing for an hour, for more may be on their way. It returns how many it ended.
func (w *Watcher) RunOnce(ctx context.Context) (int, error) {
	standing, err := w.s.db.Ent.Hold.Query().Where(enthold.StateEQ(enthold.StateSTANDING)).All(system(ctx))
	if err != nil {
		return 0, fmt.Errorf("listing holds: %w", err)
	}
	ended := 0
	var left []*ent.Hold
	for _, h := range standing {
		ok, err := w.endQuiet(ctx, h)
		if err != nil {
			return ended, err
		}
		if ok {
			ended++
		} else {
			left = append(left, h)
		}
	}
	w.alarm(ctx, left)
	return ended, nil
}

// endQuiet is endUnused, but for the hold of an app that was needed within the last hour.
func (w *Watcher) endQuiet(ctx context.Context, h *ent.Hold) (bool, error) {
	if Subject(h.Subject) != Fleet && w.s.now().Sub(h.LastHeldAt) < quiet {
		return false, nil
	}
	return w.endUnused(ctx, h)
}

// alarm names the holds that stand, unless this process did within the last hour. Each replica does: there is one line an
// hour for a hold and a process, and none depends on another's life.
func (w *Watcher) alarm(ctx context.Context, standing []*ent.Hold) {
	now := w.s.now()
	if now.Sub(w.alarmed) < alarmAgain {
		return
	}
	w.alarmed = now
	for _, h := range standing {
		w.s.log.ErrorContext(ctx, "a hold stands: "+describe(h)+". They stay connected until an operator decides",
			"hold", Name(h), "subject", Subject(h.Subject).String(), "reason", h.Reason, "raised", h.RaisedAt, "stopped", h.Stopped, "do", Advice(h))
	}
}

// endUnused ends the hold unless it keeps something. Whoever raises it or adds to it is seen by this transaction or ends
// up with a hold that ended, and then asks for a new one at the next attempt.
func (w *Watcher) endUnused(ctx context.Context, h *ent.Hold) (ended bool, err error) {
	err = w.s.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
		kept, err := tx.Connection.Query().Where(keptBy(h.ID)...).Exist(system(ctx))
		if err != nil || kept {
			ended = false
			return err
		}
		if err := w.s.end(ctx, tx, h, enthold.StateENDED, "system"); err != nil {
			return err
		}
		ended = true
		return audit.Record(system(ctx), tx.Client(), audit.Entry{Action: audit.HoldEnd, Object: Name(h), Allowed: true, Tenant: tenant.Operator,
			Detail: "it keeps no connection any more"})
	})
	var told *errs.Error
	if errors.As(err, &told) && told.Kind == errs.Conflict {
		return false, nil // somebody decided meanwhile
	}
	if err != nil {
		return false, fmt.Errorf("ending a hold: %w", err)
	}
	if ended {
		w.s.log.WarnContext(ctx, "a hold ended by itself: it keeps no connection any more", "hold", Name(h), "subject", Subject(h.Subject).String(), "stopped", h.Stopped)
	}
	return ended, nil
}

// keptBy holds for the connections that a hold keeps from ending.
func keptBy(h uuid.UUID) []predicate.Connection {
	return []predicate.Connection{connection.HeldBy(h), connection.StateEQ(connection.StateCONNECTED)}
}
