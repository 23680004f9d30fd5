package read

import (
	"context"
	"sync"
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
	reader *Reader
	// made is for apps and tenants: most requests need neither.
	made    sync.Once
	apps    *dataloadgen.Loader[uuid.UUID, *ent.OAuthApp]
	tenants *dataloadgen.Loader[uuid.UUID, *ent.Tenant]
}

// Loaders makes the loaders of one request.
func (r *Reader) Loaders() *Loaders { return &Loaders{reader: r} }

func (l *Loaders) make() {
	options := []dataloadgen.Option{dataloadgen.WithWait(gather), dataloadgen.WithBatchCapacity(page.MaxSize)}
	l.apps = dataloadgen.NewLoader(batch(l.reader.apps, func(a *ent.OAuthApp) uuid.UUID { return a.ID }), options...)
	l.tenants = dataloadgen.NewLoader(batch(l.reader.TenantsByID, func(t *ent.Tenant) uuid.UUID { return t.ID }), options...)
}

// App is the app that a row names; nil where the caller may not see it.
func (l *Loaders) App(ctx context.Context, id uuid.UUID) (*ent.OAuthApp, error) {
	l.made.Do(l.make)
	return l.apps.Load(ctx, id)
}

// Tenant is the tenant that a row names; nil where the caller may not see it.
func (l *Loaders) Tenant(ctx context.Context, id uuid.UUID) (*ent.Tenant, error) {
	l.made.Do(l.make)
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
