package connection

import (
	"context"
	"fmt"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/oauthapp"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/event"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// locked reads a row for change; on PostgreSQL it is locked, SQLite has one writer anyway. Errors: grant.ErrGone.
func (s *Service) locked(ctx context.Context, tx *ent.Tx, connectionID uuid.UUID) (*ent.Connection, error) {
	query := tx.Connection.Query().Where(connection.ID(connectionID))
	if s.db.Dialect == dialect.Postgres {
		query.ForUpdate()
	}
	c, err := query.Only(ctx)
	if ent.IsNotFound(err) {
		return nil, grant.ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("reading a connection for change: %w", err)
	}
	return c, nil
}

// insert writes a new connection. Its creation time is the one in its id, so that order by id is order by creation.
func (d domain) insert(ctx context.Context, tx *ent.Tx, a grant.Authorized, w wishes) error {
	now, o := d.now(), a.Set.Owner
	create := tx.Connection.Create().SetID(a.Connection).SetAppID(a.AppID).SetProvider(o.Provider).SetClientID(o.ClientID).SetGrantKey(string(a.Key)).
		SetKind(connection.Kind(o.Kind)).SetGrantType(connection.GrantType(w.GrantType)).SetState(connection.StateCONNECTED).
		SetNillableSubject(w.Subject).SetNillableExternalUserID(text(o.UserID)).SetNillableExternalAccountID(text(o.AccountID)).
		SetNillableExternalEmail(text(o.Email)).SetNillableExternalDisplayName(text(o.DisplayName)).SetScopes(orEmpty(a.Set.Scopes)).
		SetLocalRecordingToken(w.LocalRecording != nil && *w.LocalRecording).SetOnBehalfToken(w.OnBehalf != nil && *w.OnBehalf).
		SetGeneration(a.Generation).SetEscrowed(a.Escrowed).SetConsentedAt(o.ConsentedAt).SetEventSequence(1).
		SetCreatedAt(createdAt(a.Connection)).SetUpdatedAt(now)
	times := d.timesOf(a.Set, o.ConsentedAt)
	create.SetNillableAccessTokenExpiresAt(times.expiresAt).SetAccessTokenLife(times.life).SetNillableNextRefreshAt(times.nextRefreshAt)
	if w.Metadata != nil {
		create.SetMetadata(*w.Metadata)
	}
	c, err := create.Save(ctx)
	if err != nil {
		return fmt.Errorf("inserting a connection: %w", err)
	}
	if err := indexMetadata(ctx, tx, c.ID, c.Metadata); err != nil {
		return err
	}
	if err := appendEvent(ctx, tx, c, event.Created, ""); err != nil {
		return err
	}
	return d.record(ctx, tx, audit.ConnectionCreate, c)
}

// renew brings an existing connection to a new consent. What the caller left out stays; where the consent was not
// acceptable only the grant is renewed. Where the row has the set already, because a reader found it before a crashed
// attempt was resumed, what is known of it since stands: its state and its failure.
func (d domain) renew(ctx context.Context, tx *ent.Tx, a grant.Authorized, w wishes) error {
	before, err := d.locked(ctx, tx, a.Connection)
	if err != nil {
		return err
	}
	o := a.Set.Owner
	u, kind := before.Update(), event.Updated
	if a.Generation > before.Generation {
		kind = renewalEvent(before)
		d.withSet(u, a.Landed, o.ConsentedAt).SetState(connection.StateCONNECTED)
		clearFailure(u)
	}
	u.SetConsentedAt(o.ConsentedAt).SetGrantKey(string(a.Key)).
		SetNillableExternalAccountID(text(o.AccountID)).SetNillableExternalEmail(text(o.Email)).SetNillableExternalDisplayName(text(o.DisplayName)).
		SetUpdatedAt(d.now())
	if !a.Rejected {
		if err := applyWishes(ctx, tx, u, before.ID, w); err != nil {
			return err
		}
	}
	after, err := d.save(ctx, tx, u, before, kind)
	if err != nil {
		return err
	}
	return d.record(ctx, tx, audit.ConnectionAuthorize, after)
}

// renewalEvent names what a renewal is to those who watch.
func renewalEvent(before *ent.Connection) event.Type {
	switch {
	case before.State != connection.StateCONNECTED:
		return event.Connected
	case before.FailureClass != "":
		return event.Recovered
	default:
		return event.Updated
	}
}

// applyWishes writes what the caller gave.
func applyWishes(ctx context.Context, tx *ent.Tx, u *ent.ConnectionUpdateOne, connectionID uuid.UUID, w wishes) error {
	if w.Kind != nil {
		u.SetKind(connection.Kind(*w.Kind))
	}
	u.SetNillableSubject(w.Subject).SetNillableLocalRecordingToken(w.LocalRecording).SetNillableOnBehalfToken(w.OnBehalf)
	if w.Metadata == nil {
		return nil
	}
	u.SetMetadata(*w.Metadata)
	return writeMetadata(ctx, tx, connectionID, w.Metadata)
}

// Refreshed implements grant.Domain: an ordinary refresh moves neither updated_at nor the watchers; one that ends a
// failure, revives a connection or changes its scopes does.
func (d domain) Refreshed(ctx context.Context, tx *ent.Tx, connectionID uuid.UUID, l grant.Landed) error {
	before, err := d.locked(ctx, tx, connectionID)
	if err != nil {
		return err
	}
	if before.Generation >= l.Generation {
		return nil
	}
	now := d.now()
	u := d.withSet(before.Update(), l, lastUse(before)).SetLastRefreshedAt(now).SetLastAttemptedAt(now)
	var kind event.Type
	switch {
	case before.State != connection.StateCONNECTED:
		kind = event.Connected
	case before.FailureClass != "":
		kind = event.Recovered
	case !sameScopes(before.Scopes, l.Set.Scopes):
		kind = event.Updated
	}
	if kind != "" {
		u.SetState(connection.StateCONNECTED).SetUpdatedAt(now)
	}
	if before.FailureClass == grant.ClassMisconfigured {
		if err := d.clearApp(ctx, tx, before.AppID); err != nil {
			return err
		}
	}
	clearFailure(u)
	after, err := d.save(ctx, tx, u, before, kind)
	if err != nil {
		return err
	}
	return d.record(ctx, tx, audit.ConnectionRefresh, after)
}

// Failed implements grant.Domain.
func (d domain) Failed(ctx context.Context, tx *ent.Tx, connectionID uuid.UUID, v grant.Verdict) error {
	before, err := d.locked(ctx, tx, connectionID)
	if err != nil {
		return err
	}
	if err := d.noteOnApp(ctx, tx, before.AppID, v); err != nil {
		return err
	}
	if before.State == connection.StateDISCONNECTED || v.Generation != 0 && before.Generation > v.Generation {
		return nil // it is over already, or what was judged is past
	}
	now := d.now()
	u := before.Update().SetLastAttemptedAt(now).SetUpdatedAt(now).SetFailureClass(v.Class).SetFailureReason(v.Reason).SetFailureMessage(v.Message).
		SetFailureProviderCode(v.Code).SetFailureHTTPStatus(v.HTTPStatus).SetFailureLastAt(now)
	if before.FailureClass == v.Class {
		u.AddFailureAttempts(1)
	} else {
		u.SetFailureAttempts(1).SetFailureSince(now)
	}
	unclaimed(u)
	noteHold(u, v)
	var kind event.Type
	switch {
	case v.Disconnect:
		u.SetState(connection.StateDISCONNECTED).ClearFailureNextAttemptAt().ClearNextRefreshAt()
		kind = event.Disconnected
	default:
		u.SetFailureNextAttemptAt(v.NextAttemptAt).SetNextRefreshAt(v.NextAttemptAt)
		if before.FailureClass == "" {
			kind = event.Failing
		}
	}
	_, err = d.save(ctx, tx, u, before, kind)
	return err
}

// unclaimed ends a scheduler's claim, and the wait for room: whoever writes the row says when it is due next.
func unclaimed(u *ent.ConnectionUpdateOne) { u.ClearWaitingSince().ClearClaimedUntilMs() }

// noteOnApp keeps what a verdict says of the app and so of all its connections: it is to blame, or the provider asked
// for a pause.
func (d domain) noteOnApp(ctx context.Context, tx *ent.Tx, appID uuid.UUID, v grant.Verdict) error {
	switch {
	case v.BlameApp:
		return d.blameApp(ctx, tx, appID, v)
	case v.Reason == string(oauth.ReasonRateLimited):
		return d.pauseApp(ctx, tx, appID, v.NextAttemptAt)
	default:
		return nil
	}
}

// pauseApp keeps the scheduler away from the app's connections until then, on all replicas. A pause is never shortened.
func (d domain) pauseApp(ctx context.Context, tx *ent.Tx, appID uuid.UUID, until time.Time) error {
	if longest := d.now().Add(maxPause); until.After(longest) {
		until = longest
	}
	err := tx.OAuthApp.Update().Where(oauthapp.ID(appID), oauthapp.Or(oauthapp.PausedUntilIsNil(), oauthapp.PausedUntilLT(until))).
		SetPausedUntil(until).Exec(tenant.System(ctx, uuid.Nil))
	if err != nil {
		return fmt.Errorf("pausing an app: %w", err)
	}
	return nil
}

// noteHold writes which hold keeps the connection from ending. One that ends keeps the name of the hold that had kept it.
func noteHold(u *ent.ConnectionUpdateOne, v grant.Verdict) {
	switch {
	case v.Held:
		u.SetHeldBy(v.Hold)
	case v.Released && !v.Disconnect:
		u.ClearHeldBy()
	}
	if v.RefusedGeneration != 0 {
		u.SetRefusedGeneration(v.RefusedGeneration)
	}
}

// blameApp flags the app once. A shared app is no tenant's, so this is work of the service itself.
func (d domain) blameApp(ctx context.Context, tx *ent.Tx, appID uuid.UUID, v grant.Verdict) error {
	now := d.now()
	err := tx.OAuthApp.Update().Where(oauthapp.ID(appID), oauthapp.StateEQ(oauthapp.StateACTIVE)).SetState(oauthapp.StateMISCONFIGURED).
		SetFailureClass(v.Class).SetFailureReason(v.Reason).SetFailureMessage(v.Message).SetFailureProviderCode(v.Code).
		SetFailureHTTPStatus(v.HTTPStatus).SetFailureAttempts(1).SetFailureSince(now).SetFailureLastAt(now).SetFailureNextAttemptAt(v.NextAttemptAt).SetUpdatedAt(now).
		Exec(tenant.System(ctx, uuid.Nil))
	if err != nil {
		return fmt.Errorf("flagging an app: %w", err)
	}
	return nil
}

// clearApp takes the blame off an app that the provider has just accepted: it may have been mended over there.
func (d domain) clearApp(ctx context.Context, tx *ent.Tx, appID uuid.UUID) error {
	err := tx.OAuthApp.Update().Where(oauthapp.ID(appID), oauthapp.StateEQ(oauthapp.StateMISCONFIGURED)).SetState(oauthapp.StateACTIVE).
		ClearFailureClass().ClearFailureReason().ClearFailureMessage().ClearFailureProviderCode().ClearFailureHTTPStatus().
		SetFailureAttempts(0).ClearFailureSince().ClearFailureLastAt().ClearFailureNextAttemptAt().SetUpdatedAt(d.now()).Exec(tenant.System(ctx, uuid.Nil))
	if err != nil {
		return fmt.Errorf("clearing an app: %w", err)
	}
	return nil
}

// Unescrowed implements grant.Domain.
func (d domain) Unescrowed(ctx context.Context, tx *ent.Tx, connectionID uuid.UUID) error {
	return tx.Connection.Update().Where(connection.ID(connectionID)).SetEscrowed(false).Exec(ctx)
}

// lastUse is when a connection was last used, or consented to, which counts as a use: somebody wants it.
func lastUse(c *ent.Connection) time.Time {
	if c.LastUsedAt != nil && c.LastUsedAt.After(c.ConsentedAt) {
		return *c.LastUsedAt
	}
	return c.ConsentedAt
}

// withSet writes what the row keeps of a token set, and when the next one is due, counting from the last use.
func (s *Service) withSet(u *ent.ConnectionUpdateOne, l grant.Landed, used time.Time) *ent.ConnectionUpdateOne {
	times := s.timesOf(l.Set, used)
	unclaimed(u)
	u.ClearRefusedGeneration().SetGeneration(l.Generation).SetEscrowed(l.Escrowed).SetScopes(orEmpty(l.Set.Scopes))
	if times.life > 0 {
		u.SetAccessTokenLife(times.life) // otherwise the last one observed stays
	}
	if times.expiresAt != nil {
		u.SetAccessTokenExpiresAt(*times.expiresAt)
	} else {
		u.ClearAccessTokenExpiresAt()
	}
	if times.nextRefreshAt != nil {
		u.SetNextRefreshAt(*times.nextRefreshAt)
	} else {
		u.ClearNextRefreshAt()
	}
	return u
}

// save writes the row and, where kind is not empty, the event that tells of the change.
func (s *Service) save(ctx context.Context, tx *ent.Tx, u *ent.ConnectionUpdateOne, before *ent.Connection, kind event.Type) (*ent.Connection, error) {
	if kind != "" {
		u.SetEventSequence(before.EventSequence + 1)
	}
	after, err := u.Save(ctx)
	if err != nil {
		return nil, fmt.Errorf("writing a connection: %w", err)
	}
	if kind == "" {
		return after, nil
	}
	return after, appendEvent(ctx, tx, after, kind, before.State.String())
}

// appendEvent writes the outbox entry of the row as it is now.
func appendEvent(ctx context.Context, tx *ent.Tx, c *ent.Connection, kind event.Type, previous string) error {
	return event.Append(ctx, tx.Client(), event.Entry{
		Connection: c.ID, Sequence: c.EventSequence, Type: kind, Previous: previous, State: c.State.String(),
		Failure: FailureOf(c).fields(), Metadata: c.Metadata, Tenant: c.TenantID,
	})
}

// record writes the audit entry of a change that was allowed.
func (s *Service) record(ctx context.Context, tx *ent.Tx, action string, c *ent.Connection) error {
	return audit.Record(ctx, tx.Client(), audit.Entry{
		Action: action, Object: id.Connection.Format(c.ID), Allowed: true, CredentialVersion: c.Generation, Tenant: c.TenantID,
	})
}

// clearFailure ends a failure.
func clearFailure(u *ent.ConnectionUpdateOne) {
	u.ClearFailureClass().ClearFailureReason().ClearFailureMessage().ClearFailureProviderCode().ClearFailureHTTPStatus().
		SetFailureAttempts(0).ClearFailureSince().ClearFailureLastAt().ClearFailureNextAttemptAt().ClearHeldBy()
}

// createdAt is the time that a UUIDv7 carries, in milliseconds.
func createdAt(u uuid.UUID) time.Time {
	sec, nsec := u.Time().UnixTime()
	return time.Unix(sec, nsec).UTC().Truncate(time.Millisecond)
}

func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
