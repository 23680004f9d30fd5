package app

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/oauthapp"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// Create makes an app. Needs APPS_WRITE; a shared one needs an operator who acts in no tenant.
// Errors: UNAUTHENTICATED, FORBIDDEN, BAD_USER_INPUT, CONFLICT (on clientId), VAULT_UNAVAILABLE.
func (s *Service) Create(ctx context.Context, in CreateInput) (*ent.OAuthApp, error) {
	home, err := s.author(ctx, in.Shared, audit.AppCreate, "")
	if err != nil {
		return nil, err
	}
	p, err := s.known(in.Provider)
	if err != nil {
		return nil, err
	}
	if in.Name == "" {
		in.Name = p.Name
	}
	if err := in.check(p); err != nil {
		return nil, err
	}
	row, err := s.sealed(ctx, home, in)
	if err != nil {
		return nil, err
	}
	var made *ent.OAuthApp
	err = s.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) (err error) {
		if made, err = row.insert(ctx, tx.Client()); err != nil {
			return err
		}
		return record(ctx, tx.Client(), audit.AppCreate, made.ID)
	})
	if ent.IsConstraintError(err) {
		return nil, errs.New(errs.Conflict, "there is an app of %s with this clientId already; update that one", p.Name).
			WithField("clientId").WithCause(err)
	}
	if err != nil {
		return nil, fmt.Errorf("creating an app: %w", err)
	}
	return made, nil
}

// Update changes what is not nil. A new client secret makes a MISCONFIGURED app ACTIVE. Needs what Create needs.
// Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, BAD_USER_INPUT, VAULT_UNAVAILABLE.
func (s *Service) Update(ctx context.Context, in UpdateInput) (*ent.OAuthApp, error) {
	old, home, err := s.mine(ctx, in.ID, audit.AppUpdate)
	if err != nil {
		return nil, err
	}
	p, err := s.of(old)
	if err != nil {
		return nil, err
	}
	if err := in.check(p); err != nil {
		return nil, err
	}
	secrets, err := s.sealSecrets(ctx, home, in.ID, in.ClientSecret, in.WebhookSecret)
	if err != nil {
		return nil, err
	}
	var made *ent.OAuthApp
	err = s.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) (err error) {
		update := tx.OAuthApp.UpdateOneID(in.ID).SetUpdatedAt(s.now())
		in.apply(update.Mutation())
		secrets.apply(update.Mutation())
		if made, err = update.Save(ctx); ent.IsNotFound(err) {
			return notFound()
		} else if err != nil {
			return err
		}
		return record(ctx, tx.Client(), audit.AppUpdate, in.ID)
	})
	if err != nil {
		return nil, fmt.Errorf("updating an app: %w", err)
	}
	if in.ClientSecret != nil {
		s.db.Signal(database.Due, uuid.Nil) // what the old secret kept waiting
	}
	return made, nil
}

// apply sets what is to change beside the secrets.
func (in UpdateInput) apply(m *ent.OAuthAppMutation) {
	if in.Name != nil {
		m.SetName(*in.Name)
	}
	for _, list := range []struct {
		to  func([]string)
		new *[]string
	}{{m.SetRedirectUris, in.RedirectURIs}, {m.SetReturnTo, in.ReturnTo}, {m.SetScopes, in.Scopes}} {
		if list.new != nil {
			list.to(some(*list.new))
		}
	}
}

// author checks that the caller may write apps and returns the tenant they are filed under.
func (s *Service) author(ctx context.Context, shared bool, action, object string) (uuid.UUID, error) {
	if shared {
		_, err := audit.RequireOperator(ctx, s.db.Ent, action, object)
		return tenant.Operator, err
	}
	v, err := audit.Require(ctx, s.db.Ent, tenant.AppsWrite, action, object)
	if err != nil {
		return uuid.Nil, err
	}
	return v.Tenant, nil
}

// mine returns an app that the caller may change, and the tenant it is filed under. A shared app, which every tenant
// sees, is refused; another tenant's does not exist.
func (s *Service) mine(ctx context.Context, app uuid.UUID, action string) (*ent.OAuthApp, uuid.UUID, error) {
	object := id.App.Format(app)
	home, err := s.author(ctx, outside(tenant.FromContext(ctx)), action, object)
	if err != nil {
		return nil, uuid.Nil, err
	}
	a, err := s.read(ctx, app)
	switch {
	case err != nil:
		return nil, uuid.Nil, err
	case a.TenantID == home:
		return a, home, nil
	case a.TenantID == tenant.Operator:
		return nil, uuid.Nil, audit.Refuse(ctx, s.db.Ent,
			errs.New(errs.Forbidden, "this app is shared by all tenants; only an operator changes it"), action, object)
	default:
		return nil, uuid.Nil, notFound()
	}
}

// outside reports whether an operator is calling who acts in no tenant.
func outside(v *tenant.Viewer) bool { return v != nil && v.IsOperator && v.Tenant == uuid.Nil }

// record writes that something was done to an app.
func record(ctx context.Context, c *ent.Client, action string, app uuid.UUID) error {
	return audit.Record(ctx, c, audit.Entry{Action: action, Object: id.App.Format(app), Allowed: true})
}

// some makes an empty list of none: the columns hold lists, never null.
func some(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// row is an app that is ready to be written.
type row struct {
	in      CreateInput
	id      uuid.UUID
	home    uuid.UUID
	at      time.Time
	secrets secrets
}

// insert writes the row.
func (r row) insert(ctx context.Context, c *ent.Client) (*ent.OAuthApp, error) {
	create := c.OAuthApp.Create().SetID(r.id).SetTenantID(r.home).
		SetProvider(r.in.Provider).SetName(r.in.Name).SetClientID(r.in.ClientID).
		SetRedirectUris(some(r.in.RedirectURIs)).SetReturnTo(some(r.in.ReturnTo)).SetScopes(some(r.in.Scopes)).
		SetState(oauthapp.StateACTIVE).SetCreatedAt(r.at).SetUpdatedAt(r.at)
	r.secrets.apply(create.Mutation())
	return create.Save(ctx)
}
