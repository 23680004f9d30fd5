package tenancy

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/apikey"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// CreateKeyInput describes a new key.
type CreateKeyInput struct {
	Name   string
	Scopes []tenant.Scope
	// ExpiresAt ends the key; nil means never.
	ExpiresAt *time.Time
}

// CreateKey makes a key of the viewer's tenant, within his own scopes, and returns its text, which is shown nowhere
// else. Needs TENANT_ADMIN. Errors: UNAUTHENTICATED, FORBIDDEN, BAD_USER_INPUT, VAULT_UNAVAILABLE.
func (s *Service) CreateKey(ctx context.Context, in CreateKeyInput) (*ent.APIKey, secret.Text, error) {
	v, err := audit.Require(ctx, s.db.Ent, tenant.TenantAdmin, audit.APIKeyCreate, "")
	if err != nil {
		return nil, secret.Text{}, err
	}
	if err := in.check(s.now()); err != nil {
		return nil, secret.Text{}, err
	}
	if beyond := in.beyond(v); beyond != nil {
		return nil, secret.Text{}, audit.Refuse(ctx, s.db.Ent, beyond, audit.APIKeyCreate, "")
	}
	key, err := s.mint(ctx, v.Tenant, in)
	if err != nil {
		return nil, secret.Text{}, err
	}
	var made *ent.APIKey
	err = s.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) (err error) {
		made, err = s.insertKey(ctx, tx.Client(), in.Name, key)
		return err
	})
	if err != nil {
		return nil, secret.Text{}, fmt.Errorf("creating an API key: %w", err)
	}
	return made, key.text, nil
}

// minted is a key with what the database keeps of it.
type minted struct {
	text secret.Text
	rights
	seal []byte
}

// mint makes a key of the tenant; the vault is asked before any transaction is open.
func (s *Service) mint(ctx context.Context, owner uuid.UUID, in CreateKeyInput) (minted, error) {
	m := minted{text: newKey(tenantPrefix), rights: rights{id: id.New(), tenant: owner, expiresAt: micro(in.ExpiresAt)}}
	for _, scope := range in.Scopes {
		m.scopes = append(m.scopes, string(scope))
	}
	var err error
	if m.hash, err = s.hasher.hash(ctx, m.text); err != nil {
		return m, err
	}
	m.seal, err = s.hasher.seal(ctx, m.rights)
	return m, err
}

// insertKey writes the row and its entry in the trail of the viewer's tenant.
func (s *Service) insertKey(ctx context.Context, c *ent.Client, name string, key minted) (*ent.APIKey, error) {
	row, err := c.APIKey.Create().SetID(key.id).SetTenantID(key.tenant).
		SetName(name).SetPrefix(visible(key.text)).SetHash(key.hash).SetSeal(key.seal).SetScopes(orNone(key.scopes)).
		SetNillableExpiresAt(key.expiresAt).SetCreatedAt(s.now()).
		Save(ctx)
	if err != nil {
		return nil, err
	}
	return row, record(ctx, c, audit.APIKeyCreate, id.Key.Format(row.ID))
}

// orNone is an empty list where there is none: null is no list.
func orNone(scopes []string) []string {
	if scopes == nil {
		return []string{}
	}
	return scopes
}

// RevokeKey ends a key of the viewer's tenant, from the next request on. Its seal goes too, so that taking back the time
// of revocation does not revive it. One that is revoked already stays as it is.
// Needs TENANT_ADMIN. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND.
func (s *Service) RevokeKey(ctx context.Context, key uuid.UUID) (*ent.APIKey, error) {
	object := id.Key.Format(key)
	if _, err := audit.Require(ctx, s.db.Ent, tenant.TenantAdmin, audit.APIKeyRevoke, object); err != nil {
		return nil, err
	}
	var row *ent.APIKey
	err := s.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) (err error) {
		n, err := tx.APIKey.Update().Where(apikey.ID(key), apikey.RevokedAtIsNil()).SetRevokedAt(s.now()).ClearSeal().Save(ctx)
		if err != nil {
			return err
		}
		if row, err = tx.APIKey.Get(ctx, key); err != nil || n == 0 {
			return absent(err, "API key")
		}
		return record(ctx, tx.Client(), audit.APIKeyRevoke, object)
	})
	if err != nil {
		return nil, fmt.Errorf("revoking an API key: %w", err)
	}
	return row, nil
}

// beyond says which scope the viewer cannot give, because he does not hold it; nil where he holds all. TENANT_ADMIN
// includes every scope, so giving it takes every scope: an operator, who never holds CREDENTIALS_READ, cannot make
// himself a key that reads credentials.
func (in CreateKeyInput) beyond(v *tenant.Viewer) *errs.Error {
	for i, scope := range in.Scopes {
		if !v.Has(scope) || scope == tenant.TenantAdmin && !hasAll(v) {
			return errs.New(errs.Forbidden, "a key is created within the caller's own scopes, and %s goes beyond them", scope).
				WithField(fmt.Sprintf("scopes[%d]", i))
		}
	}
	return nil
}

func hasAll(v *tenant.Viewer) bool {
	for _, scope := range tenant.Scopes() {
		if !v.Has(scope) {
			return false
		}
	}
	return true
}

// micro is the time as the database keeps it.
func micro(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC().Truncate(time.Microsecond)
	return &u
}
