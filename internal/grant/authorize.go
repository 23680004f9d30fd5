package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/grantattempt"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// repeatWindow is how long the same caller who repeats the same code gets the same result.
const repeatWindow = 10 * time.Minute

// parkedLife is how long a parked answer is tried to be finished.
const parkedLife = 24 * time.Hour

// Authorization asks to turn an authorization code into a connection.
type Authorization struct {
	AppID uuid.UUID
	App   oauth.App
	Code  oauth.Code
	// GrantType and Kind go into the record.
	GrantType, Kind string
	// Scopes are those the app asks for; they stand where the answer does not name any (RFC 6749 5.1).
	Scopes []string
	// Input is the domain's own: it comes back in Accept and Authorized, also after a crash.
	Input json.RawMessage
}

// Authorized is a first authorization or a renewal whose token set is durable, about to be written into the row.
type Authorized struct {
	Landed
	Connection uuid.UUID
	// Existing is the connection that is renewed, nil where a new one is made.
	Existing *ent.Connection
	AppID    uuid.UUID
	Key      Key
	Input    json.RawMessage
	// Rejected is true where something is wrong with the consent all the same; the renewal stands, the caller is told.
	Rejected bool
}

// Result is how an authorization ended.
type Result struct {
	Connection uuid.UUID
	Created    bool
}

// Authorize sends a code exactly once and stores what it gives. The caller can stop waiting but not cancel: what was
// begun is finished, by this process or by the sweeper of another.
// Errors are the caller's: PROVIDER_REJECTED, BAD_USER_INPUT, CONFLICT, APP_MISCONFIGURED, PROVIDER_UNAVAILABLE,
// VAULT_UNAVAILABLE.
func (k *Keeper) Authorize(ctx context.Context, a Authorization) (Result, error) {
	return detach(ctx, k, func(ctx context.Context) (Result, error) { return k.authorize(ctx, a) })
}

func (k *Keeper) authorize(ctx context.Context, a Authorization) (Result, error) {
	owner, err := callerTenant(ctx)
	if err != nil {
		return Result{}, err
	}
	hash := CodeHash(a.App.Provider.Key, a.App.ClientID, a.Code.Code.Reveal())
	for {
		if result, known, err := k.repeated(ctx, hash); known || err != nil {
			return result, err
		}
		key, err := k.vault.NewDataKey(ctx, owner)
		if err != nil {
			return Result{}, unavailable(err)
		}
		attempt, held, err := k.begin(ctx, a, hash)
		switch {
		case err == nil:
			defer held.close(ctx)
			return k.exchange(ctx, a, attempt, key)
		case !ent.IsConstraintError(err):
			return Result{}, callersOr(err)
		}
		// Another attempt has the code: a call of this tenant's that the next round finds, unless it is withdrawn because
		// the code could not be sent, or another tenant's.
		elsewhere, err := k.sentElsewhere(ctx, owner, hash)
		switch {
		case err != nil:
			return Result{}, err
		case elsewhere:
			return Result{}, errCodeSpent
		}
	}
}

// sentElsewhere reports whether another tenant has sent the code.
func (k *Keeper) sentElsewhere(ctx context.Context, owner uuid.UUID, hash []byte) (bool, error) {
	found, err := k.db.Ent.GrantAttempt.Query().Where(grantattempt.CodeHash(hash), grantattempt.TenantIDNEQ(owner)).
		Exist(tenant.System(ctx, uuid.Nil))
	if err != nil {
		return false, unavailable(err)
	}
	return found, nil
}

// begin writes the attempt row before anything else, under a lock of its own that says its process is alive.
func (k *Keeper) begin(ctx context.Context, a Authorization, hash []byte) (*ent.GrantAttempt, *lock, error) {
	attemptID := id.New()
	held, err := k.locks.claim(ctx, keyOfAttempt(attemptID), attemptID)
	if err != nil {
		return nil, nil, err
	}
	now, connectionID := k.now(), id.New()
	var attempt *ent.GrantAttempt
	err = k.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) (err error) {
		if err := k.domain.HoldApp(ctx, tx, a.AppID); err != nil {
			return err
		}
		attempt, err = tx.GrantAttempt.Create().SetID(attemptID).SetAppID(a.AppID).SetProvider(a.App.Provider.Key).SetClientID(a.App.ClientID).
			SetActor(tenant.FromContext(ctx).Actor()).SetCodeHash(hash).SetConnectionID(connectionID).SetInput(a.Input).
			SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		return err
	})
	if err != nil {
		held.close(ctx)
		return nil, nil, err
	}
	return attempt, held, nil
}

// exchange sends the code and parks the sealed answer before anything is known of its user.
func (k *Keeper) exchange(ctx context.Context, a Authorization, attempt *ent.GrantAttempt, key vault.DataKey) (Result, error) {
	sent := k.now()
	answer, err := k.exchangeOnce(ctx, a)
	if err != nil {
		return Result{}, k.exchangeFailed(ctx, attempt, asOAuth(err))
	}
	answered, now := openWindow(ofExchange), k.now()
	set := fromAnswer(answer, TokenSet{Scopes: a.Scopes, Owner: Owner{
		App: a.AppID, Provider: a.App.Provider.Key, ClientID: a.App.ClientID, GrantType: a.GrantType, Kind: a.Kind, ConsentedAt: now,
	}}, a.App, sent, 0)
	if err := k.park(ctx, attempt, key, set); err != nil {
		return Result{}, unavailable(err)
	}
	k.closed(answered)
	return k.finish(ctx, attempt, a.App, set)
}

// park seals the set under a data key that is in hand and stores it in the attempt row, until that has worked. An attempt
// that was called lost while its process stood still is not lost any more.
func (k *Keeper) park(ctx context.Context, attempt *ent.GrantAttempt, key vault.DataKey, set TokenSet) error {
	owner, err := callerTenant(ctx)
	if err != nil {
		return err
	}
	plain, err := set.encode()
	if err != nil {
		return err
	}
	sealed, err := vault.SealWith(key, vault.Place{Tenant: owner, Purpose: vault.PurposeAnswer, Object: attempt.ID}, plain)
	if err != nil {
		return err
	}
	return k.persist(ctx, forever, "a parked answer", func(ctx context.Context) error {
		return k.db.Ent.GrantAttempt.UpdateOneID(attempt.ID).SetState(grantattempt.StatePARKED).
			SetAnswer(sealed.Bytes).SetAnswerKeyVersion(sealed.KeyVersion).SetUpdatedAt(k.now()).ClearRenewalSentAt().
			ClearErrorKind().ClearErrorMessage().ClearErrorField().Exec(ctx)
	})
}

func (k *Keeper) exchangeOnce(ctx context.Context, a Authorization) (oauth.TokenSet, error) {
	ctx, cancel := context.WithTimeout(ctx, k.budgets.Provider)
	defer cancel()
	return k.provider.Exchange(ctx, a.App, a.Code)
}

const codeField = "grant.authorizationCode.code"

var (
	errCodeSpent = errs.New(errs.ProviderRejected, "this authorization code was used already; send the user through the consent page again for a new one").WithField(codeField)
	errUnused    = errs.New(errs.ProviderUnavailable, "the provider cannot be reached for now; the code was not used, try again with it").WithRetryAfter(time.Second)
	errCodeLost  = errs.New(errs.ProviderUnavailable, "the provider's answer to this code never arrived and the code may be spent; send the user through the consent page again").WithField(codeField)
)

// exchangeFailed settles an attempt whose code gave nothing. Where the code cannot have been spent the attempt is
// forgotten, so that the same call can be made again.
func (k *Keeper) exchangeFailed(ctx context.Context, attempt *ent.GrantAttempt, failure *oauth.Error) error {
	k.log.InfoContext(ctx, "a code exchange failed", "attempt", attempt.ID, "outcome", failure.Outcome, "status", failure.Status, "code", failure.ProviderCode)
	switch failure.Outcome {
	case oauth.Unsent, oauth.Unavailable, oauth.RateLimited:
		err := errUnused.WithRetryAfter(max(failure.RetryAfter, errUnused.RetryAfter)).WithCause(failure)
		return errors.Join(err, k.forget(ctx, attempt))
	case oauth.AppMisconfigured:
		err := errs.New(errs.AppMisconfigured, "%s", failure.Message).WithField("app").WithCause(failure)
		return errors.Join(err, k.forget(ctx, attempt))
	case oauth.Unknown:
		return k.refuse(ctx, attempt, grantattempt.StateLOST, errCodeLost.WithCause(failure))
	default:
		return k.refuse(ctx, attempt, grantattempt.StateREFUSED,
			errs.New(errs.ProviderRejected, "%s", failure.Message).WithField(codeField).WithCause(failure))
	}
}

// forget deletes an attempt that did not happen.
func (k *Keeper) forget(ctx context.Context, attempt *ent.GrantAttempt) error {
	return k.db.Ent.GrantAttempt.DeleteOneID(attempt.ID).Exec(ctx)
}

// refuse ends an attempt with the error that its caller gets, now and when the code is repeated.
func (k *Keeper) refuse(ctx context.Context, attempt *ent.GrantAttempt, state grantattempt.State, reason *errs.Error) error {
	err := k.db.Ent.GrantAttempt.Update().Where(grantattempt.ID(attempt.ID), unfinished()).SetState(state).ClearAnswer().SetUpdatedAt(k.now()).
		SetErrorKind(string(reason.Kind)).SetErrorMessage(reason.Message).SetErrorField(reason.Field).Exec(ctx)
	if err != nil {
		k.log.ErrorContext(ctx, "ending an attempt failed; the sweeper does it", "attempt", attempt.ID, "error", err)
	}
	return reason
}

// repeated answers a caller whose code was seen before, without sending it again; known is false for a new code.
func (k *Keeper) repeated(ctx context.Context, hash []byte) (result Result, known bool, err error) {
	attempt, err := k.db.Ent.GrantAttempt.Query().Where(grantattempt.CodeHash(hash)).Only(ctx)
	if ent.IsNotFound(err) {
		return Result{}, false, nil
	}
	if err != nil {
		return Result{}, false, unavailable(err)
	}
	if attempt.Actor != tenant.FromContext(ctx).Actor() || k.now().Sub(attempt.CreatedAt) > repeatWindow {
		return Result{}, true, errCodeSpent
	}
	result, err = k.await(ctx, attempt)
	return result, true, err
}

// await waits for an attempt that another call is making, and finishes it itself where that call died.
func (k *Keeper) await(ctx context.Context, attempt *ent.GrantAttempt) (Result, error) {
	until := time.Now().Add(k.budgets.Claim)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		switch attempt.State {
		case grantattempt.StateDONE, grantattempt.StateREFUSED, grantattempt.StateLOST:
			return outcomeOf(attempt)
		}
		if result, took, err := k.resume(ctx, attempt.ID); took {
			return result, err
		}
		if time.Now().After(until) {
			return Result{}, errs.New(errs.Conflict, "this code is being exchanged by another call; ask again shortly").WithField(codeField).WithRetryAfter(2 * time.Second)
		}
		pause(ctx, wait)
		var err error
		attempt, err = k.db.Ent.GrantAttempt.Get(ctx, attempt.ID)
		switch {
		case ent.IsNotFound(err):
			return Result{}, errUnused // the other call could not send it
		case err != nil:
			return Result{}, unavailable(err)
		}
	}
}

// outcomeOf is what an ended attempt told its caller.
func outcomeOf(attempt *ent.GrantAttempt) (Result, error) {
	result := Result{Connection: attempt.ConnectionID, Created: attempt.Created}
	if attempt.ErrorKind == "" {
		return result, nil
	}
	return result, errs.New(errs.Kind(attempt.ErrorKind), "%s", attempt.ErrorMessage).WithField(attempt.ErrorField)
}

// resume takes over an attempt whose process died: a parked answer is finished, an exchange whose answer never came is
// lost. took is false while somebody else is at it, or where it has ended.
func (k *Keeper) resume(ctx context.Context, attemptID uuid.UUID) (result Result, took bool, err error) {
	held, err := k.locks.claim(ctx, keyOfAttempt(attemptID), id.New())
	if err != nil {
		return Result{}, false, nil
	}
	defer held.close(ctx)
	attempt, err := k.db.Ent.GrantAttempt.Get(ctx, attemptID)
	if err != nil {
		return Result{}, false, nil
	}
	switch attempt.State {
	case grantattempt.StateSENT:
		return Result{}, true, k.lose(ctx, attempt)
	case grantattempt.StatePARKED:
		result, err := k.finishParked(ctx, attempt)
		return result, true, err
	default:
		return Result{}, false, nil
	}
}

// lose ends an attempt whose process died before its answer came. Where it only stood still, and has parked the answer
// since the attempt was read, it is not lost: whoever comes next finishes it.
func (k *Keeper) lose(ctx context.Context, attempt *ent.GrantAttempt) error {
	n, err := k.db.Ent.GrantAttempt.Update().Where(grantattempt.ID(attempt.ID), grantattempt.StateEQ(grantattempt.StateSENT)).
		SetState(grantattempt.StateLOST).SetUpdatedAt(k.now()).
		SetErrorKind(string(errCodeLost.Kind)).SetErrorMessage(errCodeLost.Message).SetErrorField(errCodeLost.Field).Save(ctx)
	switch {
	case err != nil:
		return unavailable(fmt.Errorf("ending an attempt: %w", err))
	case n == 0:
		return errs.New(errs.Conflict, "this code is being exchanged by another call; ask again shortly").WithField(codeField).WithRetryAfter(2 * time.Second)
	default:
		return errCodeLost
	}
}

// finishParked opens a parked answer and goes on from there. One that is older than parkedLife gets a last try: what the
// provider keeps from being finished must not stand in others' way for ever.
func (k *Keeper) finishParked(ctx context.Context, attempt *ent.GrantAttempt) (Result, error) {
	set, err := k.openParked(ctx, attempt)
	if err != nil {
		return Result{}, err
	}
	app, err := k.domain.App(ctx, attempt.AppID)
	if err != nil {
		return Result{}, k.orGiveUp(ctx, attempt, nil, set, err)
	}
	result, newest, err := k.finishOpened(ctx, attempt, app, set)
	return result, k.orGiveUp(ctx, attempt, &app, newest, err)
}

// openParked opens a parked answer; one that never will be opened ends its attempt.
func (k *Keeper) openParked(ctx context.Context, attempt *ent.GrantAttempt) (TokenSet, error) {
	owner, err := callerTenant(ctx)
	if err != nil {
		return TokenSet{}, err
	}
	plain, err := vault.Unseal(ctx, k.vault, vault.Place{Tenant: owner, Purpose: vault.PurposeAnswer, Object: attempt.ID}, attempt.Answer)
	if errors.Is(err, vault.ErrCorrupt) {
		return TokenSet{}, k.refuse(ctx, attempt, grantattempt.StateLOST, errCodeLost.WithCause(err))
	}
	if err != nil {
		return TokenSet{}, unavailable(err)
	}
	set, err := decodeSet(plain)
	if err != nil {
		return TokenSet{}, k.refuse(ctx, attempt, grantattempt.StateLOST, errCodeLost.WithCause(err))
	}
	return set, nil
}

// finishOpened looks at the head before anything is spent: where it shows this consent, the attempt died between its two
// writes, and its answer's refresh token may be the one that lives, or be spent by a refresh that came after. It returns,
// too, the set that only the parked answer holds; none where one is stored.
func (k *Keeper) finishOpened(ctx context.Context, attempt *ent.GrantAttempt, app oauth.App, set TokenSet) (Result, TokenSet, error) {
	stored, found, err := k.storedFor(ctx, attempt, set)
	if err != nil {
		return Result{}, set, unavailable(err)
	}
	if found {
		result, err := k.finishFrom(ctx, attempt, app, stored)
		return result, TokenSet{}, err
	}
	if set, err = k.renewParked(ctx, attempt, app, set); err != nil {
		return Result{}, set, err
	}
	result, err := k.finish(ctx, attempt, app, set)
	return result, set, err
}

// storedFor reads what the vault holds where the attempt was about to write; found is true where that is this attempt's
// set, or one that was refreshed from it.
func (k *Keeper) storedFor(ctx context.Context, attempt *ent.GrantAttempt, set TokenSet) (stored TokenSet, found bool, err error) {
	ref, err := refOf(ctx, attempt.ConnectionID)
	if err != nil {
		return TokenSet{}, false, err
	}
	h, stored, err := k.open(ctx, ref)
	if err != nil || h.State != HeadPresent {
		return TokenSet{}, false, err
	}
	return stored, ShowsConsent(h.HeadView, attempt.ID, sameConsent(stored, set)), nil
}

// sameConsent reports whether two sets come of one consent: a refresh leaves its time as it was.
func sameConsent(a, b TokenSet) bool {
	return a.Owner.App == b.Owner.App && a.Owner.ConsentedAt.Equal(b.Owner.ConsentedAt)
}

// renewParked replaces an access token that expired while its answer was parked: nobody could be asked with it whose
// grant this is. The new set is parked before it is used. No lock is needed: while the head does not show this consent,
// only the attempt, whose lock is held, knows its refresh token.
func (k *Keeper) renewParked(ctx context.Context, attempt *ent.GrantAttempt, app oauth.App, set TokenSet) (TokenSet, error) {
	if set.ExpiresAt.IsZero() || k.now().Before(set.ExpiresAt) || set.RefreshToken.IsZero() {
		return set, nil
	}
	if wait := restLeft(app.Provider.Reuse, attempt.RenewalSentAt, k.now()); wait > 0 {
		return set, errParked.WithRetryAfter(wait)
	}
	key, err := k.vault.NewDataKey(ctx, attempt.TenantID)
	if err != nil {
		return set, unavailable(err)
	}
	answer, sent, err := k.refreshParked(ctx, attempt, app, set.RefreshToken)
	switch {
	case err == nil:
	case oauth.OutcomeOf(err) == oauth.GrantDead:
		return set, k.refuse(ctx, attempt, grantattempt.StateLOST, errCodeLost.WithCause(err))
	default:
		return set, err
	}
	set = fromAnswer(answer, set, app, sent, 0)
	return set, k.park(ctx, attempt, key, set)
}

// errParked is told while a parked answer cannot be finished because of the provider.
var errParked = errs.New(errs.ProviderUnavailable, "the provider cannot be reached for now; repeat the same call, the code is not sent again").
	WithRetryAfter(5 * time.Second)

// refreshParked spends a parked answer's refresh token; an unknown outcome is dealt with as in any other refresh. That it is
// sent is noted first: where a token that comes twice ends its family, whoever resumes the attempt lets it rest.
// Errors: those of the provider that say that the token is refused; errParked.
func (k *Keeper) refreshParked(ctx context.Context, attempt *ent.GrantAttempt, app oauth.App, token secret.Text) (oauth.TokenSet, time.Time, error) {
	reuse := app.Provider.Reuse
	for try := 0; ; try++ {
		sent := k.now()
		if err := k.db.Ent.GrantAttempt.UpdateOneID(attempt.ID).SetRenewalSentAt(sent).Exec(ctx); err != nil {
			return oauth.TokenSet{}, sent, unavailable(err)
		}
		answer, err := k.refreshOnce(ctx, app, token)
		if err == nil {
			return answer, sent, nil
		}
		failure := asOAuth(err)
		if try == 0 && RetryAtOnce(reuse, failure) {
			continue
		}
		if failure.Outcome == oauth.GrantDead {
			return oauth.TokenSet{}, sent, failure
		}
		if failure.Outcome != oauth.Unknown && try == 0 {
			if err := k.db.Ent.GrantAttempt.UpdateOneID(attempt.ID).ClearRenewalSentAt().Exec(ctx); err != nil {
				return oauth.TokenSet{}, sent, unavailable(err)
			}
		}
		return oauth.TokenSet{}, sent, errParked.WithRetryAfter(max(errParked.RetryAfter, rested(reuse, failure).RetryAfter)).WithCause(failure)
	}
}

// orGiveUp ends an attempt that has been parked for parkedLife and that cannot be finished for a reason that is not ours:
// the provider's, or the app's. Where a revocation ends only itself its grant is revoked; elsewhere it might end a grant
// of the same user's that stands, and whose it is nobody knows. app is nil where it cannot be opened.
func (k *Keeper) orGiveUp(ctx context.Context, attempt *ent.GrantAttempt, app *oauth.App, set TokenSet, err error) error {
	told, ok := errors.AsType[*errs.Error](err)
	ours := !ok || told.Kind == errs.VaultUnavailable || told.Kind == errs.Conflict
	if err == nil || ours || k.now().Sub(attempt.CreatedAt) < parkedLife {
		return err
	}
	var job *Revocation
	if app != nil && !app.Provider.RevocationEndsGrant {
		ghost := &ent.Connection{ID: attempt.ConnectionID, Provider: app.Provider.Key, ClientID: app.ClientID, ConsentedAt: set.Owner.ConsentedAt,
			GrantKey: string(KeyOfConnection(app.Provider.Key, app.ClientID, attempt.ConnectionID))}
		var failed error
		if job, failed = k.prepare(ctx, ghost, *app, set); failed != nil {
			return failed
		}
	}
	lost := false
	failed := k.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
		n, err := tx.GrantAttempt.Update().Where(grantattempt.ID(attempt.ID), unfinished()).SetState(grantattempt.StateLOST).ClearAnswer().
			SetUpdatedAt(k.now()).SetErrorKind(string(errCodeLost.Kind)).SetErrorMessage(errCodeLost.Message).SetErrorField(errCodeLost.Field).Save(ctx)
		if lost = n > 0; err != nil || !lost {
			return err // it ended by itself
		}
		return k.Enqueue(ctx, tx, job)
	})
	if failed != nil {
		return unavailable(failed)
	}
	if lost {
		k.log.ErrorContext(ctx, "an attempt could not be finished in a day and is given up", "attempt", attempt.ID, "error", err)
		k.Wake()
	}
	return err
}

// refreshOnce is one refresh under the provider's cap.
func (k *Keeper) refreshOnce(ctx context.Context, app oauth.App, token secret.Text) (oauth.TokenSet, error) {
	ctx, cancel := context.WithTimeout(ctx, k.budgets.Provider)
	defer cancel()
	return k.provider.Refresh(ctx, app, token)
}

// Import stores a secret that was obtained elsewhere and needs no provider: an API key. The record is written first; a
// crash before the row leaves a sealed record that nothing refers to, and the caller, who got no answer, tries again.
func (k *Keeper) Import(ctx context.Context, appID uuid.UUID, app oauth.App, grantType, kind, username string, key secret.Text, input json.RawMessage) (Result, error) {
	return detach(ctx, k, func(ctx context.Context) (Result, error) {
		now := k.now()
		set := TokenSet{AccessToken: key, TokenType: "bearer", Username: username, ObtainedAt: now, Scopes: []string{},
			Owner: Owner{App: appID, Provider: app.Provider.Key, ClientID: app.ClientID, GrantType: grantType, Kind: kind, ConsentedAt: now}}
		if username != "" {
			set.TokenType = "basic"
		}
		connectionID := id.New()
		f := &finishing{Keeper: k, attempt: id.New(), connection: connectionID, appID: appID, app: app, input: input, set: set,
			origin: originImport, key: KeyOfConnection(app.Provider.Key, app.ClientID, connectionID)}
		if err := f.storeUnderLock(ctx); err != nil {
			return Result{}, err
		}
		return Result{Connection: connectionID, Created: true}, nil
	})
}
