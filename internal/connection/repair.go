package connection

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/connectionmetadata"
	entevent "github.com/tokenkeep/tokenkeep/ent/event"
	"github.com/tokenkeep/tokenkeep/ent/tombstone"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/event"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/metadata"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// The ways in which a row is mended after a restore. "tokenkeep verify" calls them inside grant.Keeper.Hold; each looks
// again, in its transaction, whether there still is something to mend, and may be repeated.

// Sentinels of Rebuild.
var (
	// ErrNoApp says that the app of a stored set does not exist.
	ErrNoApp = errors.New("the app is missing")
	// ErrTaken says that another connection of the same app and user stands.
	ErrTaken = errors.New("another connection has the same user")
)

// repair runs a change of a connection that an operator ordered, and files it.
func (s *Service) repair(ctx context.Context, connectionID uuid.UUID, change func(ctx context.Context, tx *ent.Tx) error) error {
	object := id.Connection.Format(connectionID)
	if _, err := audit.Require(ctx, s.db.Ent, tenant.ConnectionsWrite, audit.ConnectionRepair, object); err != nil {
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error {
		if err := change(ctx, tx); err != nil {
			return err
		}
		return audit.Record(ctx, tx.Client(), audit.Entry{Action: audit.ConnectionRepair, Object: object, Allowed: true})
	})
}

// Reconcile brings a row up to a newer stored set and its consent; nothing is spent. Errors: grant.ErrGone.
func (s *Service) Reconcile(ctx context.Context, connectionID uuid.UUID, l grant.Landed) error {
	return s.repair(ctx, connectionID, func(ctx context.Context, tx *ent.Tx) error {
		if err := (domain{s}).Refreshed(ctx, tx, connectionID, l); err != nil {
			return err
		}
		row, err := s.locked(ctx, tx, connectionID)
		o := l.Set.Owner
		if err != nil || row.Generation != l.Generation || !o.ConsentedAt.After(row.ConsentedAt) {
			return err
		}
		return row.Update().SetConsentedAt(o.ConsentedAt).SetNillableExternalAccountID(text(o.AccountID)).SetNillableExternalEmail(text(o.Email)).
			SetNillableExternalDisplayName(text(o.DisplayName)).Exec(ctx)
	})
}

// Lost ends a connection whose record is gone or does not open, as step says, unless a hold keeps it: then held is true, and
// the connection fails until an operator decides. Errors: grant.ErrGone.
func (s *Service) Lost(ctx context.Context, connectionID uuid.UUID, generation int64, step grant.SpendStep) (held bool, err error) {
	alarm := func(context.Context) {}
	err = s.repair(ctx, connectionID, func(ctx context.Context, tx *ent.Tx) error {
		row, err := s.locked(ctx, tx, connectionID)
		if err != nil || row.Generation != generation || row.State == connection.StateDISCONNECTED {
			held = false
			return err // what was judged is past
		}
		held, alarm, err = s.keeper.Lose(ctx, tx, row, step)
		return err
	})
	if err == nil {
		alarm(ctx)
	}
	return held, err
}

// Rebuild makes the row of a stored set that has none, under its old id. Subject, metadata and capabilities were in the
// row alone and are empty. It does nothing where there is a row. Errors: grant.ErrGone (deleted), ErrNoApp, ErrTaken.
func (s *Service) Rebuild(ctx context.Context, connectionID uuid.UUID, l grant.Landed) error {
	return s.repair(ctx, connectionID, func(ctx context.Context, tx *ent.Tx) error {
		exists, err := tx.Connection.Query().Where(connection.ID(connectionID)).Exist(ctx)
		if err != nil || exists {
			return err
		}
		if err := s.mayRebuild(ctx, tx, connectionID, l.Set.Owner); err != nil {
			return err
		}
		return domain{s}.rebuildIn(ctx, tx, connectionID, l)
	})
}

// mayRebuild finds what stands in the way of a row.
func (s *Service) mayRebuild(ctx context.Context, tx *ent.Tx, connectionID uuid.UUID, o grant.Owner) error {
	deleted, err := tx.Tombstone.Query().Where(tombstone.ID(connectionID)).Exist(ctx)
	if err != nil || deleted {
		return errors.Join(err, grant.ErrGone)
	}
	if err := s.apps.Hold(ctx, tx, o.App); errs.Is(err, errs.NotFound) {
		return ErrNoApp
	} else if err != nil {
		return err
	}
	if o.UserID == "" {
		return nil
	}
	taken, err := tx.Connection.Query().Where(connection.AppID(o.App), connection.ExternalUserID(o.UserID)).Exist(ctx)
	if err != nil {
		return fmt.Errorf("looking for the user's connection: %w", err)
	}
	if taken {
		return ErrTaken
	}
	return nil
}

// rebuildIn writes the row, its event and, where the user consented elsewhere, who superseded whom.
func (d domain) rebuildIn(ctx context.Context, tx *ent.Tx, connectionID uuid.UUID, l grant.Landed) error {
	o, key := l.Set.Owner, l.Set.Owner.Key(connectionID)
	sequence, err := nextSequence(ctx, tx, connectionID)
	if err != nil {
		return err
	}
	times := d.timesOf(l.Set, o.ConsentedAt)
	c, err := tx.Connection.Create().SetID(connectionID).SetAppID(o.App).SetProvider(o.Provider).SetClientID(o.ClientID).SetGrantKey(string(key)).
		SetKind(connection.Kind(o.Kind)).SetGrantType(connection.GrantType(o.GrantType)).SetState(connection.StateCONNECTED).
		SetNillableExternalUserID(text(o.UserID)).SetNillableExternalAccountID(text(o.AccountID)).SetNillableExternalEmail(text(o.Email)).
		SetNillableExternalDisplayName(text(o.DisplayName)).SetScopes(orEmpty(l.Set.Scopes)).SetGeneration(l.Generation).SetEscrowed(l.Escrowed).
		SetConsentedAt(o.ConsentedAt).SetEventSequence(sequence).SetCreatedAt(createdAt(connectionID)).SetUpdatedAt(d.now()).
		SetNillableAccessTokenExpiresAt(times.expiresAt).SetAccessTokenLife(times.life).SetNillableNextRefreshAt(times.nextRefreshAt).Save(ctx)
	if err != nil {
		return fmt.Errorf("rebuilding a connection: %w", err)
	}
	if err := appendEvent(ctx, tx, c, event.Created, ""); err != nil {
		return err
	}
	p, known := d.catalogue.Get(o.Provider)
	if !known || !p.ConsentEndsOlderGrant || o.UserID == "" {
		return nil
	}
	return d.settleConsents(ctx, tx, c)
}

// settleConsents ends the older of the user's consents where two stand: this one, or those in other rows.
func (d domain) settleConsents(ctx context.Context, tx *ent.Tx, c *ent.Connection) error {
	newer, err := tx.Connection.Query().
		Where(connection.GrantKey(c.GrantKey), connection.IDNEQ(c.ID), connection.StateEQ(connection.StateCONNECTED), connection.ConsentedAtGT(c.ConsentedAt)).
		Exist(tenant.System(ctx, uuid.Nil))
	if err != nil {
		return fmt.Errorf("looking for a newer consent: %w", err)
	}
	if newer {
		return d.Failed(ctx, tx, c.ID, superseded)
	}
	return d.Superseded(ctx, tx, grant.Key(c.GrantKey), c.ID, c.ConsentedAt)
}

// nextSequence goes on where the events of a row that was lost ended.
func nextSequence(ctx context.Context, tx *ent.Tx, connectionID uuid.UUID) (int64, error) {
	last, err := tx.Event.Query().Where(entevent.ConnectionID(connectionID)).Order(entevent.BySequence(sql.OrderDesc())).First(ctx)
	if ent.IsNotFound(err) {
		return 1, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the last event: %w", err)
	}
	return last.Sequence + 1, nil
}

// Misindexed returns those of the rows whose metadata is not what the index says.
func (s *Service) Misindexed(ctx context.Context, rows []*ent.Connection) ([]*ent.Connection, error) {
	return misindexed(ctx, s.db.Ent, rows)
}

func misindexed(ctx context.Context, c *ent.Client, rows []*ent.Connection) ([]*ent.Connection, error) {
	ids := make([]uuid.UUID, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	pairs, err := c.ConnectionMetadata.Query().Where(connectionmetadata.ConnectionIDIn(ids...)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading indexed metadata: %w", err)
	}
	indexed := map[uuid.UUID]map[string][]byte{}
	for _, p := range pairs {
		if indexed[p.ConnectionID] == nil {
			indexed[p.ConnectionID] = map[string][]byte{}
		}
		indexed[p.ConnectionID][string(p.KeyDigest)] = p.PairDigest
	}
	var wrong []*ent.Connection
	for _, row := range rows {
		if !indexes(indexed[row.ID], row.Metadata) {
			wrong = append(wrong, row)
		}
	}
	return wrong, nil
}

// indexes reports whether the digests are those of the metadata, no more and no less.
func indexes(digests map[string][]byte, m map[string]string) bool {
	for key, value := range m {
		keyDigest, pairDigest := metadata.Digests(key, value)
		if !bytes.Equal(digests[string(keyDigest)], pairDigest) {
			return false
		}
	}
	return len(digests) == len(m)
}

// Reindex writes the index of a connection's metadata anew where it is wrong. Errors: grant.ErrGone.
func (s *Service) Reindex(ctx context.Context, connectionID uuid.UUID) error {
	return s.repair(ctx, connectionID, func(ctx context.Context, tx *ent.Tx) error {
		row, err := s.locked(ctx, tx, connectionID)
		if err != nil {
			return err
		}
		wrong, err := misindexed(ctx, tx.Client(), []*ent.Connection{row})
		if err != nil || len(wrong) == 0 {
			return err
		}
		return writeMetadata(ctx, tx, connectionID, &row.Metadata)
	})
}
