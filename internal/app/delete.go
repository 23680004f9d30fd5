package app

import (
	"context"
	"fmt"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/grantattempt"
	"github.com/tokenkeep/tokenkeep/ent/oauthapp"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// counted is how far connections are counted for a sentence.
const counted = 100

// attemptRetry is what a caller is told to wait for a first authorization that is on its way.
const attemptRetry = 30 * time.Second

// Delete removes an app that no connection uses. Needs what Create needs.
// Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, CONFLICT (connections, of whatever state, or one being made).
func (s *Service) Delete(ctx context.Context, app uuid.UUID) error {
	a, _, err := s.mine(ctx, app, audit.AppDelete)
	if err != nil {
		return err
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
		if err := s.lock(ctx, tx, app, alone); err != nil {
			return err
		}
		if err := idle(everybody(ctx, a), tx.Client(), a); err != nil {
			return err
		}
		if err := tx.OAuthApp.DeleteOneID(app).Exec(ctx); ent.IsNotFound(err) {
			return notFound()
		} else if err != nil {
			return err
		}
		return record(ctx, tx.Client(), audit.AppDelete, app)
	})
	if ent.IsConstraintError(err) { // a connection that came in between
		return errs.New(errs.Conflict, "a connection uses this app; delete it first").WithField("id").WithCause(err)
	}
	if err != nil {
		return fmt.Errorf("deleting an app: %w", err)
	}
	return nil
}

// Hold keeps an app from being deleted until the transaction ends: for whoever is about to file something under it that
// no foreign key binds to it (an attempt). Errors: NOT_FOUND.
func (s *Service) Hold(ctx context.Context, tx *ent.Tx, app uuid.UUID) error {
	return s.lock(ctx, tx, app, together)
}

// The two ways to lock a row.
func alone(q *ent.OAuthAppQuery)    { q.ForUpdate() }
func together(q *ent.OAuthAppQuery) { q.ForShare() }

// lock reads the app and locks its row. SQLite has one writer at a time: there a transaction is a lock.
func (s *Service) lock(ctx context.Context, tx *ent.Tx, app uuid.UUID, how func(*ent.OAuthAppQuery)) error {
	query := tx.OAuthApp.Query().Where(oauthapp.ID(app))
	if s.db.Dialect == dialect.Postgres {
		how(query)
	}
	if _, err := query.OnlyID(ctx); ent.IsNotFound(err) {
		return notFound()
	} else if err != nil {
		return fmt.Errorf("locking an app: %w", err)
	}
	return nil
}

// everybody widens the view for a shared app: connections of all tenants keep it, and the operator sees none of them.
// What is seen through it is a number.
func everybody(ctx context.Context, a *ent.OAuthApp) context.Context {
	if a.TenantID == tenant.Operator {
		return tenant.System(ctx, uuid.Nil)
	}
	return ctx
}

// idle refuses an app that connections use, or that an attempt whose code was sent will use. Errors: CONFLICT.
func idle(ctx context.Context, c *ent.Client, a *ent.OAuthApp) error {
	used, err := c.Connection.Query().Where(connection.AppID(a.ID)).Limit(counted + 1).IDs(ctx)
	if err != nil {
		return err
	}
	if len(used) > 0 {
		return errs.New(errs.Conflict, "%s", uses(len(used))).WithField("id")
	}
	// The client id leads: it is what the table is indexed by.
	making, err := c.GrantAttempt.Query().Where(
		grantattempt.ClientID(a.ClientID), grantattempt.AppID(a.ID),
		grantattempt.StateIn(grantattempt.StateSENT, grantattempt.StatePARKED),
	).Exist(ctx)
	if err != nil {
		return err
	}
	if making {
		return errs.New(errs.Conflict, "a connection is being made with this app; try again shortly").
			WithField("id").WithRetryAfter(attemptRetry)
	}
	return nil
}

// uses says how many connections use an app.
func uses(n int) string {
	switch {
	case n == 1:
		return "1 connection uses this app; delete it first"
	case n > counted:
		return fmt.Sprintf("more than %d connections use this app; delete them first", counted)
	default:
		return fmt.Sprintf("%d connections use this app; delete them first", n)
	}
}
