package database

import (
	"context"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
)

// named is the connection that a request names, and its row, once it was read with the caller's key.
type named struct {
	id  uuid.UUID
	row atomic.Pointer[ent.Connection]
}

type namedKey struct{}

// Naming returns a context in which the caller's key and the connection are read by one statement. It is a hint: naming
// what nobody asks for then costs little, and naming nothing costs a statement more.
func Naming(ctx context.Context, connectionID uuid.UUID) context.Context {
	return context.WithValue(ctx, namedKey{}, &named{id: connectionID})
}

func namedIn(ctx context.Context) *named {
	n, _ := ctx.Value(namedKey{}).(*named)
	return n
}

// Ahead returns the tenant's connection as it was in the instant in which the caller's key was read, with id, tenant,
// provider, state, generation and last use and no other column; nil where it was not read. It gives the row away once: who
// asks again wants to know how the row is by then. What changes a connection has no use for it.
func Ahead(ctx context.Context, tenantID, connectionID uuid.UUID) *ent.Connection {
	n := namedIn(ctx)
	if n == nil || n.id != connectionID {
		return nil
	}
	row := n.row.Swap(nil)
	if row == nil || row.TenantID != tenantID {
		return nil
	}
	return row
}
