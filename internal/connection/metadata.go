package connection

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connectionmetadata"
	"github.com/tokenkeep/tokenkeep/internal/metadata"
)

// writeMetadata replaces the index rows of a connection's metadata; nil leaves them.
func writeMetadata(ctx context.Context, tx *ent.Tx, connectionID uuid.UUID, m *map[string]string) error {
	if m == nil {
		return nil
	}
	if err := clearMetadata(ctx, tx, connectionID); err != nil {
		return err
	}
	return indexMetadata(ctx, tx, connectionID, *m)
}

func clearMetadata(ctx context.Context, tx *ent.Tx, connectionID uuid.UUID) error {
	if _, err := tx.ConnectionMetadata.Delete().Where(connectionmetadata.ConnectionID(connectionID)).Exec(ctx); err != nil {
		return fmt.Errorf("clearing indexed metadata: %w", err)
	}
	return nil
}

// indexMetadata writes the index rows of a connection that has none.
func indexMetadata(ctx context.Context, tx *ent.Tx, connectionID uuid.UUID, m map[string]string) error {
	rows := make([]*ent.ConnectionMetadataCreate, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		keyDigest, pairDigest := metadata.Digests(key, m[key])
		rows = append(rows, tx.ConnectionMetadata.Create().SetConnectionID(connectionID).SetKeyDigest(keyDigest).SetPairDigest(pairDigest))
	}
	if err := tx.ConnectionMetadata.CreateBulk(rows...).Exec(ctx); err != nil {
		return fmt.Errorf("indexing metadata: %w", err)
	}
	return nil
}

// changed applies an update to metadata; nil means unchanged.
func (in UpdateInput) changed(before map[string]string) *map[string]string {
	if !in.MetadataNull && in.Metadata == nil && in.Merge == nil && len(in.RemoveKeys) == 0 {
		return nil
	}
	after := map[string]string{}
	switch {
	case in.Metadata != nil:
		maps.Copy(after, *in.Metadata)
	case !in.MetadataNull:
		maps.Copy(after, before)
	}
	maps.Copy(after, in.Merge)
	for _, key := range in.RemoveKeys {
		delete(after, key)
	}
	return &after
}
