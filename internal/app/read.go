package app

import (
	"context"
	"fmt"
	"strings"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/oauthapp"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// Get returns an app of the viewer's tenant, or a shared one. Needs CONNECTIONS_READ; an operator who acts in no tenant
// sees the shared ones. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND (absent and another tenant's alike).
func (s *Service) Get(ctx context.Context, app uuid.UUID) (*ent.OAuthApp, error) {
	if !outside(tenant.FromContext(ctx)) {
		if _, err := audit.RequireRead(ctx, tenant.ConnectionsRead); err != nil {
			return nil, err
		}
	}
	return s.read(ctx, app)
}

// read returns an app that the viewer may see.
func (s *Service) read(ctx context.Context, app uuid.UUID) (*ent.OAuthApp, error) {
	a, err := s.db.Ent.OAuthApp.Get(ctx, app)
	if ent.IsNotFound(err) {
		return nil, notFound()
	}
	if err != nil {
		return nil, fmt.Errorf("reading an app: %w", err)
	}
	return a, nil
}

// choices is how many apps are named to a caller who must choose.
const choices = 5

// Resolve returns the app that an operation is to use: the one named, or the only one there is, the tenant's own before
// the shared ones. An empty provider key stands for any provider. The operation has checked its own scope; this one
// needs none. Errors: NOT_FOUND (on app), BAD_USER_INPUT (on app: not of the provider, none, or several to choose from).
func (s *Service) Resolve(ctx context.Context, app *uuid.UUID, providerKey string) (*ent.OAuthApp, error) {
	home, err := acting(ctx)
	if err != nil {
		return nil, err
	}
	if app != nil {
		return s.named(ctx, *app, providerKey)
	}
	for _, owner := range []uuid.UUID{home, tenant.Operator} {
		found, err := s.list(ctx, owner, providerKey)
		switch {
		case err != nil:
			return nil, err
		case len(found) == 1:
			return found[0], nil
		case len(found) > 1:
			return nil, errs.Input("app", "there are several apps%s; name one of them in app: %s", of(providerKey), choose(found))
		}
	}
	return nil, errs.Input("app", "there is no app%s; create one with createOAuthApp first", of(providerKey))
}

// named returns the app of that id.
func (s *Service) named(ctx context.Context, app uuid.UUID, providerKey string) (*ent.OAuthApp, error) {
	a, err := s.read(ctx, app)
	switch {
	case errs.Is(err, errs.NotFound):
		return nil, notFound().WithField("app")
	case err != nil:
		return nil, err
	case providerKey != "" && a.Provider != providerKey:
		return nil, errs.Input("app", "this app is of the provider %s, not %s", a.Provider, providerKey)
	default:
		return a, nil
	}
}

// list returns the owner's oldest apps, one more than are named.
func (s *Service) list(ctx context.Context, owner uuid.UUID, providerKey string) ([]*ent.OAuthApp, error) {
	query := s.db.Ent.OAuthApp.Query().Where(oauthapp.TenantID(owner))
	if providerKey != "" {
		query.Where(oauthapp.Provider(providerKey))
	}
	found, err := query.Order(oauthapp.ByID(sql.OrderAsc())).Limit(choices + 1).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing apps: %w", err)
	}
	return found, nil
}

func of(providerKey string) string {
	if providerKey == "" {
		return ""
	}
	return " of the provider " + providerKey
}

// choose names apps in a sentence.
func choose(found []*ent.OAuthApp) string {
	var names []string
	for i, a := range found {
		if i == choices {
			names = append(names, "or another that the query apps lists")
			break
		}
		names = append(names, fmt.Sprintf("%s (%s)", id.App.Format(a.ID), a.Name))
	}
	return strings.Join(names, ", ")
}

// of returns the app's provider. Errors: APP_MISCONFIGURED where the catalogue lost it.
func (s *Service) of(a *ent.OAuthApp) (provider.Provider, error) {
	p, ok := s.providers.Get(a.Provider)
	if !ok {
		return p, errs.New(errs.AppMisconfigured, "the provider %s of this app is not in the catalogue of this installation", a.Provider)
	}
	return p, nil
}

// known returns the provider that a caller named. Errors: BAD_USER_INPUT with the keys there are.
func (s *Service) known(key string) (provider.Provider, error) {
	const most = 8
	p, ok := s.providers.Get(key)
	if ok {
		return p, nil
	}
	var keys []string
	for _, other := range s.providers.List() {
		keys = append(keys, other.Key)
	}
	if len(keys) > most {
		keys = append(keys[:most], fmt.Sprintf("and %d more that the query providers lists", len(keys)-most))
	}
	return p, errs.Input("provider", "provider is not one of this installation's: choose among %s", strings.Join(keys, ", "))
}
