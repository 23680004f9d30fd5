// Package rule keeps tenants apart in the database: the interceptors and hooks that ent/schema attaches to its types.
//
// Mechanism: an interceptor adds "tenant_id = the viewer's" to every query, and a hook adds the same to every update and
// delete; another tenant's row is thus absent rather than forbidden, and nothing tells the two apart. A second hook files
// new rows under the viewer's tenant and refuses any other. The viewer comes from the context (internal/tenant) and from
// nowhere else; without one everything fails. ent's privacy policies could do the same, but they run rule lists on each
// operation and leave the filters to be written per type; traversing interceptors are one call and cover every read there
// is: lists, counts, eager loading and walks along edges.
//
// Limits: rules see what ent builds, so has...With predicates, Modify and raw SQL go past them, and an upsert resolves its
// conflict past them, too: a row of another tenant would be changed if the conflicting columns can be equal across
// tenants; a test lists the upserts. An edge set to another tenant's id is not noticed here. And rules are there only where
// ent/runtime was imported once, as internal/database does.
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

// column says whose row it is, in every table but the tenants' own.
const column = "tenant_id"

// Table is how the rows of a table belong to tenants.
type Table int

const (
	// Owned tables hold tenants' rows only: an operator who acts in no tenant finds nothing and creates nothing.
	Owned Table = iota
	// OwnedOrOperators tables hold the operator's own rows beside the tenants', filed under tenant.Operator.
	OwnedOrOperators
	// OwnedOrShared tables are the same, and every tenant may read, not change, the operator's rows.
	OwnedOrShared
)

// Interceptors filter what is read.
func (t Table) Interceptors() []ent.Interceptor {
	return []ent.Interceptor{intercept.TraverseFunc(func(ctx context.Context, q intercept.Query) error {
		p, err := t.readable(ctx)
		if err != nil {
			return fmt.Errorf("%w: reading %s", err, q.Type())
		}
		if p != nil {
			q.WhereP(p)
		}
		return nil
	})}
}

// Hooks filter what is changed and deleted, and file what is created.
func (t Table) Hooks() []ent.Hook {
	return []ent.Hook{onMutation(func(ctx context.Context, m mutation) error {
		if m.Op().Is(ent.OpCreate) {
			return t.file(ctx, m)
		}
		p, err := t.writable(ctx)
		if err == nil && p != nil {
			m.WhereP(p)
		}
		return err
	})}
}

// predicate narrows a query or mutation; nil does not.
type predicate = func(*sql.Selector)

// nothing matches no row.
func nothing(s *sql.Selector) { s.Where(sql.False()) }

// readable narrows a read to what the viewer may see.
func (t Table) readable(ctx context.Context) (predicate, error) {
	v, err := viewer(ctx)
	if err != nil {
		return nil, err
	}
	if t == OwnedOrShared && v.Tenant != uuid.Nil {
		return sql.FieldIn(column, v.Tenant, tenant.Operator), nil
	}
	return t.own(v), nil
}

// writable narrows an update or a delete to what the viewer may change.
func (t Table) writable(ctx context.Context) (predicate, error) {
	v, err := viewer(ctx)
	if err != nil {
		return nil, err
	}
	return t.own(v), nil
}

// own narrows to the rows that are the viewer's.
func (t Table) own(v *tenant.Viewer) predicate {
	switch {
	case v.Tenant != uuid.Nil:
		return sql.FieldEQ(column, v.Tenant)
	case v.IsSystem():
		return nil
	case t == Owned:
		return nothing
	default:
		return sql.FieldEQ(column, tenant.Operator)
	}
}

// file puts a new row under the viewer's tenant, or refuses.
func (t Table) file(ctx context.Context, m mutation) error {
	v, err := viewer(ctx)
	if err != nil {
		return err
	}
	row, ok := m.(filed)
	if !ok {
		return fmt.Errorf("the type has no %s", column)
	}
	home := v.Tenant
	if home == uuid.Nil && !v.IsSystem() {
		if t == Owned {
			return ErrTenantMismatch
		}
		home = tenant.Operator
	}
	named, set := row.TenantID()
	switch {
	case home == uuid.Nil && (!set || named == uuid.Nil):
		return ErrTenantMissing
	case home == uuid.Nil:
		return nil
	case set && named != home:
		return ErrTenantMismatch
	}
	row.SetTenantID(home)
	return nil
}
