package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/escrow"
	"github.com/tokenkeep/tokenkeep/ent/revocationjob"
	"github.com/tokenkeep/tokenkeep/ent/tombstone"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// revocationLife is how long a revocation is tried; then the sealed copy is destroyed.
const revocationLife = 24 * time.Hour

// Revocation is a grant that is to be ended, ready to be stored with the deletion that ordered it.
type Revocation struct {
	id     uuid.UUID
	row    *ent.Connection
	sealed vault.Sealed
	// generation is the one that was copied; 0 where that is not of a row.
	generation int64
}

// Generation is the generation of the copied set: where the row has another by the time the job is stored, a refresh came
// in between, and the copy must be made again.
func (r *Revocation) Generation() int64 { return r.generation }

// revocable is the sealed copy: all that ending the grant takes, so that neither connection nor app need exist any more.
type revocable struct {
	ClientID     string    `json:"client_id"`
	ClientSecret string    `json:"client_secret,omitempty"`
	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token,omitempty"`
	ExpiresAt    time.Time `json:"expires_at,omitzero"`
}

// PrepareRevocation seals a copy of the connection's tokens for a revocation job; nil where there is nothing to revoke:
// no token, or a provider without a revocation endpoint. Errors: VAULT_UNAVAILABLE.
func (k *Keeper) PrepareRevocation(ctx context.Context, row *ent.Connection, app oauth.App) (*Revocation, error) {
	if app.Provider.RevocationEndpoint == "" {
		return nil, nil
	}
	opened, err := k.Open(ctx, row)
	switch {
	case errors.Is(err, ErrMissing), errors.Is(err, ErrUnreadable), errors.Is(err, ErrRolledBack), errors.Is(err, ErrGone):
		return nil, nil
	case err != nil:
		return nil, err
	}
	job, err := k.prepare(ctx, row, app, opened.Set)
	if job != nil {
		job.generation = opened.Generation
	}
	return job, err
}

func (k *Keeper) prepare(ctx context.Context, row *ent.Connection, app oauth.App, set TokenSet) (*Revocation, error) {
	if app.Provider.RevocationEndpoint == "" || set.AccessToken.IsZero() {
		return nil, nil
	}
	owner, err := callerTenant(ctx)
	if err != nil {
		return nil, err
	}
	r := &Revocation{id: id.New(), row: row}
	r.sealed, err = k.sealRevocable(ctx, owner, r.id, revocable{
		ClientID: app.ClientID, ClientSecret: app.ClientSecret.Reveal(),
		AccessToken: set.AccessToken.Reveal(), RefreshToken: set.RefreshToken.Reveal(), ExpiresAt: set.ExpiresAt,
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// sealRevocable seals a job's copy. Errors: VAULT_UNAVAILABLE.
func (k *Keeper) sealRevocable(ctx context.Context, owner, job uuid.UUID, r revocable) (vault.Sealed, error) {
	plain, err := json.Marshal(r)
	if err != nil {
		return vault.Sealed{}, fmt.Errorf("encoding a revocation: %w", err)
	}
	sealed, err := vault.Seal(ctx, k.vault, vault.Place{Tenant: owner, Purpose: vault.PurposeRevocation, Object: job}, secret.NewBytes(plain))
	if err != nil {
		return vault.Sealed{}, unavailable(err)
	}
	return sealed, nil
}

// Enqueue stores the job in the transaction of the change that ordered it; nil does nothing. Call Wake after the commit.
func (k *Keeper) Enqueue(ctx context.Context, tx *ent.Tx, r *Revocation) error {
	if r == nil {
		return nil
	}
	now := k.now()
	return tx.RevocationJob.Create().SetID(r.id).SetConnectionID(r.row.ID).SetProvider(r.row.Provider).SetClientID(r.row.ClientID).
		SetGrantKey(r.row.GrantKey).SetConsentedAt(r.row.ConsentedAt).SetSealed(r.sealed.Bytes).SetKeyVersion(r.sealed.KeyVersion).
		SetNextAttemptAt(now).SetExpiresAt(now.Add(revocationLife)).SetCreatedAt(now).Exec(ctx)
}

// Bury writes what remains of a deleted connection, in the transaction that deletes its row: the tombstone, which orders
// the record's destruction and stops late writers, and the revocation job. What waited in escrow goes.
func (k *Keeper) Bury(ctx context.Context, tx *ent.Tx, row *ent.Connection, job *Revocation) error {
	if err := tx.Tombstone.Create().SetID(row.ID).SetGeneration(row.Generation).SetDeletedAt(k.now()).Exec(ctx); err != nil {
		return fmt.Errorf("writing a tombstone: %w", err)
	}
	if _, err := tx.Escrow.Delete().Where(escrow.ID(row.ID)).Exec(ctx); err != nil {
		return fmt.Errorf("dropping an escrow: %w", err)
	}
	// What the lock remembers of an unanswered spend is the job's to know.
	if job == nil && row.State == connection.StateCONNECTED {
		if err := k.locks.forget(ctx, tx, Key(row.GrantKey)); err != nil {
			return err
		}
	}
	return k.Enqueue(ctx, tx, job)
}

// Erase destroys the record of a deleted connection and notes it in the tombstone. What fails here is done by the
// sweeper: the tombstone is the order.
func (k *Keeper) Erase(ctx context.Context, connectionID uuid.UUID) error {
	ref, err := refOf(ctx, connectionID)
	if err != nil {
		return err
	}
	if err := k.keepUncopied(ctx, ref); err != nil {
		return unavailable(err)
	}
	return k.destroy(ctx, connectionID)
}

// destroy is Erase for a record whose grant is somebody's to revoke already.
func (k *Keeper) destroy(ctx context.Context, connectionID uuid.UUID) error {
	ref, err := refOf(ctx, connectionID)
	if err != nil {
		return err
	}
	order, err := k.db.Ent.Tombstone.Get(ctx, connectionID)
	if err != nil {
		return fmt.Errorf("reading a tombstone: %w", err)
	}
	if err := k.vault.EraseRecord(ctx, ref); err != nil {
		return unavailable(err)
	}
	// Who ordered it again meanwhile may have written behind this erasure: that order stands, and the sweeper finds it.
	return k.db.Ent.Tombstone.Update().Where(tombstone.ID(connectionID), tombstone.Orders(order.Orders)).SetErasedAt(k.now()).Exec(ctx)
}

// keepUncopied orders the revocation of a set that is newer than the deletion's copy: its refresh died, or was too slow,
// between the vault and the row, and this record is all that can end the grant. A consent's set is not ended: its attempt
// still has the answer, and makes a new connection of it.
func (k *Keeper) keepUncopied(ctx context.Context, ref vault.Ref) error {
	buried, err := k.db.Ent.Tombstone.Get(ctx, ref.Connection)
	if err != nil {
		return fmt.Errorf("reading a tombstone: %w", err)
	}
	h, err := k.peek(ctx, ref)
	if err != nil || h.State != HeadPresent || h.record.Origin != originRefresh || h.Generation <= buried.Generation {
		return err
	}
	set, err := k.openRecord(ctx, ref, h.record)
	if errors.Is(err, ErrUnreadable) || errors.Is(err, vault.ErrNoKey) {
		return nil
	}
	if err != nil {
		return err
	}
	job, err := k.revocationOf(ctx, Inspection{Connection: ref.Connection, Newest: Opened{Set: set}})
	if err != nil {
		return err
	}
	return k.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error { return k.Enqueue(ctx, tx, job) })
}

// discard ends a set that nobody will ever use, because the connection was deleted while it was under way: the record
// goes, and a job revokes the set.
func (k *Keeper) discard(ctx context.Context, ref vault.Ref, app oauth.App, row *ent.Connection, set TokenSet) error {
	err := k.persist(ctx, forever, "a revocation", func(ctx context.Context) error {
		job, err := k.prepare(ctx, row, app, set)
		if err != nil {
			return err
		}
		return k.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
			if err := k.Enqueue(ctx, tx, job); err != nil {
				return err
			}
			return tx.Tombstone.UpdateOneID(ref.Connection).ClearErasedAt().AddOrders(1).Exec(ctx)
		})
	})
	k.Wake()
	if err != nil {
		k.log.ErrorContext(ctx, "a token set of a deleted connection could not be kept for revocation", "connection", ref.Connection, "error", err)
	}
	return ErrGone
}

// runRevocation carries one due job out, in the job's tenant. It is done only under the grant's lock, and, where a
// revocation ends the user's whole grant, only if no newer grant of the same client and user exists anywhere.
func (k *Keeper) runRevocation(ctx context.Context, job *ent.RevocationJob) error {
	p, known := k.catalogue.Get(job.Provider)
	if !known || !k.now().Before(job.ExpiresAt) {
		return k.finishRevocation(ctx, job, revocationjob.StateEXPIRED, "gave up")
	}
	owner := id.New()
	held, err := k.locks.claim(ctx, Key(job.GrantKey), owner)
	if errors.Is(err, ErrBusy) {
		return k.postponeRevocation(ctx, job, 2*time.Second)
	}
	if err != nil {
		return err
	}
	defer held.close(ctx)
	// Since the list was read the copy may have been re-wrapped, and the job done or deleted with its tenant.
	job, err = k.db.Ent.RevocationJob.Get(ctx, job.ID)
	if ent.IsNotFound(err) {
		return nil
	}
	if err != nil || job.State != revocationjob.StatePENDING {
		return err
	}
	if spared, err := k.spare(ctx, job, p); spared || err != nil {
		return err
	}
	if err := k.noteUnanswered(ctx, job, held); err != nil {
		return err
	}
	return k.revokeNow(ctx, job, p)
}

// noteUnanswered moves what the lock remembers into the job: a refresh was never answered before the connection was
// deleted, so that the copy's token may be spent and the grant live on with one that nobody has.
func (k *Keeper) noteUnanswered(ctx context.Context, job *ent.RevocationJob, held *lock) error {
	if held.unknown == 0 {
		return nil
	}
	if err := k.pendingJob(job).SetOutcome(refreshUnanswered).Exec(ctx); err != nil {
		return err
	}
	job.Outcome, held.unknown = refreshUnanswered, 0 // nobody else will spend it any more
	return nil
}

// spare ends or postpones a job whose revocation would end another grant, too, or may.
func (k *Keeper) spare(ctx context.Context, job *ent.RevocationJob, p provider.Provider) (spared bool, err error) {
	others := Others{EndsGrant: p.RevocationEndsGrant}
	if others.EndsGrant {
		if others.Stands, others.Exchanging, err = k.newerGrant(ctx, job, p); err != nil {
			return false, err
		}
	}
	switch BeforeRevoke(others) {
	case RevokeSkip:
		return true, k.finishRevocation(ctx, job, revocationjob.StateSKIPPED, "newer grant")
	case RevokeLater:
		return true, k.postponeRevocation(ctx, job, 2*time.Second)
	default:
		return false, nil
	}
}

// newerGrant looks for a grant of the same client and user that the revocation would end too, in any tenant: one that
// stands, or one that is being exchanged for the client and may turn out to be the same user's. Where a consent ends the
// older grants only a newer one can stand, or the same, in another connection; elsewhere every connection of the user counts.
func (k *Keeper) newerGrant(ctx context.Context, job *ent.RevocationJob, p provider.Provider) (newer, pending bool, err error) {
	all := tenant.System(ctx, uuid.Nil)
	others := k.db.Ent.Connection.Query().Where(connection.GrantKey(job.GrantKey), connection.StateEQ(connection.StateCONNECTED))
	if p.ConsentEndsOlderGrant {
		others.Where(connection.ConsentedAtGTE(job.ConsentedAt))
	}
	newer, err = others.Exist(all)
	if err != nil || newer {
		return newer, false, err
	}
	pending, err = k.db.Ent.GrantAttempt.Query().
		Where(k.attemptsInFlight(job.ClientID)).Exist(all)
	return false, pending, err
}

// revokeNow opens the copy and calls the provider.
func (k *Keeper) revokeNow(ctx context.Context, job *ent.RevocationJob, p provider.Provider) error {
	plain, err := vault.Unseal(ctx, k.vault, vault.Place{Tenant: job.TenantID, Purpose: vault.PurposeRevocation, Object: job.ID}, job.Sealed)
	if errors.Is(err, vault.ErrCorrupt) || errors.Is(err, vault.ErrNoKey) {
		return k.finishRevocation(ctx, job, revocationjob.StateEXPIRED, "sealed copy does not open")
	}
	if err != nil {
		return err
	}
	var r revocable
	if err := json.Unmarshal(plain.Reveal(), &r); err != nil {
		return k.finishRevocation(ctx, job, revocationjob.StateEXPIRED, "sealed copy is unreadable")
	}
	app := oauth.App{Provider: p, ClientID: r.ClientID, ClientSecret: secret.New(r.ClientSecret)}
	if p.RevokeWith != provider.RefreshToken {
		if r, err = k.renewCopy(ctx, job, app, r); err != nil {
			return k.revocationFailed(ctx, job, err)
		}
	}
	// The last instant to look: what the copy took, a code may have been exchanged in.
	if spared, err := k.spare(ctx, job, p); spared || err != nil {
		return err
	}
	kind, token := provider.AccessToken, secret.New(r.AccessToken)
	if p.RevokeWith == provider.RefreshToken && r.RefreshToken != "" {
		kind, token = provider.RefreshToken, secret.New(r.RefreshToken)
	}
	if err := k.revokeOnce(ctx, app, token, kind); err != nil {
		return k.revocationFailed(ctx, job, err)
	}
	if kind == provider.RefreshToken && job.Outcome == refreshUnanswered {
		return k.endUnanswered(ctx, job) // a token that is spent is acknowledged, too (RFC 7009 2.2)
	}
	return k.finishRevocation(ctx, job, revocationjob.StateDONE, "revoked")
}

// revokeOnce is one revocation under the provider's cap.
func (k *Keeper) revokeOnce(ctx context.Context, app oauth.App, token secret.Text, kind provider.TokenKind) error {
	ctx, cancel := context.WithTimeout(ctx, k.budgets.Provider)
	defer cancel()
	return k.provider.Revoke(ctx, app, token, kind)
}

// refreshUnanswered is a job's outcome while nobody knows what came of the refresh of its own copy.
const refreshUnanswered = "refresh unanswered"

// renewCopy replaces an access token that has expired in the job's own copy, and stores the copy before it is used: a
// provider that revokes by access token cannot be told otherwise, and an answer that is not kept would make the next
// try take a living grant for an ended one. That an answer may be lost is noted before the call.
func (k *Keeper) renewCopy(ctx context.Context, job *ent.RevocationJob, app oauth.App, r revocable) (revocable, error) {
	if r.RefreshToken == "" || r.ExpiresAt.IsZero() || k.now().Before(r.ExpiresAt) {
		return r, nil
	}
	key, err := k.vault.NewDataKey(ctx, job.TenantID)
	if err != nil {
		return r, err
	}
	sent := k.now()
	fresh, err := k.refreshCopy(ctx, job, app, secret.New(r.RefreshToken))
	if err != nil {
		return r, err
	}
	set := fromAnswer(fresh, TokenSet{RefreshToken: secret.New(r.RefreshToken)}, app, sent, 0)
	r.AccessToken, r.RefreshToken, r.ExpiresAt = set.AccessToken.Reveal(), set.RefreshToken.Reveal(), set.ExpiresAt
	plain, err := json.Marshal(r)
	if err != nil {
		return r, fmt.Errorf("encoding a revocation: %w", err)
	}
	sealed, err := vault.SealWith(key, vault.Place{Tenant: job.TenantID, Purpose: vault.PurposeRevocation, Object: job.ID}, secret.NewBytes(plain))
	if err != nil {
		return r, err
	}
	job.Outcome = ""
	return r, k.persist(ctx, k.budgets.Lock, "a renewed copy", func(ctx context.Context) error {
		return k.pendingJob(job).SetSealed(sealed.Bytes).SetKeyVersion(sealed.KeyVersion).ClearOutcome().Exec(ctx)
	})
}

// refreshCopy refreshes a job's copy; an unknown outcome is tried once more at once, as in any other refresh. It is, too,
// where a token that comes twice ends its family: that is what the job is for, and the sooner the better.
func (k *Keeper) refreshCopy(ctx context.Context, job *ent.RevocationJob, app oauth.App, token secret.Text) (oauth.TokenSet, error) {
	before := job.Outcome
	if err := k.pendingJob(job).SetOutcome(refreshUnanswered).Exec(ctx); err != nil {
		return oauth.TokenSet{}, err
	}
	fresh, err := k.refreshOnce(ctx, app, token)
	if err != nil && asOAuth(err).Outcome == oauth.Unknown {
		before = refreshUnanswered
		if reuse := app.Provider.Reuse; reuse == provider.ReuseRevokesFamily || RetryAtOnce(reuse, asOAuth(err)) {
			fresh, err = k.refreshOnce(ctx, app, token)
		}
	}
	if err == nil || asOAuth(err).Outcome == oauth.Unknown {
		before = refreshUnanswered // until the answer is stored
	}
	job.Outcome = before
	if before == "" {
		return fresh, errors.Join(err, k.pendingJob(job).ClearOutcome().Exec(ctx))
	}
	return fresh, err
}

// revocationFailed ends a job whose grant is over anyway, and tries again later otherwise. A refusal says nothing where a
// refresh of the job's own was never answered: the grant may live on with a token that nobody has.
func (k *Keeper) revocationFailed(ctx context.Context, job *ent.RevocationJob, err error) error {
	if oauth.OutcomeOf(err) == oauth.GrantDead {
		if job.Outcome != refreshUnanswered {
			return k.finishRevocation(ctx, job, revocationjob.StateDONE, "already ended")
		}
		return k.endUnanswered(ctx, job)
	}
	k.log.WarnContext(ctx, "a revocation failed and is tried again", "connection", job.ConnectionID, "error", err)
	wait := backoff(job.Attempts, k.jitter())
	if failure, ok := errors.AsType[*oauth.Error](err); ok {
		wait = max(wait, min(failure.RetryAfter, job.ExpiresAt.Sub(k.now())))
	}
	return k.postponeRevocation(ctx, job, wait)
}

// endUnanswered ends a job of which nobody can say whether the grant is over.
func (k *Keeper) endUnanswered(ctx context.Context, job *ent.RevocationJob) error {
	k.log.ErrorContext(ctx, "a deleted connection's grant may live on: the answer to its last refresh was lost", "connection", job.ConnectionID, "job", job.ID)
	return k.finishRevocation(ctx, job, revocationjob.StateEXPIRED, "unknown: "+refreshUnanswered)
}

// pendingJob changes a job that nobody has finished meanwhile.
func (k *Keeper) pendingJob(job *ent.RevocationJob) *ent.RevocationJobUpdate {
	return k.db.Ent.RevocationJob.Update().Where(revocationjob.ID(job.ID), revocationjob.StateEQ(revocationjob.StatePENDING))
}

// finishRevocation ends a job and destroys its copy.
func (k *Keeper) finishRevocation(ctx context.Context, job *ent.RevocationJob, state revocationjob.State, outcome string) error {
	return k.pendingJob(job).SetState(state).SetOutcome(outcome).SetFinishedAt(k.now()).ClearSealed().AddAttempts(1).Exec(ctx)
}

// postponeRevocation tries a job again later.
func (k *Keeper) postponeRevocation(ctx context.Context, job *ent.RevocationJob, d time.Duration) error {
	return k.pendingJob(job).SetNextAttemptAt(k.now().Add(d)).AddAttempts(1).Exec(ctx)
}
