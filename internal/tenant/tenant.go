// Package tenant carries the caller through the context.
//
// Mechanism: authentication puts a Viewer into the context; the privacy rules of ent, the domain packages and the vault
// take the tenant from there and from nowhere else. Without a Viewer there is no data. Work that no caller asked for
// (sweeping, start-up) runs as the System viewer, which one function makes, so that a test can count its call sites.
//
// Limit: a Viewer says who is calling and with which scopes; which object belongs to whom is checked where it is read.
package tenant

import (
	"context"
	"slices"

	"github.com/google/uuid"
)

// Scope is a permission of an API key.
type Scope string

// The scopes of the public contract. TenantAdmin includes all the others.
const (
	ConnectionsRead  Scope = "CONNECTIONS_READ"
	ConnectionsWrite Scope = "CONNECTIONS_WRITE"
	CredentialsRead  Scope = "CREDENTIALS_READ"
	AppsWrite        Scope = "APPS_WRITE"
	TenantAdmin      Scope = "TENANT_ADMIN"
)

// Scopes lists all scopes in the contract's order.
func Scopes() []Scope {
	return []Scope{ConnectionsRead, ConnectionsWrite, CredentialsRead, AppsWrite, TenantAdmin}
}

// Operator is the tenant id under which the operator's own things (shared apps, operator audit) are sealed and filed.
// It is not the zero UUID, so that a forgotten field never means "operator".
var Operator = uuid.MustParse("ffffffff-ffff-ffff-ffff-ffffffffffff")

// Viewer is who is calling. The zero value may do nothing.
type Viewer struct {
	// Tenant is the tenant the caller acts in; uuid.Nil for an operator who acts in none.
	Tenant uuid.UUID
	// KeyID is the API key; uuid.Nil for an operator and for the system.
	KeyID uuid.UUID
	// Scopes are the scopes of the key.
	Scopes []Scope
	// IsOperator is true for the operator's key. Inside a tenant an operator may do everything but read credentials.
	IsOperator bool
	// system is true for work of the service itself; only System sets it.
	system bool
}

// Actor names the caller in audit entries: "key:<uuid>", "operator" or "system".
func (v *Viewer) Actor() string {
	switch {
	case v.system:
		return "system"
	case v.IsOperator:
		return "operator"
	default:
		return "key:" + v.KeyID.String()
	}
}

// IsSystem reports whether this is work of the service itself.
func (v *Viewer) IsSystem() bool { return v.system }

// Has reports whether the viewer holds the scope. An operator inside a tenant holds all but CredentialsRead.
func (v *Viewer) Has(s Scope) bool {
	if v.system {
		return true
	}
	if v.IsOperator {
		return v.Tenant != uuid.Nil && s != CredentialsRead
	}
	return slices.Contains(v.Scopes, s) || slices.Contains(v.Scopes, TenantAdmin)
}

type viewerKey struct{}

// NewContext returns a context that carries v.
func NewContext(ctx context.Context, v *Viewer) context.Context {
	return context.WithValue(ctx, viewerKey{}, v)
}

// FromContext returns the viewer, or nil where nobody is calling.
func FromContext(ctx context.Context) *Viewer {
	v, _ := ctx.Value(viewerKey{}).(*Viewer)
	return v
}

// System returns a context for work of the service itself, not on a caller's behalf. It sees the rows of every tenant
// (only of one, where only is not uuid.Nil). Its call sites are counted by a test: each needs a reason.
func System(ctx context.Context, only uuid.UUID) context.Context {
	return NewContext(ctx, &Viewer{Tenant: only, system: true})
}

type requestKey struct{}

// Request is what the audit trail keeps of the HTTP request.
type Request struct {
	ID            string
	RemoteAddress string
}

// WithRequest returns a context that carries r.
func WithRequest(ctx context.Context, r Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestFrom returns the request, zero where there is none.
func RequestFrom(ctx context.Context) Request {
	r, _ := ctx.Value(requestKey{}).(Request)
	return r
}
