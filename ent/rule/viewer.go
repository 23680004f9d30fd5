package rule

import (
	"context"
	"fmt"

	"entgo.io/ent"
	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// viewer returns who is calling. A viewer who is neither the system nor an operator must stand for a tenant, and nobody
// but the system stands for tenant.Operator: an operator's own rows are reached by acting in no tenant.
func viewer(ctx context.Context) (*tenant.Viewer, error) {
	v := tenant.FromContext(ctx)
	switch {
	case v == nil:
		return nil, ErrNoViewer
	case v.IsSystem():
		return v, nil
	case v.Tenant == tenant.Operator, v.Tenant == uuid.Nil && !v.IsOperator:
		return nil, ErrNoViewer
	}
	return v, nil
}

// mutation is what every generated mutation can do.
type mutation interface {
	ent.Mutation
	WhereP(...func(*sql.Selector))
}

// filed is a mutation of a type that names its tenant.
type filed interface {
	TenantID() (uuid.UUID, bool)
	SetTenantID(uuid.UUID)
}

// onMutation makes a hook of a check that may refuse the mutation or narrow it.
func onMutation(check func(context.Context, mutation) error) ent.Hook {
	return func(next ent.Mutator) ent.Mutator {
		return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
			narrowable, ok := m.(mutation)
			if !ok {
				return nil, fmt.Errorf("changing %s: %T cannot be narrowed", m.Type(), m)
			}
			if err := check(ctx, narrowable); err != nil {
				return nil, fmt.Errorf("%w: changing %s", err, m.Type())
			}
			return next.Mutate(ctx, m)
		})
	}
}
