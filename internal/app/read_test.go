package app_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

func TestResolve(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		ctx := as(t, k.one, tenant.ConnectionsWrite)
		resolve := func(app *uuid.UUID, provider string) (uuid.UUID, error) {
			a, err := k.Resolve(ctx, app, provider)
			if err != nil {
				return uuid.Nil, err
			}
			return a.ID, nil
		}
		is := func(got uuid.UUID, err error) func(want uuid.UUID) {
			return func(want uuid.UUID) {
				t.Helper()
				if err != nil || got != want {
					t.Errorf("got %v, %v, want %v", got, err, want)
				}
			}
		}
		_, err := resolve(nil, "")
		fails(t, err, "BAD_USER_INPUT: there is no app; create one with createOAuthApp first (app)")
		_, err = resolve(nil, "zoom")
		fails(t, err, "BAD_USER_INPUT: there is no app of the provider zoom; create one with createOAuthApp first (app)")

		shared := zoom()
		shared.Shared = true
		all := k.create(t, operator(t), shared).ID
		is(resolve(nil, "zoom"))(all)
		is(resolve(&all, "zoom"))(all)

		k.create(t, admin(t, k.other), zoom()) // does not count here
		own := k.create(t, admin(t, k.one), zoom()).ID
		is(resolve(nil, "zoom"))(own)
		is(resolve(nil, ""))(own)
		is(resolve(&all, ""))(all)

		_, err = resolve(&own, "google")
		fails(t, err, "BAD_USER_INPUT: this app is of the provider zoom, not google (app)")
		absent := id.New()
		_, err = resolve(&absent, "zoom")
		fails(t, err, "NOT_FOUND: there is no such app (app)")

		key := k.create(t, admin(t, k.one), app.CreateInput{Provider: "api_key", ClientID: "Weather"}).ID
		is(resolve(nil, "zoom"))(own)
		is(resolve(nil, "api_key"))(key)
		_, err = resolve(nil, "")
		fails(t, err, "BAD_USER_INPUT: there are several apps; name one of them in app: "+
			id.App.Format(own)+" (Zoom), "+id.App.Format(key)+" (API key) (app)")

		for _, name := range []string{"a", "b", "c", "d", "e"} {
			k.create(t, admin(t, k.one), app.CreateInput{Provider: "api_key", ClientID: name, Name: name})
		}
		_, err = resolve(nil, "api_key")
		if !errs.Is(err, errs.BadUserInput) || !strings.Contains(err.Error(), "(d), or another that the query apps lists (app)") {
			t.Errorf("got %v", err)
		}
		_, err = k.Resolve(operator(t), nil, "zoom")
		fails(t, err, "FORBIDDEN: an operator does this inside a tenant: name one in the header Tokenkeep-Tenant")
	})
}
