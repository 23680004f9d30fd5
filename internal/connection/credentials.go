package connection

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// maxCredentials is how many credentials one call may ask for.
const maxCredentials = 100

// answersAtOnce is how many connections of one call are refreshed side by side.
const answersAtOnce = 16

// Credentials is Credential for many, in the order asked for; one that cannot be had spoils no other. All rows are read
// by one statement. What memory does not have comes from the vault: a read for each record, and one call that unwraps all
// their data keys. Only then are those refreshed that have too little life left.
// Errors: BAD_USER_INPUT (too many, a negative minTTL).
func (s *Service) Credentials(ctx context.Context, ids []uuid.UUID, minTTL *int) ([]Result, error) {
	if _, err := audit.Require(ctx, s.db.Ent, tenant.CredentialsRead, audit.CredentialRead, ""); err != nil {
		return nil, err
	}
	if len(ids) > maxCredentials {
		return nil, errs.Input("connections", "ask for at most %d credentials at once", maxCredentials)
	}
	if err := checkTTL(minTTL); err != nil {
		return nil, err
	}
	rows, err := s.db.Ent.Connection.Query().Where(connection.IDIn(ids...)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading connections: %w", err)
	}
	found, err := s.credentialsOf(ctx, rows, minTTL)
	if err != nil {
		return nil, err
	}
	s.used(ctx, found...)
	byID := make(map[uuid.UUID]Result, len(rows))
	for i, row := range rows {
		byID[row.ID] = found[i]
	}
	results := make([]Result, len(ids))
	for i, connectionID := range ids {
		r, ok := byID[connectionID]
		if !ok {
			r = Result{NotConnected: "there is no such connection; let the user connect"}
		}
		results[i] = r
	}
	return results, nil
}

// credentialsOf answers for rows that were just read, each a different one.
func (s *Service) credentialsOf(ctx context.Context, rows []*ent.Connection, minTTL *int) ([]Result, error) {
	stored := s.openedMany(ctx, rows)
	results := make([]Result, len(rows))
	var group errgroup.Group
	group.SetLimit(answersAtOnce)
	for i, row := range rows {
		o := stored[i]
		switch {
		case o == nil:
			results[i] = notConnected(row)
		case o.Err == nil && fresh(o.Set.ExpiresAt, o.Set.Life(), minTTL, s.now()):
			results[i] = s.handOut(row, o.Opened)
		default:
			group.Go(func() (err error) {
				results[i], err = s.answerFrom(ctx, row, minTTL, o.Opened, o.Err)
				return err
			})
		}
	}
	return results, group.Wait()
}

// openedMany is opened for many, in the order given: what memory does not have is opened together. Nil stands for a
// connection that has no token set to be opened.
func (s *Service) openedMany(ctx context.Context, rows []*ent.Connection) []*grant.OpenedOr {
	caller := tenant.FromContext(ctx).Tenant
	out := make([]*grant.OpenedOr, len(rows))
	var missing []*ent.Connection
	var places []int
	for i, row := range rows {
		if row.State != connection.StateCONNECTED {
			continue
		}
		if set, ok := s.cache.get(caller, row.ID, row.Generation); ok {
			out[i] = &grant.OpenedOr{Opened: grant.Opened{Set: set, Generation: row.Generation}}
		} else {
			missing, places = append(missing, row), append(places, i)
		}
	}
	for n, o := range s.keeper.OpenMany(ctx, missing) {
		if o.Err == nil {
			s.cache.put(caller, missing[n].ID, o.Opened)
		}
		out[places[n]] = &o
	}
	return out
}
