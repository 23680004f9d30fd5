package connection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/event"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/metadata"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// errNotFound is the one answer for what is absent and for what is another tenant's.
var errNotFound = errs.New(errs.NotFound, "there is no such connection").WithField("id")

// Update changes what the caller may change; single keys of metadata change atomically. Errors: NOT_FOUND,
// BAD_USER_INPUT, REAUTHORIZATION_REQUIRED (a capability that the granted scopes do not carry).
func (s *Service) Update(ctx context.Context, in UpdateInput) (*ent.Connection, error) {
	if _, err := audit.Require(ctx, s.db.Ent, tenant.ConnectionsWrite, audit.ConnectionUpdate, id.Connection.Format(in.ID)); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	var after *ent.Connection
	err := s.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
		before, err := s.locked(ctx, tx, in.ID)
		if err != nil {
			return err
		}
		if after, err = s.updateIn(ctx, tx, before, in); err != nil {
			return err
		}
		return s.record(ctx, tx, audit.ConnectionUpdate, after)
	})
	if errors.Is(err, grant.ErrGone) {
		return nil, errNotFound
	}
	return after, err
}

func (s *Service) updateIn(ctx context.Context, tx *ent.Tx, before *ent.Connection, in UpdateInput) (*ent.Connection, error) {
	if refusal := localRecording.check(in.LocalRecording, before.Scopes); refusal != nil {
		return nil, refusal
	}
	if refusal := onBehalf.check(in.OnBehalf, before.Scopes); refusal != nil {
		return nil, refusal
	}
	u := before.Update().SetNillableLocalRecordingToken(in.LocalRecording).SetNillableOnBehalfToken(in.OnBehalf).SetUpdatedAt(s.now())
	switch {
	case in.ClearSubject, in.Subject != nil && *in.Subject == "":
		u.ClearSubject()
	case in.Subject != nil:
		u.SetSubject(*in.Subject)
	}
	m := in.changed(before.Metadata)
	if m != nil {
		if err := metadata.Validate(in.metadataField(), *m); err != nil {
			return nil, err
		}
		if err := writeMetadata(ctx, tx, before.ID, m); err != nil {
			return nil, err
		}
		if in.MetadataNull && len(*m) == 0 {
			u.ClearMetadata()
		} else {
			u.SetMetadata(*m)
		}
	}
	return s.save(ctx, tx, u, before, event.Updated)
}

// metadataField is the input that a fault of the metadata as a whole is about.
func (in UpdateInput) metadataField() string {
	if in.Merge != nil {
		return "mergeMetadata"
	}
	return "metadata"
}

// check finds what is wrong with the input by itself.
func (in UpdateInput) check() error {
	if in.Metadata != nil && (in.Merge != nil || len(in.RemoveKeys) > 0) {
		return errs.Input("metadata", "metadata replaces the whole: leave out mergeMetadata and removeMetadataKeys, or metadata")
	}
	if in.Metadata != nil {
		if err := metadata.Validate("metadata", *in.Metadata); err != nil {
			return err
		}
	}
	if err := metadata.Validate("mergeMetadata", in.Merge); err != nil {
		return err
	}
	for i, key := range in.RemoveKeys {
		if key == "" {
			return errs.Input(fmt.Sprintf("removeMetadataKeys[%d]", i), "a metadata key is not empty")
		}
		if _, both := in.Merge[key]; both {
			return errs.Input(fmt.Sprintf("removeMetadataKeys[%d]", i), "this key is in mergeMetadata too; it can be set or removed, not both")
		}
	}
	return checkText("subject", in.Subject, maxSubject)
}

// Delete erases the sealed tokens at once and orders their revocation at the provider. The order of things: a sealed copy
// for the revocation job; then, in one transaction, the row goes and the tombstone, the job, the event and the audit entry
// come; then the record is destroyed, by the sweeper if this process dies in between. Errors: NOT_FOUND, VAULT_UNAVAILABLE.
func (s *Service) Delete(ctx context.Context, connectionID uuid.UUID) error {
	if _, err := audit.Require(ctx, s.db.Ent, tenant.ConnectionsWrite, audit.ConnectionDelete, id.Connection.Format(connectionID)); err != nil {
		return err
	}
	row, err := s.db.Ent.Connection.Query().Where(connection.ID(connectionID)).Only(ctx)
	if ent.IsNotFound(err) {
		return errNotFound
	}
	if err != nil {
		return fmt.Errorf("reading a connection: %w", err)
	}
	ctx, err = s.deleteRow(ctx, row)
	if errors.Is(err, grant.ErrGone) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	s.cache.drop(row.TenantID, connectionID)
	if err := s.keeper.Erase(ctx, connectionID); err != nil {
		s.log.WarnContext(ctx, "erasing a record failed; the sweeper does it", "connection", connectionID, "error", err)
	}
	s.keeper.Wake()
	return nil
}

// deletionTries is how often a deletion is prepared again because a refresh came in between; each takes a whole refresh.
const deletionTries = 5

// errStaleCopy says that a refresh settled between the copy for the revocation and the deletion: the copy's refresh token
// is spent, and a revocation with it would take the grant for an ended one.
var errStaleCopy = errors.New("the connection was refreshed meanwhile")

// deleteRow prepares the revocation and deletes the row, again where it was refreshed in between. The context returned
// is one that the caller does not end any more.
func (s *Service) deleteRow(ctx context.Context, row *ent.Connection) (context.Context, error) {
	for try := 1; ; try++ {
		job, err := s.revocationOf(ctx, row)
		if err != nil {
			return ctx, err
		}
		detached := context.WithoutCancel(ctx)
		copied := row.Generation
		if job != nil {
			copied = job.Generation()
		}
		err = s.db.Tx(detached, func(ctx context.Context, tx *ent.Tx) error { return s.deleteIn(ctx, tx, row.ID, copied, job) })
		switch {
		case !errors.Is(err, errStaleCopy):
			return detached, err
		case try == deletionTries:
			return ctx, errs.New(errs.Conflict, "the connection is being changed by other calls; try again shortly").WithField("id").WithRetryAfter(time.Second).WithCause(err)
		}
		if row, err = s.find(ctx, row.ID); err != nil {
			return ctx, err
		}
	}
}

// revocationOf prepares the revocation of a connection's grant; nil where there is nothing to revoke.
func (s *Service) revocationOf(ctx context.Context, row *ent.Connection) (*grant.Revocation, error) {
	if row.State != connection.StateCONNECTED || row.GrantType == connection.GrantTypeAPI_KEY {
		return nil, nil
	}
	a, err := s.appRow(ctx, row.AppID)
	if err != nil {
		return nil, err
	}
	client, err := s.client(ctx, a)
	if errs.Is(err, errs.AppMisconfigured) {
		s.log.WarnContext(ctx, "a grant cannot be revoked without its app's credentials", "connection", row.ID, "error", err)
		return nil, nil // what is to be deleted is deleted all the same
	}
	if err != nil {
		return nil, err
	}
	return s.keeper.PrepareRevocation(ctx, row, client)
}

func (s *Service) deleteIn(ctx context.Context, tx *ent.Tx, connectionID uuid.UUID, copied int64, job *grant.Revocation) error {
	row, err := s.locked(ctx, tx, connectionID)
	if err != nil {
		return err
	}
	if grant.StaleCopy(grant.RowView{Exists: true, Generation: row.Generation}, copied) {
		return errStaleCopy
	}
	last := *row
	last.EventSequence++
	if err := event.Append(ctx, tx.Client(), event.Entry{
		Connection: row.ID, Sequence: last.EventSequence, Type: event.Deleted, Previous: row.State.String(), Metadata: row.Metadata, Tenant: row.TenantID,
	}); err != nil {
		return err
	}
	if err := s.record(ctx, tx, audit.ConnectionDelete, row); err != nil {
		return err
	}
	if err := s.keeper.Bury(ctx, tx, row, job); err != nil {
		return err
	}
	return tx.Connection.DeleteOneID(row.ID).Exec(ctx)
}

// Refresh refreshes now, whatever the expiry, and waits for it. It returns the connection as it is afterwards: a provider
// that refused is in its state and failure, not in the error. Back-off after other failures does not stop it, for whoever
// asks may have mended the cause; a provider that asked for fewer requests is left alone. Errors: NOT_FOUND, CONFLICT
// (nothing to refresh, or one is under way elsewhere), RATE_LIMITED, REAUTHORIZATION_REQUIRED, VAULT_UNAVAILABLE.
func (s *Service) Refresh(ctx context.Context, connectionID uuid.UUID) (*ent.Connection, error) {
	if _, err := audit.Require(ctx, s.db.Ent, tenant.ConnectionsWrite, audit.ConnectionRefresh, id.Connection.Format(connectionID)); err != nil {
		return nil, err
	}
	row, err := s.find(ctx, connectionID)
	if err != nil {
		return nil, err
	}
	switch {
	case row.State == connection.StatePENDING:
		return nil, errs.New(errs.Conflict, "the user has not consented yet; there is nothing to refresh").WithField("id")
	case row.State == connection.StateDISCONNECTED:
		return nil, errs.New(errs.ReauthorizationRequired, "this connection is over; the user must connect again").WithField("id")
	case row.GrantType == connection.GrantTypeAPI_KEY:
		return nil, errs.New(errs.Conflict, "an API key does not expire and is not refreshed").WithField("id")
	}
	if wait := s.backingOff(row); wait > 0 && row.FailureReason == string(oauth.ReasonRateLimited) {
		return nil, errs.New(errs.RateLimited, "the provider asked for fewer requests; the refresh is made by itself when it may be").WithField("id").WithRetryAfter(wait)
	}
	patience, end := context.WithTimeout(ctx, s.readerWait)
	defer end()
	if _, err := s.refreshOnce(ctx, patience, row, true); err != nil {
		return nil, s.refreshError(err)
	}
	return s.find(ctx, connectionID)
}

// find reads a connection of the caller's tenant. Errors: NOT_FOUND.
func (s *Service) find(ctx context.Context, connectionID uuid.UUID) (*ent.Connection, error) {
	row, err := s.db.Ent.Connection.Query().Where(connection.ID(connectionID)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, errNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("reading a connection: %w", err)
	}
	return row, nil
}

// refreshError is what a caller who asked for a refresh gets to know.
func (s *Service) refreshError(err error) error {
	switch {
	case errors.Is(err, grant.ErrBusy):
		return errs.New(errs.Conflict, "a refresh of this connection is under way; ask for the connection shortly").WithField("id").WithRetryAfter(retrySoon)
	case errors.Is(err, grant.ErrGone):
		return errNotFound
	case errors.Is(err, grant.ErrNothingToSpend):
		return errs.New(errs.Conflict, "the provider gave no refresh token for this connection; it lives until its token expires").WithField("id")
	default:
		return err
	}
}
