// Package audit decides whether a caller may act and keeps the append-only record of who did what.
//
// Mechanism: every operation that changes something or reads a credential begins with Require, which checks the scope
// and writes the refusal; it ends with Record, in the transaction of the change itself, so that neither is there without
// the other. Actor, request id and address come from the context and from nowhere else.
//
// Reason: permission and record in one function cannot drift apart, and a search for "audit.Require" lists every
// operation there is.
//
// Limit: Require says that a caller may do such a thing in his tenant; whether an object is his, the database's rules say
// when it is read. Plain reads (RequireRead) leave no entry.
package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// ErrNoTrail says that an entry names no tenant and that nobody who stands for one is calling: a fault of ours.
var ErrNoTrail = errors.New("audit entry without a tenant")

// Entry is one line of the record.
type Entry struct {
	// Action is one of this package's constants.
	Action string
	// Object is the public id of what was acted on ("conn_..."); empty where there is none yet.
	Object string
	// Allowed is false for a refusal.
	Allowed bool
	// CredentialVersion is the generation that was read or stored; zero where none was.
	CredentialVersion int64
	// Detail is a sentence for people, where the action alone says too little; it never holds a secret.
	Detail string
	// Tenant is whose trail it is. Zero: the viewer's tenant, or tenant.Operator for an operator who acts in none.
	Tenant uuid.UUID
}

// Record writes an entry through c: tx.Client() of the change it tells of, so that both are there or neither.
func Record(ctx context.Context, c *ent.Client, e Entry) error {
	v := tenant.FromContext(ctx)
	trail := e.trail(v)
	if trail == uuid.Nil {
		return fmt.Errorf("recording %s: %w", e.Action, ErrNoTrail)
	}
	r := tenant.RequestFrom(ctx)
	row := c.AuditEntry.Create().SetTenantID(trail).SetActor(v.Actor()).SetAction(e.Action).SetAllowed(e.Allowed)
	if e.Object != "" {
		row.SetObject(e.Object)
	}
	if r.ID != "" {
		row.SetRequestID(r.ID)
	}
	if r.RemoteAddress != "" {
		row.SetRemoteAddress(r.RemoteAddress)
	}
	if e.Detail != "" {
		row.SetDetail(e.Detail)
	}
	if e.CredentialVersion != 0 {
		row.SetCredentialVersion(e.CredentialVersion)
	}
	if err := row.Exec(ctx); err != nil {
		return fmt.Errorf("recording %s: %w", e.Action, err)
	}
	return nil
}

// trail returns the tenant to file the entry under; uuid.Nil where there is none.
func (e Entry) trail(v *tenant.Viewer) uuid.UUID {
	switch {
	case v == nil:
		return uuid.Nil
	case e.Tenant != uuid.Nil:
		return e.Tenant
	case v.Tenant == uuid.Nil && v.IsOperator:
		return tenant.Operator
	default:
		return v.Tenant
	}
}
