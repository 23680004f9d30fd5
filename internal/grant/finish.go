package grant

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/grantattempt"
	"github.com/tokenkeep/tokenkeep/ent/predicate"
	"github.com/tokenkeep/tokenkeep/ent/tombstone"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// Where a record comes from, in the clear beside its seal.
const (
	originRefresh  = "refresh"
	originExchange = "exchange"
	originImport   = "import"
)

// finishing is the second half of an authorization: the answer is safe, now it becomes a connection.
type finishing struct {
	*Keeper
	// attempt is the attempt's id; row is its row, nil for an import, which has none.
	attempt    uuid.UUID
	row        *ent.GrantAttempt
	connection uuid.UUID
	appID      uuid.UUID
	app        oauth.App
	input      json.RawMessage
	set        TokenSet
	origin     string
	key        Key
	existing   *ent.Connection
	rejection  *errs.Error
	// noted is the connection that the attempt's row names: where whoever resumes it looks for what was stored.
	noted uuid.UUID
	// durable is true where set was found in the vault.
	durable bool
}

// finish learns whose grant it is, renews or makes the connection, and only then tells what is wrong with the consent:
// a successful consent ended the older grant at the provider, so an exchanged grant whose user is connected already is
// never thrown away.
func (k *Keeper) finish(ctx context.Context, attempt *ent.GrantAttempt, app oauth.App, set TokenSet) (Result, error) {
	f := k.finishing(attempt, app, set)
	who, err := k.domain.Identify(ctx, app, set)
	if err != nil {
		return Result{}, f.unidentified(ctx, err)
	}
	return f.run(ctx, who)
}

// finishFrom settles an attempt whose set, or one that was refreshed from it, is stored already. Whose it is the set says;
// the provider is asked only whether the user is active.
func (k *Keeper) finishFrom(ctx context.Context, attempt *ent.GrantAttempt, app oauth.App, stored TokenSet) (Result, error) {
	f := k.finishing(attempt, app, stored)
	f.durable = true
	who, err := k.domain.Identify(ctx, app, stored)
	if err != nil {
		o := stored.Owner
		who = oauth.Identity{UserID: o.UserID, AccountID: o.AccountID, Email: o.Email, DisplayName: o.DisplayName, Active: true}
	}
	return f.run(ctx, who)
}

func (k *Keeper) finishing(attempt *ent.GrantAttempt, app oauth.App, set TokenSet) *finishing {
	return &finishing{Keeper: k, attempt: attempt.ID, row: attempt, connection: attempt.ConnectionID, appID: attempt.AppID,
		app: app, input: attempt.Input, set: set, origin: originExchange, noted: attempt.ConnectionID}
}

// run does under the grant's lock what is left to do.
func (f *finishing) run(ctx context.Context, who oauth.Identity) (Result, error) {
	f.identified(who)
	held, err := f.claimGrant(ctx)
	if err != nil {
		return Result{}, err
	}
	defer held.close(ctx)
	for {
		result, err := f.renewOrMake(ctx, held, who)
		if f.existing == nil || !errors.Is(err, ErrGone) {
			return result, err
		}
		if err := f.unwrite(ctx); err != nil { // the connection was deleted while its renewal was under way: make a new one
			return Result{}, err
		}
	}
}

// renewOrMake decides what the consent is for and stores it.
func (f *finishing) renewOrMake(ctx context.Context, held *lock, who oauth.Identity) (_ Result, err error) {
	f.connection = f.row.ConnectionID
	if f.existing, err = f.Keeper.existing(ctx, f.appID, who.UserID); err != nil {
		return Result{}, err
	}
	f.inheritLife()
	if f.rejection, err = f.domain.Accept(ctx, f.input, f.appID, who, f.set.Scopes); err != nil {
		return Result{}, callersOr(err)
	}
	if f.existing == nil && f.durable {
		f.rejection = nil // it was accepted before it was stored
	}
	if f.rejection != nil && f.existing == nil {
		return Result{}, f.reject(ctx)
	}
	if err := f.aim(ctx); err != nil {
		return Result{}, unavailable(err)
	}
	if err := f.store(ctx, held); err != nil {
		return Result{}, err
	}
	result := Result{Connection: f.connection, Created: f.existing == nil}
	if f.rejection != nil {
		return result, f.rejection
	}
	return result, nil
}

// inheritLife gives a token whose life neither the answer nor the provider's entry tells the life of the connection's
// earlier ones. A token without a refresh token is taken not to expire: it could not be replaced.
func (f *finishing) inheritLife() {
	if life := observedLife(f.existing); life > 0 && f.set.ExpiresAt.IsZero() && !f.set.RefreshToken.IsZero() {
		f.set.ExpiresAt = f.set.ObtainedAt.Add(life)
	}
}

// aim settles which connection is written, and notes it in the attempt's row before anything is: whoever resumes the
// attempt must find what was stored. A connection that was deleted since it was noted is not made again.
func (f *finishing) aim(ctx context.Context) error {
	if f.existing != nil {
		f.connection = f.existing.ID
	} else {
		row, err := f.rowView(ctx, f.connection)
		if err != nil {
			return err
		}
		if !row.Exists {
			f.connection = id.New()
		}
	}
	if f.connection == f.noted {
		return nil
	}
	err := f.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
		// Where the noted one was deleted, an attempt that died may have written its record after that was erased.
		if err := tx.Tombstone.Update().Where(tombstone.ID(f.noted)).ClearErasedAt().AddOrders(1).Exec(ctx); err != nil {
			return err
		}
		return tx.GrantAttempt.Update().Where(grantattempt.ID(f.attempt), unfinished()).SetConnectionID(f.connection).Exec(ctx)
	})
	if err != nil {
		return err
	}
	f.noted = f.connection
	return nil
}

// unwrite orders the destruction of what may have been written for a connection that is gone.
func (f *finishing) unwrite(ctx context.Context) error {
	err := f.db.Ent.Tombstone.Update().Where(tombstone.ID(f.connection)).ClearErasedAt().AddOrders(1).Exec(ctx)
	if err != nil {
		return unavailable(err)
	}
	if err := f.Erase(ctx, f.connection); err != nil {
		f.log.WarnContext(ctx, "erasing a record failed; the sweeper does it", "connection", f.connection, "error", err)
	}
	return nil
}

// unidentified settles what the provider said when asked whose tokens these are. Nothing is revoked: the user, whose
// older grant a revocation might end, is not known.
func (f *finishing) unidentified(ctx context.Context, err error) error {
	var told *errs.Error
	if errors.As(err, &told) && refused(told) {
		return f.refuse(ctx, f.row, grantattempt.StateREFUSED, told)
	}
	return err // the answer stays parked: the same call, or the sweeper, goes on from here
}

// identified notes whose grant it is.
func (f *finishing) identified(who oauth.Identity) {
	o := &f.set.Owner
	o.UserID, o.AccountID, o.Email, o.DisplayName = who.UserID, who.AccountID, who.Email, who.DisplayName
	if who.UserID == "" {
		f.key = KeyOfConnection(f.app.Provider.Key, f.app.ClientID, f.connection)
		return
	}
	f.key = KeyOfUser(f.app.Provider.Key, f.app.ClientID, who.UserID)
}

// existing finds the connection that a consent renews.
func (k *Keeper) existing(ctx context.Context, app uuid.UUID, userID string) (*ent.Connection, error) {
	if userID == "" {
		return nil, nil
	}
	row, err := k.domain.Existing(ctx, app, userID)
	if err != nil {
		return nil, unavailable(err)
	}
	return row, nil
}

// claimGrant waits for the grant's lock; a refresh may be under way.
func (f *finishing) claimGrant(ctx context.Context) (*lock, error) {
	until := time.Now().Add(f.budgets.Claim)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		// An owner of its own: whoever finishes the same attempt elsewhere must be fenced off, too.
		held, err := f.locks.claim(ctx, f.key, id.New())
		switch {
		case err == nil:
			return held, nil
		case !errors.Is(err, ErrBusy):
			return nil, unavailable(err)
		case time.Now().After(until):
			return nil, errs.New(errs.Conflict, "this user's connection is being changed by another call; repeat the same call shortly, the code is not sent again").
				WithRetryAfter(2 * time.Second).WithCause(err)
		}
		pause(ctx, wait)
	}
}

// store commits the set and settles row, attempt and lock together.
func (f *finishing) store(ctx context.Context, held *lock) error {
	owner, err := callerTenant(ctx)
	if err != nil {
		return err
	}
	ref := vault.Ref{Tenant: owner, Connection: f.connection}
	if err := f.land(ctx, ref); err != nil {
		return goneOrUnavailable(err)
	}
	reserved, err := f.reserve(ctx, ref)
	if err != nil {
		return unavailable(err)
	}
	landed, record, err := f.commitSet(ctx, ref, reserved)
	if err != nil {
		return err
	}
	return f.settle(ctx, held, ref, landed, record)
}

// commitSet writes the set above everything stored, unless what is stored is to stay.
func (f *finishing) commitSet(ctx context.Context, ref vault.Ref, reserved reservation) (Landed, vault.Record, error) {
	row := RowView{Exists: true}
	if f.existing != nil {
		row.Generation = f.existing.Generation
	}
	for {
		if reserved.head.State == HeadPresent && reserved.head.Generation >= row.Generation {
			stays, err := f.stays(ctx, reserved)
			if err != nil {
				return Landed{}, vault.Record{}, err
			}
			if stays {
				return Landed{Set: reserved.set, Generation: reserved.head.Generation}, reserved.head.record, nil
			}
		}
		generation := NextGeneration(row, reserved.head.HeadView)
		record, err := reserved.seal(f.attempt, f.origin, generation, f.set)
		if err != nil {
			return Landed{}, vault.Record{}, err
		}
		done := f.commit(ctx, reserved, record, RoleAuthorization)
		switch done.step {
		case DoubtAnew:
			return Landed{}, vault.Record{}, ErrGone
		case DoubtCompare:
			if reserved, err = f.reserve(ctx, ref); err != nil {
				return Landed{}, vault.Record{}, unavailable(err)
			}
		default:
			if done.parked && f.existing != nil {
				// A refresh that lost its lock may have written this generation before the vault went away. The escrow
				// must win over that, so it gets a generation which nobody can have written.
				generation++
				if record, err = reserved.seal(f.attempt, f.origin, generation, f.set); err != nil {
					return Landed{}, vault.Record{}, err
				}
			}
			return Landed{Set: f.set, Generation: generation, Escrowed: done.parked}, record, nil
		}
	}
}

// stays reports whether what is stored is to stay, instead of this attempt's set.
func (f *finishing) stays(ctx context.Context, stored reservation) (bool, error) {
	step := BeforeStore(StoredConsent{
		SameConsent: sameConsent(stored.set, f.set), SameToken: stored.set.RefreshToken.Equal(f.set.RefreshToken),
		Mine: stored.head.Attempt == f.attempt, Renewed: f.renewed(), Contested: f.contested(stored),
	})
	if step == StoreCompare {
		return f.compare(ctx, stored)
	}
	return step == StoreStays, nil
}

// renewed reports whether the parked answer was refreshed by the attempt itself before anything of it was stored.
func (f *finishing) renewed() bool {
	return !f.durable && f.set.ObtainedAt.After(f.set.Owner.ConsentedAt)
}

// contested reports whether what is stored may come of a later consent than this attempt's: its answer may have waited,
// in a lock's queue or parked, while another was exchanged. The margin is for clocks that differ.
func (f *finishing) contested(stored reservation) bool {
	return f.set.Owner.ConsentedAt.Sub(stored.set.Owner.ConsentedAt) < repeatWindow
}

// compare tries both sets under the lock, the stored one first; true where that is to stay. What is stored is overwritten
// only where it is refused, or where both work and this attempt's consent is the later one. Where the provider cannot be
// asked nothing is decided: the answer stays parked.
func (f *finishing) compare(ctx context.Context, stored reservation) (stays bool, err error) {
	c := Comparison{
		Later:   !f.set.Owner.ConsentedAt.Before(stored.set.Owner.ConsentedAt),
		Expired: f.expired(stored.set), EndsOlder: endsOlder(f.app.Provider),
	}
	if c.Stored, err = f.try(ctx, stored.set); c.Stored != TriedNot {
		c.Mine, err = f.try(ctx, f.set)
	}
	step := AfterComparison(c)
	if step == CompareUndecided {
		return false, callersOr(err)
	}
	return step == CompareStays, nil
}

// try asks the provider with a set; the error says why it could not be asked, or refused.
func (f *finishing) try(ctx context.Context, set TokenSet) (Tried, error) {
	_, err := f.domain.Identify(ctx, f.app, set)
	switch {
	case err == nil:
		return TriedWorks, nil
	case refused(err):
		return TriedRefused, err
	default:
		return TriedNot, err
	}
}

// expired reports whether the set's access token is over by its time.
func (f *finishing) expired(set TokenSet) bool {
	return !set.ExpiresAt.IsZero() && !f.now().Before(set.ExpiresAt)
}

// refused reports whether the provider refused a token, rather than could not be asked.
func refused(err error) bool {
	return errs.Is(err, errs.ProviderRejected) || errs.Is(err, errs.BadUserInput) || errs.Is(err, errs.ReauthorizationRequired)
}

// settle writes connection, attempt and lock in one transaction.
func (f *finishing) settle(ctx context.Context, held *lock, ref vault.Ref, landed Landed, record vault.Record) error {
	a := Authorized{Landed: landed, Connection: f.connection, Existing: f.existing, AppID: f.appID, Key: f.key, Input: f.input, Rejected: f.rejection != nil}
	err := f.persist(ctx, f.patience(landed.Escrowed), "an authorization", func(ctx context.Context) error {
		return f.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
			if err := held.release(ctx, tx, StillUnanswered(landed.Generation, held.unknown)); err != nil {
				return err
			}
			if landed.Escrowed {
				if err := escrowIn(ctx, tx, ref, record); err != nil {
					return err
				}
			}
			if err := f.domain.Authorized(ctx, tx, a); err != nil {
				return err
			}
			return f.done(ctx, tx)
		})
	})
	if err != nil {
		return unavailable(err) // the answer stays parked; whoever repeats the call, or the sweeper, goes on from the head
	}
	held.settled = true
	return nil
}

// done ends the attempt inside the settlement and drops the parked answer.
func (f *finishing) done(ctx context.Context, tx *ent.Tx) error {
	if f.row == nil {
		return nil
	}
	u := tx.GrantAttempt.Update().Where(grantattempt.ID(f.attempt), unfinished()).SetState(grantattempt.StateDONE).SetConnectionID(f.connection).
		SetCreated(f.existing == nil).ClearAnswer().SetUpdatedAt(f.now())
	if told := f.rejection; told != nil {
		u.SetErrorKind(string(told.Kind)).SetErrorMessage(told.Message).SetErrorField(told.Field)
	} else {
		u.ClearErrorKind().ClearErrorMessage().ClearErrorField()
	}
	n, err := u.Save(ctx)
	if err == nil && n == 0 {
		return ErrFenced // somebody else has finished it
	}
	return err
}

// unfinished holds for attempts that somebody still has to finish.
func unfinished() predicate.GrantAttempt {
	return grantattempt.StateIn(grantattempt.StateSENT, grantattempt.StatePARKED)
}

// reject ends a consent that is not acceptable and renews nothing here. Its grant is revoked, unless that would end other
// grants and the same client and user are connected elsewhere: those connections were ended by the consent itself and are
// told so, where the provider works like that.
func (f *finishing) reject(ctx context.Context) error {
	elsewhere, err := f.db.Ent.Connection.Query().Where(connection.GrantKey(string(f.key)), connection.StateEQ(connection.StateCONNECTED)).
		Exist(tenant.System(ctx, uuid.Nil))
	if err != nil {
		return unavailable(err)
	}
	ghost := &ent.Connection{ID: f.connection, Provider: f.app.Provider.Key, ClientID: f.app.ClientID, GrantKey: string(f.key), ConsentedAt: f.set.Owner.ConsentedAt}
	var job *Revocation
	if !elsewhere || !f.app.Provider.RevocationEndsGrant {
		if job, err = f.prepare(ctx, ghost, f.app, f.set); err != nil {
			return err
		}
	}
	told := f.rejection
	err = f.persist(ctx, f.budgets.Lock, "a rejected authorization", func(ctx context.Context) error {
		return f.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
			if err := f.Enqueue(ctx, tx, job); err != nil {
				return err
			}
			if endsOlder(f.app.Provider) {
				if err := f.domain.Superseded(ctx, tx, f.key, f.connection, f.set.Owner.ConsentedAt); err != nil {
					return err
				}
			}
			return tx.GrantAttempt.UpdateOneID(f.attempt).SetState(grantattempt.StateREFUSED).ClearAnswer().SetUpdatedAt(f.now()).
				SetErrorKind(string(told.Kind)).SetErrorMessage(told.Message).SetErrorField(told.Field).Exec(ctx)
		})
	})
	if err != nil {
		return unavailable(err)
	}
	f.Wake()
	return told
}

// endsOlder reports whether a consent ended the older grants of the same client and user.
func endsOlder(p provider.Provider) bool { return p.ConsentEndsOlderGrant }

// storeUnderLock stores a set that needs no identity.
func (f *finishing) storeUnderLock(ctx context.Context) error {
	held, err := f.claimGrant(ctx)
	if err != nil {
		return err
	}
	defer held.close(ctx)
	return f.store(ctx, held)
}
