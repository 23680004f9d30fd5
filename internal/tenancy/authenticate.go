package tenancy

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	enttenant "github.com/tokenkeep/tokenkeep/ent/tenant"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// Authenticate returns who the presented key stands for. An operator's viewer acts in no tenant yet; see ActIn.
// Unknown, malformed, expired and revoked keys, those of a suspended tenant and those whose row was tampered with get the
// same answer, and all but the malformed run the same statement. Errors: UNAUTHENTICATED, VAULT_UNAVAILABLE.
func (s *Service) Authenticate(ctx context.Context, presented secret.Text) (*tenant.Viewer, error) {
	if strings.HasPrefix(presented.Reveal(), operatorPrefix) {
		return s.authenticateOperator(presented)
	}
	if !wellFormed(tenantPrefix, presented) {
		return nil, nobody()
	}
	hash, err := s.hasher.hash(ctx, presented)
	if err != nil {
		return nil, err
	}
	key, err := s.find(ctx, hash)
	if err != nil {
		s.hasher.forget(presented)
		return nil, err
	}
	intact, proof, err := s.hasher.intact(ctx, presented, key)
	if err != nil {
		return nil, err
	}
	if !intact {
		s.hasher.forget(presented)
		s.log.ErrorContext(ctx, "an API key's row is not what was written when the key was made; the key is refused. Who can write the database?",
			"key", id.Key.Format(key.ID), "tenant", id.Tenant.Format(key.TenantID))
		return nil, nobody()
	}
	s.hasher.remember(presented, hash, proof)
	s.used(ctx, key)
	return &tenant.Viewer{Tenant: key.TenantID, KeyID: key.ID, Scopes: scopesOf(key)}, nil
}

func (s *Service) authenticateOperator(presented secret.Text) (*tenant.Viewer, error) {
	if !s.operator.Matches(presented) {
		return nil, nobody()
	}
	return &tenant.Viewer{IsOperator: true}, nil
}

// find reads the key with everything that can end it. The hash is unique over all tenants. Errors: UNAUTHENTICATED.
func (s *Service) find(ctx context.Context, hash []byte) (*ent.APIKey, error) {
	key, err := s.db.CallerKey(ctx, hash)
	switch {
	case err != nil:
		return nil, err
	case key == nil:
		return nil, nobody()
	case key.RevokedAt != nil, key.ExpiresAt != nil && !s.now().Before(*key.ExpiresAt):
		return nil, nobody()
	default:
		return key, nil
	}
}

// ActIn returns the viewer of an operator who acts in a tenant, suspended ones included. Whoever is not an operator may
// name his own tenant only. Errors: NOT_FOUND (also where it is another's).
func (s *Service) ActIn(ctx context.Context, v *tenant.Viewer, u uuid.UUID) (*tenant.Viewer, error) {
	if !v.IsOperator {
		if v.Tenant != u {
			return nil, errs.New(errs.NotFound, "there is no such tenant")
		}
		return v, nil
	}
	exists, err := s.db.Ent.Tenant.Query().Where(enttenant.ID(u)).Exist(tenant.NewContext(ctx, v))
	if err != nil {
		return nil, fmt.Errorf("looking for a tenant: %w", err)
	}
	if !exists {
		return nil, errs.New(errs.NotFound, "there is no such tenant")
	}
	return &tenant.Viewer{Tenant: u, IsOperator: true}, nil
}

func scopesOf(k *ent.APIKey) []tenant.Scope {
	out := make([]tenant.Scope, len(k.Scopes))
	for i, scope := range k.Scopes {
		out[i] = tenant.Scope(scope)
	}
	return out
}
