package connection

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

const (
	// reportInterval is how old a token set, or the last attempt at a new one, must be before a report of a 401 has it
	// refreshed. A provider that refuses a token which it issued within the minute does not mean the token: a scope is
	// missing, or the call went to the wrong place. Refreshing again would spend a refresh token for the same answer.
	reportInterval = 60 * time.Second
	// clockLeeway is how far in the future a time may lie that another process wrote, with its clock five minutes ahead of
	// right and ours five behind. What lies further ahead was written by a clock that nobody should wait for.
	clockLeeway = 10 * time.Minute
)

// ReportUnauthorized is for a caller who met a 401 with this version of the credential. Where that is the version that is
// stored, and neither it nor an attempt at a newer one is as young as the interval, it is refreshed, once for all who
// report it; in any other case nothing is spent. It returns the connection as it is afterwards: a provider that refused is
// in its state and failure. Errors: NOT_FOUND, BAD_USER_INPUT (a version that never was), VAULT_UNAVAILABLE,
// APP_MISCONFIGURED.
func (s *Service) ReportUnauthorized(ctx context.Context, connectionID uuid.UUID, version int64) (*ent.Connection, error) {
	if _, err := audit.Require(ctx, s.db.Ent, tenant.CredentialsRead, audit.CredentialReport, id.Connection.Format(connectionID)); err != nil {
		return nil, err
	}
	row, err := s.find(ctx, connectionID)
	switch {
	case errors.Is(err, errNotFound):
		return nil, errNotFound.WithField("connection")
	case err != nil:
		return nil, err
	case version < 1 || version > row.Generation:
		return nil, errs.Input("version", "there is no version %d of this connection's credential; report the version that came with the credential", version)
	case version < row.Generation:
		return row, nil
	case !s.worthRefreshing(row):
		s.log.InfoContext(ctx, "a 401 was reported, and is no reason to refresh now", "connection", id.Connection.Format(row.ID), "version", version, "failing", row.FailureClass != "")
		return row, nil
	}
	patience, end := context.WithTimeout(ctx, s.readerWait)
	defer end()
	_, err = s.refreshOnce(ctx, patience, row, false)
	switch {
	case errors.Is(err, grant.ErrGone):
		return nil, errNotFound.WithField("connection")
	case errors.Is(err, grant.ErrBusy), errors.Is(err, grant.ErrNothingToSpend):
		return row, nil // it is under way elsewhere, or there is no way to a newer one
	case err != nil:
		return nil, err
	}
	return s.find(ctx, connectionID)
}

// worthRefreshing reports whether a 401 is reason enough to spend a refresh token now. A refresh that failed is repeated
// when its time has come, whatever is reported.
func (s *Service) worthRefreshing(row *ent.Connection) bool {
	if row.State != connection.StateCONNECTED || row.GrantType == connection.GrantTypeAPI_KEY || row.FailureClass != "" {
		return false
	}
	now := s.now()
	for _, at := range []*time.Time{&row.ConsentedAt, row.LastRefreshedAt, row.LastAttemptedAt} {
		if at != nil && recent(*at, now, s.reportInterval) {
			return false
		}
	}
	return true
}

// recent reports whether at lies less than the interval before now. It may lie after now, if the clocks of two processes
// differ.
func recent(at, now time.Time, interval time.Duration) bool {
	ago := now.Sub(at)
	return ago < interval && ago > -clockLeeway
}
