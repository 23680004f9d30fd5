package hold

import (
	"context"
	"fmt"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	enthold "github.com/tokenkeep/tokenkeep/ent/hold"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// listAtMost is how many holds a list shows; there is one for each incident.
const listAtMost = 100

// keptAtMost bounds the count of connections that a hold keeps now.
const keptAtMost = 10_000

// Seen is a hold as an operator sees it.
type Seen struct {
	*ent.Hold
	// Kept is how many connections it keeps now, counted up to 10,000.
	Kept int
}

// Stands reports whether nobody has decided about it.
func (s Seen) Stands() bool { return s.State == enthold.StateSTANDING }

// List returns the newest holds first, 100 at most; only those that stand where standing is true. Operator only.
// Errors: UNAUTHENTICATED, FORBIDDEN.
func (s *Service) List(ctx context.Context, standing bool) ([]Seen, error) {
	if err := operator(ctx); err != nil {
		return nil, err
	}
	ctx = system(ctx)
	query := s.db.Ent.Hold.Query().Order(enthold.ByID(sql.OrderDesc())).Limit(listAtMost)
	if standing {
		query.Where(enthold.StateEQ(enthold.StateSTANDING))
	}
	all, err := query.All(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing holds: %w", err)
	}
	seen := make([]Seen, len(all))
	for i, h := range all {
		if seen[i], err = s.look(ctx, h); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// look counts what a hold keeps.
func (s *Service) look(ctx context.Context, h *ent.Hold) (Seen, error) {
	ids, err := s.db.Ent.Connection.Query().Where(keptBy(h.ID)...).Limit(keptAtMost).IDs(ctx)
	if err != nil {
		return Seen{}, fmt.Errorf("counting the connections of a hold: %w", err)
	}
	return Seen{Hold: h, Kept: len(ids)}, nil
}

// Confirm lets what the hold keeps end, each by its own next attempt, and for a stated time what comes after it. Operator
// only. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, CONFLICT (it stands no more).
func (s *Service) Confirm(ctx context.Context, u uuid.UUID) (Seen, error) {
	return s.decide(ctx, u, audit.HoldConfirm, enthold.StateCONFIRMED)
}

// Dismiss ends the hold for a mistake that was put right: what it kept recovers by its next refresh, and what is refused
// after this counts anew. Operator only. Errors: as Confirm.
func (s *Service) Dismiss(ctx context.Context, u uuid.UUID) (Seen, error) {
	return s.decide(ctx, u, audit.HoldDismiss, enthold.StateDISMISSED)
}

// ConfirmRollback confirms the hold of the fleet. Operator only. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND (none stands).
func (s *Service) ConfirmRollback(ctx context.Context) (Seen, error) {
	if _, err := audit.RequireOperator(ctx, s.db.Ent, audit.HoldConfirm, ""); err != nil {
		return Seen{}, err
	}
	h, err := s.db.Ent.Hold.Query().Where(enthold.Subject(string(Fleet)), enthold.StateEQ(enthold.StateSTANDING)).Only(system(ctx))
	if ent.IsNotFound(err) {
		return Seen{}, errs.New(errs.NotFound, "no hold of a rolled back store stands: the first refresh that finds a token older than it should be raises one")
	}
	if err != nil {
		return Seen{}, fmt.Errorf("reading the hold of the fleet: %w", err)
	}
	return s.Confirm(ctx, h.ID)
}

// decide moves a hold that stands to another state, once, whoever else decides at the same time.
func (s *Service) decide(ctx context.Context, u uuid.UUID, action string, to enthold.State) (Seen, error) {
	object := id.Hold.Format(u)
	v, err := audit.RequireOperator(ctx, s.db.Ent, action, object)
	if err != nil {
		return Seen{}, err
	}
	var h *ent.Hold
	err = s.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
		if h, err = tx.Hold.Get(system(ctx), u); ent.IsNotFound(err) {
			return errs.New(errs.NotFound, "there is no such hold").WithField("id")
		}
		if err != nil {
			return fmt.Errorf("reading a hold: %w", err)
		}
		if err := s.end(ctx, tx, h, to, v.Actor()); err != nil {
			return err
		}
		return audit.Record(ctx, tx.Client(), audit.Entry{Action: action, Object: object, Allowed: true, Detail: describe(h)})
	})
	if err != nil {
		return Seen{}, err
	}
	s.log.WarnContext(ctx, "an operator decided about a hold", "hold", object, "decision", to.String(), "stopped", h.Stopped)
	if h, err = s.db.Ent.Hold.Get(system(ctx), u); err != nil {
		return Seen{}, fmt.Errorf("reading a hold: %w", err)
	}
	return s.look(system(ctx), h)
}

// end writes the end of a hold. Errors: CONFLICT (it stands no more).
func (s *Service) end(ctx context.Context, tx *ent.Tx, h *ent.Hold, to enthold.State, actor string) error {
	now := s.now()
	u := tx.Hold.Update().Where(enthold.ID(h.ID), enthold.StateEQ(enthold.StateSTANDING)).SetState(to).SetDecidedAt(now).SetDecidedBy(actor)
	if to == enthold.StateCONFIRMED {
		lets := s.policy.Lets
		if Subject(h.Subject) == Fleet {
			lets = letsFleet
		}
		u.SetLetsUntil(now.Add(lets))
	}
	n, err := u.Save(system(ctx))
	if err != nil {
		return fmt.Errorf("ending a hold: %w", err)
	}
	if n == 0 {
		return errs.New(errs.Conflict, "the hold stands no more: it was %s", word[h.State]).WithField("id")
	}
	return nil
}

// word says what became of a hold.
var word = map[enthold.State]string{
	enthold.StateCONFIRMED: "confirmed", enthold.StateDISMISSED: "dismissed", enthold.StateENDED: "ended by itself",
	enthold.StateSTANDING: "decided by somebody else at this moment",
}

// operator is for reads: they leave no entry. Errors: UNAUTHENTICATED, FORBIDDEN.
func operator(ctx context.Context) error {
	switch v := tenant.FromContext(ctx); {
	case v == nil:
		return errs.New(errs.Unauthenticated, "nobody is signed in: send an API key in the header Authorization")
	case !v.IsOperator:
		return errs.New(errs.Forbidden, "only an operator may do this")
	case v.Tenant != uuid.Nil:
		return errs.New(errs.Forbidden, "an operator does this outside of any tenant: leave out the header Tokenkeep-Tenant")
	default:
		return nil
	}
}
