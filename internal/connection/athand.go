package connection

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// atHandColumns are what a row must say for a token in memory to be handed out: that the connection is connected, and
// which generation counts. Reading all the others would be most of what a fresh read costs. A request that names its
// connection has them read with its caller's key; see database.Ahead.
var atHandColumns = []string{
	connection.FieldID, connection.FieldProvider, connection.FieldState, connection.FieldGeneration, connection.FieldLastUsedAt,
}

// atHand answers where nothing but reading the row is to be done: the token is in memory, is fresh, and its use was noted
// lately. Everything else goes the ordinary way, which reads the row whole.
func (s *Service) atHand(ctx context.Context, connectionID uuid.UUID, minTTL *int) (r Result, ok bool, err error) {
	caller := tenant.FromContext(ctx).Tenant
	row, err := database.Ahead(ctx, caller, connectionID), error(nil)
	if row == nil {
		row, err = s.db.Ent.Connection.Query().Where(connection.ID(connectionID)).Select(atHandColumns...).Only(ctx)
	}
	switch {
	case ent.IsNotFound(err):
		return Result{}, false, nil
	case err != nil:
		return Result{}, false, fmt.Errorf("reading a connection: %w", err)
	case row.State != connection.StateCONNECTED, row.LastUsedAt == nil, s.now().Sub(*row.LastUsedAt) >= usedEvery:
		return Result{}, false, nil
	}
	set, ok := s.cache.get(caller, row.ID, row.Generation)
	if !ok || !fresh(set.ExpiresAt, set.Life(), minTTL, s.now()) {
		return Result{}, false, nil
	}
	return s.handOut(row, grant.Opened{Set: set, Generation: row.Generation}), true, nil
}
