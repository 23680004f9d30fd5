package servicetest

import (
	"context"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/hook"
)

// NotedUses yields a value for each statement, from now on, that this process has written off a reader's path: that a
// connection was used, or that it is due sooner for that.
func (s *Service) NotedUses() <-chan struct{} {
	noted := make(chan struct{}, 10_000)
	s.DB.Ent.Connection.Use(func(next ent.Mutator) ent.Mutator {
		return hook.ConnectionFunc(func(ctx context.Context, m *ent.ConnectionMutation) (ent.Value, error) {
			_, used := m.LastUsedAt()
			_, due := m.NextRefreshAt()
			if m.Op().Is(ent.OpUpdate) && (used || due) {
				defer func() { noted <- struct{}{} }()
			}
			return next.Mutate(ctx, m)
		})
	})
	return noted
}
