package model

import (
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// Tenant is a company that keeps connections here.
type Tenant struct {
	ID         string
	Name       string
	Metadata   map[string]string
	KeyVersion int
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// IsNode says that a tenant has an id of its own.
func (*Tenant) IsNode() {}

// TenantOf makes a tenant of its row; nil stays nil.
func TenantOf(t *ent.Tenant) *Tenant {
	if t == nil {
		return nil
	}
	return &Tenant{
		ID:         id.Tenant.Format(t.ID),
		Name:       t.Name,
		Metadata:   t.Metadata,
		KeyVersion: t.KeyVersion,
		CreatedAt:  t.CreatedAt,
		UpdatedAt:  t.UpdatedAt,
	}
}

// APIKey is a key without its hash.
type APIKey struct {
	ID         string
	Name       string
	Prefix     string
	Scopes     []Scope
	CreatedAt  time.Time
	ExpiresAt  *time.Time
	LastUsedAt *time.Time
	RevokedAt  *time.Time
}

// IsNode says that a key has an id of its own.
func (*APIKey) IsNode() {}

// APIKeyOf makes a key of its row; nil stays nil.
func APIKeyOf(k *ent.APIKey) *APIKey {
	if k == nil {
		return nil
	}
	return &APIKey{
		ID:         id.Key.Format(k.ID),
		Name:       k.Name,
		Prefix:     k.Prefix,
		Scopes:     each(k.Scopes, func(s string) Scope { return Scope(s) }),
		CreatedAt:  k.CreatedAt,
		ExpiresAt:  k.ExpiresAt,
		LastUsedAt: k.LastUsedAt,
		RevokedAt:  k.RevokedAt,
	}
}

// ScopesOf are the scopes that a viewer holds, in the contract's order.
func ScopesOf(v *tenant.Viewer) []Scope {
	held := []Scope{}
	for _, s := range tenant.Scopes() {
		if v.Has(s) {
			held = append(held, Scope(s))
		}
	}
	return held
}

// TenantScopes turns the enum's values into scopes.
func TenantScopes(scopes []Scope) []tenant.Scope {
	return each(scopes, func(s Scope) tenant.Scope { return tenant.Scope(s) })
}
