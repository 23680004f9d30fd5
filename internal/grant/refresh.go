package grant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/grantattempt"
	"github.com/tokenkeep/tokenkeep/ent/predicate"
	"github.com/tokenkeep/tokenkeep/internal/hold"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// Refreshed is how a refresh ended.
type Refreshed struct {
	Opened
	// Verdict is set where the provider did not give a new token set; Opened is empty then.
	Verdict *Verdict
}

// Wanted says under which circumstances a refresh is wanted.
type Wanted struct {
	// IfGeneration is the generation the caller saw: where a higher one is stored, nothing is spent.
	IfGeneration int64
	// Now spends even before the time that the last failure put the next attempt off to.
	Now bool
}

// Refresh spends the refresh token of a connection, unless what is wanted is there already: then it returns what is
// stored, or the failure that stands. Nobody can cancel it: a caller whose context ends stops waiting, no more.
// Errors: ErrBusy (somebody else is at it), ErrGone, ErrNothingToSpend; VAULT_UNAVAILABLE where our own stores fail, in
// which case nothing was spent and the connection was not touched.
func (k *Keeper) Refresh(ctx context.Context, connectionID uuid.UUID, wanted Wanted) (Refreshed, error) {
	return detach(ctx, k, func(ctx context.Context) (Refreshed, error) { return k.refresh(ctx, connectionID, wanted) })
}

func (k *Keeper) refresh(ctx context.Context, connectionID uuid.UUID, wanted Wanted) (Refreshed, error) {
	ref, err := refOf(ctx, connectionID)
	if err != nil {
		return Refreshed{}, err
	}
	if err := vault.Absent(k.vault); err != nil {
		return Refreshed{}, unavailable(err) // neither rows nor locks for what cannot succeed
	}
	row, err := k.row(ctx, connectionID)
	if err != nil {
		return Refreshed{}, err
	}
	attempt := id.New()
	held, err := k.locks.claim(ctx, Key(row.GrantKey), attempt)
	if err != nil {
		return Refreshed{}, busyOrUnavailable(err)
	}
	defer held.close(ctx)
	s := &spend{Keeper: k, ref: ref, lock: held, attempt: attempt, wanted: wanted}
	out, settled, err := s.run(ctx)
	held.settled = settled
	return out, err
}

// row reads a connection. Errors: ErrGone.
func (k *Keeper) row(ctx context.Context, connectionID uuid.UUID) (*ent.Connection, error) {
	row, err := k.db.Ent.Connection.Query().Where(connection.ID(connectionID)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, unavailable(fmt.Errorf("reading the row: %w", err))
	}
	return row, nil
}

// spend is one refresh under its lock.
type spend struct {
	*Keeper
	ref      vault.Ref
	lock     *lock
	attempt  uuid.UUID
	wanted   Wanted
	row      *ent.Connection
	reserved reservation
	app      oauth.App
	// sent is when the provider was last called.
	sent time.Time
	// interrupted is set once a spend of this generation went without an answer, in this attempt or in one before it.
	interrupted bool
	window      window
}

// run carries the refresh from the claim to the settlement; settled says whether the lock was released by it.
func (s *spend) run(ctx context.Context) (out Refreshed, settled bool, err error) {
	// The row first: one who lost the lock may put a record into escrow at any time, with the row in one transaction, and a
	// row that is newer than what was landed would look like a restored vault.
	if s.row, err = s.Keeper.row(ctx, s.ref.Connection); err != nil {
		return Refreshed{}, false, err
	}
	if err := s.land(ctx, s.ref); err != nil {
		return Refreshed{}, false, goneOrUnavailable(err)
	}
	if s.reserved, err = s.reserve(ctx, s.ref); err != nil {
		return Refreshed{}, false, unavailable(err)
	}
	view := RowView{Exists: true, Generation: s.row.Generation}
	step := BeforeSpend(view, s.reserved.head.HeadView)
	s.recall(step, view)
	opened := Opened{Set: s.reserved.set, Generation: s.reserved.head.Generation}
	switch {
	case step == StepReconcile:
		return Refreshed{Opened: opened}, false, s.reconcile(ctx, s.ref.Connection, Landed{Set: opened.Set, Generation: opened.Generation})
	case step == StepSpend && opened.Generation > s.wanted.IfGeneration:
		return Refreshed{Opened: opened}, false, nil
	}
	if v := s.standing(step); v != nil {
		return Refreshed{Verdict: v}, false, nil
	}
	return s.spendReserved(ctx, step)
}

// recall takes over what attempts before this one left behind: that the present generation was spent and nobody knows
// what came of it. Of a generation that is past nothing needs to be known any more.
func (s *spend) recall(step SpendStep, row RowView) {
	s.interrupted = Recall(step, row, s.lock.unknown)
	if !s.interrupted {
		s.lock.unknown = 0
	}
}

// standing is the failure that keeps this attempt from spending: the connection is over, or the next attempt was put off.
// The row was read under the lock, so that whoever waited for it does not repeat what has just failed. A connection that was
// held because of its stored token spends at once where that is right again.
func (s *spend) standing(step SpendStep) *Verdict {
	row := s.row
	v := &Verdict{Disconnect: row.State == connection.StateDISCONNECTED, Class: row.FailureClass, Reason: row.FailureReason,
		Message: row.FailureMessage, Code: row.FailureProviderCode, HTTPStatus: row.FailureHTTPStatus, Generation: row.Generation}
	next := row.FailureNextAttemptAt
	switch {
	case v.Disconnect:
		return v
	case step == StepSpend && row.HeldBy != nil && OfStore(row.FailureReason):
		return nil
	case !s.wanted.Now && next != nil && s.now().Before(*next):
		v.NextAttemptAt = *next
		return v
	default:
		return nil
	}
}

// spendReserved spends what was reserved, if it can be spent.
func (s *spend) spendReserved(ctx context.Context, step SpendStep) (_ Refreshed, settled bool, err error) {
	switch {
	case s.row.State == connection.StatePENDING:
		return Refreshed{}, false, ErrNothingToSpend
	case step == StepMissing, step == StepUnreadable:
		return s.lostRecord(ctx, step)
	case step == StepSpendRolledBack:
		if done, out, settled, err := s.rolledBack(ctx); done {
			return out, settled, err
		}
	case s.reserved.set.RefreshToken.IsZero():
		return s.nothingToSpend(ctx)
	}
	if s.app, err = s.domain.App(ctx, s.row.AppID); err != nil {
		return Refreshed{}, false, callersOr(err)
	}
	return s.callAndSettle(ctx)
}

// nothingToSpend ends a connection whose last token has expired and that was given no refresh token.
func (s *spend) nothingToSpend(ctx context.Context) (Refreshed, bool, error) {
	if expires := s.reserved.set.ExpiresAt; expires.IsZero() || s.now().Before(expires) {
		return Refreshed{}, false, ErrNothingToSpend
	}
	return s.settleFailure(ctx, Verdict{Disconnect: true, Class: ClassReauthorize, Reason: string(oauth.ReasonExpired),
		Message: "The token has expired and the provider gave no refresh token. The user must connect again."})
}

// callAndSettle spends the reserved token and makes the outcome durable.
func (s *spend) callAndSettle(ctx context.Context) (Refreshed, bool, error) {
	answer, failure, err := s.call(ctx)
	if err != nil {
		return Refreshed{}, false, err
	}
	if failure != nil {
		return s.judge(ctx, failure)
	}
	set := fromAnswer(answer, s.reserved.set, s.app, s.sent, observedLife(s.row))
	generation := NextGeneration(RowView{Exists: true, Generation: s.row.Generation}, s.reserved.head.HeadView)
	record, err := s.reserved.seal(s.attempt, originRefresh, generation, set)
	if err != nil {
		return Refreshed{}, false, err
	}
	return s.store(ctx, record, set)
}

// call calls the provider; an unknown outcome is tried once more at once where RetryAtOnce says so.
func (s *spend) call(ctx context.Context) (oauth.TokenSet, *oauth.Error, error) {
	for try := 0; ; try++ {
		intime, err := s.mark(ctx)
		switch {
		case err != nil:
			return oauth.TokenSet{}, nil, err
		case !intime && try > 0:
			return oauth.TokenSet{}, &oauth.Error{Outcome: oauth.Unknown, Reason: oauth.ReasonNetwork, Message: unansweredMessage}, nil
		case !intime:
			return oauth.TokenSet{}, nil, unavailable(errors.New("reserving took too long for the lock"))
		}
		s.lock.doubt = s.row.Generation
		s.sent = s.now()
		answer, err := s.refreshOnce(ctx, s.app, s.reserved.set.RefreshToken)
		if err == nil {
			s.window = openWindow(ofRefresh)
			return answer, nil, nil
		}
		failure := asOAuth(err)
		if failure.Outcome == oauth.Unknown {
			s.interrupted = true
		}
		if try == 0 && RetryAtOnce(s.app.Provider.Reuse, failure) {
			continue
		}
		if !s.interrupted {
			s.lock.doubt = 0
		}
		return oauth.TokenSet{}, rested(s.app.Provider.Reuse, failure), nil
	}
}

// mark notes the spend and reports whether what is left of the lock holds the provider's cap and the commit's budget: a
// late send is never made. It looks again after the mark, which may have waited for the database.
func (s *spend) mark(ctx context.Context) (intime bool, err error) {
	need := s.budgets.Provider + s.budgets.Commit
	if s.lock.left() < need {
		return false, nil
	}
	if err := s.lock.spending(ctx, s.ref.Connection, s.row.Generation); err != nil {
		return false, goneOrUnavailable(err)
	}
	return s.lock.left() >= need, nil
}

const unansweredMessage = "The provider did not answer in time. It is tried again by itself."

// store commits the record and settles; what cannot be written into the vault goes into escrow with the settlement.
func (s *spend) store(ctx context.Context, record vault.Record, set TokenSet) (Refreshed, bool, error) {
	done := s.commit(ctx, s.reserved, record, RoleRefresh)
	switch done.step {
	case DoubtAdopt:
		opened, err := s.adopt(ctx)
		return Refreshed{Opened: opened}, false, err
	case DoubtRevoke:
		s.lock.doubt = 0
		return Refreshed{}, false, s.discard(ctx, s.ref, s.app, s.row, set)
	}
	if !done.parked {
		s.closed(s.window)
	}
	landed := Landed{Set: set, Generation: record.Generation, Escrowed: done.parked}
	err := s.settleStored(ctx, record, landed)
	if err == nil && done.parked {
		s.closed(s.window)
	}
	if errors.Is(err, ErrGone) {
		s.lock.doubt = 0
		return Refreshed{}, false, s.discard(ctx, s.ref, s.app, s.row, set)
	}
	if err != nil {
		return Refreshed{}, false, unavailable(err) // the lock remembers the spend: a deletion may destroy what is in the vault
	}
	s.lock.doubt = 0
	return Refreshed{Opened: Opened{Set: set, Generation: record.Generation}}, true, nil
}

// settleStored releases the lock and brings the row up to date. A lock that was lost stops only the release: a record
// in the vault stands, and one that is not there yet is parked all the same.
func (s *spend) settleStored(ctx context.Context, record vault.Record, l Landed) error {
	settle := func(release bool) error {
		return s.persist(ctx, s.patience(l.Escrowed), "a refreshed token set", func(ctx context.Context) error {
			return s.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error { return s.settleIn(ctx, tx, record, l, release) })
		})
	}
	err := settle(true)
	if errors.Is(err, ErrFenced) {
		err = settle(false)
	}
	return err
}

func (s *spend) settleIn(ctx context.Context, tx *ent.Tx, record vault.Record, l Landed, release bool) error {
	if release {
		if err := s.lock.release(ctx, tx, 0); err != nil {
			return err
		}
	}
	if l.Escrowed {
		if err := escrowIn(ctx, tx, s.ref, record); err != nil {
			return err
		}
	}
	return s.domain.Refreshed(ctx, tx, s.ref.Connection, l)
}

// adopt takes the newer set that somebody else stored.
func (s *spend) adopt(ctx context.Context) (Opened, error) {
	h, set, err := s.open(ctx, s.ref)
	if err != nil {
		return Opened{}, unavailable(err)
	}
	if h.State != HeadPresent {
		return Opened{}, ErrGone
	}
	s.lock.doubt, s.lock.unknown = 0, 0 // of a generation that is past
	opened := Opened{Set: set, Generation: h.Generation}
	return opened, s.reconcile(ctx, s.ref.Connection, Landed{Set: set, Generation: h.Generation})
}

// judge settles a failed call. A refusal counts only where the head did not move meanwhile.
func (s *spend) judge(ctx context.Context, failure *oauth.Error) (Refreshed, bool, error) {
	now, err := s.peek(ctx, s.ref)
	if err != nil {
		return Refreshed{}, false, unavailable(err)
	}
	if HeadMoved(s.reserved.head.HeadView, now.HeadView) {
		opened, err := s.adopt(ctx)
		return Refreshed{Opened: opened}, false, err
	}
	inFlight, err := s.exchangeInFlight(ctx)
	if err != nil {
		return Refreshed{}, false, unavailable(err)
	}
	f := FailedSpend{
		Err: failure, Now: s.now(), RolledBack: s.reserved.head.Generation < s.row.Generation,
		Interrupted: s.interrupted, ExchangeInFlight: inFlight, Attempts: s.row.FailureAttempts, Jitter: s.jitter(),
	}
	if s.row.FailureClass == ClassReauthorize && s.row.FailureSince != nil {
		f.RefusedSince = *s.row.FailureSince
	}
	cause := hold.Refused
	if f.RolledBack {
		cause = hold.RolledBack
	}
	return s.settleEnding(ctx, cause, func(b hold.Brake) Verdict {
		f.Brake = b
		v := Judge(f)
		if f.RolledBack && failure.Outcome == oauth.GrantDead {
			v.RefusedGeneration = s.reserved.head.Generation
		}
		return v
	})
}

// attemptInFlight is how long an attempt counts as one that may turn out to be any user's of its client. One that cannot
// be finished must not keep every other grant of the client from being judged, or revoked.
const attemptInFlight = 10 * time.Minute

// attemptsInFlight holds for the attempts of a client that may be about to renew any user's grant.
func (k *Keeper) attemptsInFlight(clientID string) predicate.GrantAttempt {
	return grantattempt.And(grantattempt.ClientID(clientID), unfinished(), grantattempt.CreatedAtGT(k.now().Add(-attemptInFlight)))
}

// exchangeInFlight reports whether a code is being exchanged for this client id, in any tenant.
func (s *spend) exchangeInFlight(ctx context.Context) (bool, error) {
	return s.db.Ent.GrantAttempt.Query().
		Where(s.attemptsInFlight(s.row.ClientID)).
		Exist(tenant.System(ctx, uuid.Nil))
}

// asOAuth returns the classified error; one that is not classified is unknown, the careful reading.
func asOAuth(err error) *oauth.Error {
	var e *oauth.Error
	if errors.As(err, &e) {
		return e
	}
	return &oauth.Error{Outcome: oauth.Unknown, Message: unansweredMessage, Cause: err}
}

// busyOrUnavailable keeps ErrBusy and calls everything else our own fault.
func busyOrUnavailable(err error) error {
	if errors.Is(err, ErrBusy) {
		return err
	}
	return unavailable(err)
}

// goneOrUnavailable keeps what the caller tells apart and calls everything else our own fault.
func goneOrUnavailable(err error) error {
	if errors.Is(err, ErrGone) {
		return err
	}
	if errors.Is(err, ErrFenced) {
		return ErrBusy
	}
	return unavailable(err)
}
