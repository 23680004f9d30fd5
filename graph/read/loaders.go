package read

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/vikstrous/dataloadgen"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/graph/page"
)

// gather is how long a loader waits for more keys before it asks the database. The resolvers of one page run at the same
// time, so little is enough.
const gather = 300 * time.Microsecond

// Loaders read what the rows of one response refer to, each kind in one query and each row once. They live as long as a
// request: another caller's rows are never in them.
type Loaders struct {
	apps    *dataloadgen.Loader[uuid.UUID, *ent.OAuthApp]
	tenants *dataloadgen.Loader[uuid.UUID, *ent.Tenant]
}

// Loaders makes the loaders of one request.
func (r *Reader) Loaders() *Loaders {
	options := []dataloadgen.Option{dataloadgen.WithWait(gather), dataloadgen.WithBatchCapacity(page.MaxSize)}
	return &Loaders{
		apps:    dataloadgen.NewLoader(batch(r.apps, func(a *ent.OAuthApp) uuid.UUID { return a.ID }), options...),
		tenants: dataloadgen.NewLoader(batch(r.TenantsByID, func(t *ent.Tenant) uuid.UUID { return t.ID }), options...),
	}
}

// App is the app that a row names; nil where the caller may not see it.
func (l *Loaders) App(ctx context.Context, id uuid.UUID) (*ent.OAuthApp, error) {
	return l.apps.Load(ctx, id)
}

// Tenant is the tenant that a row names; nil where the caller may not see it.
func (l *Loaders) Tenant(ctx context.Context, id uuid.UUID) (*ent.Tenant, error) {
	return l.tenants.Load(ctx, id)
}

// batch puts rows in the order of the keys.
func batch[T any](
	rows func(context.Context, ...uuid.UUID) ([]*T, error), key func(*T) uuid.UUID,
) func(context.Context, []uuid.UUID) ([]*T, []error) {
	return func(ctx context.Context, keys []uuid.UUID) ([]*T, []error) {
		found, err := rows(ctx, keys...)
		if err != nil {
			return nil, []error{err}
		}
		byKey := make(map[uuid.UUID]*T, len(found))
		for _, row := range found {
			byKey[key(row)] = row
		}
		ordered := make([]*T, len(keys))
		for i, k := range keys {
			ordered[i] = byKey[k]
		}
		return ordered, nil
	}
}

type loadersKey struct{}

// NewContext returns a context that carries the loaders of its request.
func NewContext(ctx context.Context, l *Loaders) context.Context {
	return context.WithValue(ctx, loadersKey{}, l)
}

// FromContext returns the loaders that NewContext put there.
func FromContext(ctx context.Context) *Loaders {
	l, _ := ctx.Value(loadersKey{}).(*Loaders)
	return l
}
