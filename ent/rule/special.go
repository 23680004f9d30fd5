package rule

import (
	"context"
	"fmt"

	"entgo.io/ent"
	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent/intercept"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// AppendOnly refuses to change or delete rows, whoever asks.
func AppendOnly() []ent.Hook {
	return []ent.Hook{onMutation(func(_ context.Context, m mutation) error {
		if m.Op().Is(ent.OpCreate) {
			return nil
		}
		return ErrAppendOnly
	})}
}

// SystemOnlyInterceptors refuse every read but the service's own.
func SystemOnlyInterceptors() []ent.Interceptor {
	return []ent.Interceptor{intercept.TraverseFunc(func(ctx context.Context, q intercept.Query) error {
		if err := system(ctx); err != nil {
			return fmt.Errorf("%w: reading %s", err, q.Type())
		}
		return nil
	})}
}

// SystemOnlyHooks refuse every mutation but the service's own.
func SystemOnlyHooks() []ent.Hook {
	return []ent.Hook{onMutation(func(ctx context.Context, _ mutation) error { return system(ctx) })}
}

// system refuses everybody but the service itself.
func system(ctx context.Context) error {
	v, err := viewer(ctx)
	if err == nil && !v.IsSystem() {
		return ErrSystemOnly
	}
	return err
}

// TenantInterceptors show a tenant itself; an operator, and the service, see all of them.
func TenantInterceptors() []ent.Interceptor {
	return []ent.Interceptor{intercept.TraverseFunc(func(ctx context.Context, q intercept.Query) error {
		p, err := itself(ctx)
		if err != nil {
			return fmt.Errorf("%w: reading %s", err, q.Type())
		}
		if p != nil {
			q.WhereP(p)
		}
		return nil
	})}
}

// TenantHooks let a tenant change itself and nothing else; only an operator or the service makes a new one.
func TenantHooks() []ent.Hook {
	return []ent.Hook{onMutation(func(ctx context.Context, m mutation) error {
		if m.Op().Is(ent.OpCreate) {
			return createTenant(ctx)
		}
		p, err := itself(ctx)
		if err == nil && p != nil {
			m.WhereP(p)
		}
		return err
	})}
}

// itself narrows to the viewer's own tenant.
func itself(ctx context.Context) (predicate, error) {
	v, err := viewer(ctx)
	if err != nil || everyTenants(v) {
		return nil, err
	}
	return sql.FieldEQ("id", v.Tenant), nil
}

// createTenant refuses those who stand for one tenant.
func createTenant(ctx context.Context) error {
	v, err := viewer(ctx)
	if err == nil && !everyTenants(v) {
		return ErrTenantMismatch
	}
	return err
}

// everyTenants reports whether the viewer deals with the tenants themselves.
func everyTenants(v *tenant.Viewer) bool {
	return v.IsOperator || v.IsSystem() && v.Tenant == uuid.Nil
}
