// Package event keeps the outbox: what changed on a connection, for those who want to hear of it.
//
// Mechanism: Append writes an entry in the transaction of the change itself. There is thus exactly one entry for each
// transition that was committed and none for one that was not; the entries of a connection are numbered from 1 without
// gaps by the counter on its row, and a unique index refuses a number that is taken.
//
// Reason: whoever delivers reads this table and nothing else; a crash between change and delivery loses nothing.
//
// Limit: nothing delivers here. Delivery will be at least once, in order for each connection and in no order among
// connections; receivers drop what they know by the entry's id.
package event

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// Type says what happened. Its text is the contract's enum value.
type Type string

// The types of the public contract.
const (
	Created      Type = "CONNECTION_CREATED"
	Updated      Type = "CONNECTION_UPDATED"
	Connected    Type = "CONNECTION_CONNECTED"
	Disconnected Type = "CONNECTION_DISCONNECTED"
	Failing      Type = "CONNECTION_FAILING"
	Recovered    Type = "CONNECTION_RECOVERED"
	Deleted      Type = "CONNECTION_DELETED"
)

// Types lists all types in the contract's order.
func Types() []Type {
	return []Type{Created, Updated, Connected, Disconnected, Failing, Recovered, Deleted}
}

// ErrInvalid says that an entry tells of nothing or of nobody: a fault of the caller.
var ErrInvalid = errors.New("invalid event")

// Entry is one change of one connection.
type Entry struct {
	Connection uuid.UUID
	// Sequence is the connection's event_sequence after it was raised in the same transaction; from 1.
	Sequence int64
	Type     Type
	// Previous and State are connection states; empty where there was none before or is none after.
	Previous, State string
	// Failure is the failure after the change, in the contract's field names; nil where there is none.
	Failure map[string]any
	// Metadata is the connection's metadata after the change, so that a receiver can route without asking.
	Metadata map[string]string
	// Tenant is whose connection it is. Zero: the viewer's tenant.
	Tenant uuid.UUID
}

// Append writes the entry through c, which is tx.Client() of the change it tells of. Errors: ErrInvalid; a constraint
// error where the connection has an entry of this number.
func Append(ctx context.Context, c *ent.Client, e Entry) error {
	owner, err := e.owner(ctx)
	if err != nil {
		return fmt.Errorf("appending an event: %w", err)
	}
	row := c.Event.Create().SetTenantID(owner).SetConnectionID(e.Connection).SetSequence(e.Sequence).SetType(string(e.Type))
	if e.Previous != "" {
		row.SetPreviousState(e.Previous)
	}
	if e.State != "" {
		row.SetState(e.State)
	}
	if e.Failure != nil {
		row.SetFailure(e.Failure)
	}
	if e.Metadata != nil {
		row.SetMetadata(e.Metadata)
	}
	if err := row.Exec(ctx); err != nil {
		return fmt.Errorf("appending event %d of a connection: %w", e.Sequence, err)
	}
	return nil
}

// owner checks the entry and returns whose it is.
func (e Entry) owner(ctx context.Context) (uuid.UUID, error) {
	owner := e.Tenant
	if v := tenant.FromContext(ctx); owner == uuid.Nil && v != nil {
		owner = v.Tenant
	}
	switch {
	case owner == uuid.Nil:
		return uuid.Nil, fmt.Errorf("%w: no tenant", ErrInvalid)
	case e.Connection == uuid.Nil:
		return uuid.Nil, fmt.Errorf("%w: no connection", ErrInvalid)
	case e.Sequence < 1:
		return uuid.Nil, fmt.Errorf("%w: sequence %d", ErrInvalid, e.Sequence)
	case !slices.Contains(Types(), e.Type):
		return uuid.Nil, fmt.Errorf("%w: type %q", ErrInvalid, e.Type)
	default:
		return owner, nil
	}
}
