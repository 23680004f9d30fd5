package tenancy_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

func TestCreateTenant(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		meta := map[string]string{"plan": "gold"}
		made, key, err := k.CreateTenant(operator(t, uuid.Nil), "Acme", meta)
		if err != nil {
			t.Fatal(err)
		}
		if made.Name != "Acme" || !maps.Equal(made.Metadata, meta) || made.KeyVersion != 1 || !made.CreatedAt.Equal(k.clock.now()) {
			t.Errorf("got %+v", made)
		}
		if info, err := k.vault.KeyInfo(t.Context(), made.ID); err != nil || info.Latest != made.KeyVersion {
			t.Errorf("vault key: %+v, %v", info, err)
		}
		v, err := k.Authenticate(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if v.Tenant != made.ID || v.IsOperator || !slices.Equal(v.Scopes, []tenant.Scope{tenant.TenantAdmin}) {
			t.Errorf("the first key stands for %+v", v)
		}
		if got, want := k.trail(t, tenant.Operator), []string{"tenant.create"}; !slices.Equal(got, want) {
			t.Errorf("operator's trail: got %v, want %v", got, want)
		}
		if got, want := k.trail(t, made.ID), []string{"apikey.create"}; !slices.Equal(got, want) {
			t.Errorf("tenant's trail: got %v, want %v", got, want)
		}
	})
}

func TestTenantNames(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		made, _, _ := k.tenant(t, "Acme")
		for _, test := range []struct{ name, want string }{
			{"", "BAD_USER_INPUT: name must not be empty (name)"},
			{" \t", "BAD_USER_INPUT: name must not be empty (name)"},
			{"a\xff", "BAD_USER_INPUT: name is not valid UTF-8 (name)"},
			{strings.Repeat("ä", 201), "BAD_USER_INPUT: name is longer than 200 characters (name)"},
			{"a\nb", "BAD_USER_INPUT: name must not contain line breaks or other control characters (name)"},
		} {
			_, _, err := k.CreateTenant(operator(t, uuid.Nil), test.name, nil)
			fails(t, err, test.want)
			_, err = k.UpdateTenant(operator(t, uuid.Nil), made.ID, &test.name, nil)
			fails(t, err, test.want)
		}
		bad := map[string]string{"": "v"}
		const want = "BAD_USER_INPUT: metadata has an empty key; give every value a name (metadata)"
		_, _, err := k.CreateTenant(operator(t, uuid.Nil), "Acme", bad)
		fails(t, err, want)
		_, err = k.UpdateTenant(operator(t, uuid.Nil), made.ID, nil, &bad)
		fails(t, err, want)
		if _, _, err := k.CreateTenant(operator(t, uuid.Nil), strings.Repeat("ä", 200), nil); err != nil {
			t.Errorf("the longest name: %v", err)
		}
	})
}

func TestUpdateTenant(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		made, _, _ := k.tenant(t, "Acme")
		op := operator(t, uuid.Nil)
		name, meta, none := "Acme Ltd", map[string]string{"a": "b"}, map[string]string{}
		for _, step := range []struct {
			name     *string
			meta     *map[string]string
			wantName string
			wantMeta map[string]string
		}{
			{&name, nil, name, nil}, {nil, &meta, name, meta}, {nil, nil, name, meta}, {nil, &none, name, nil},
		} {
			k.clock.advance(1e9)
			got, err := k.UpdateTenant(op, made.ID, step.name, step.meta)
			if err != nil {
				t.Fatal(err)
			}
			if got.Name != step.wantName || !maps.Equal(got.Metadata, step.wantMeta) || !got.UpdatedAt.Equal(k.clock.now()) {
				t.Errorf("got %+v", got)
			}
		}
		_, err := k.UpdateTenant(op, id.New(), &name, nil)
		if !errs.Is(err, errs.NotFound) {
			t.Errorf("absent: got %v", err)
		}
	})
}

func TestTenantsAreTheOperators(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		made, _, admin := k.tenant(t, "Acme")
		name := "x"
		for _, test := range []struct {
			name string
			ctx  context.Context
			want string
		}{
			{"admin", admin, "FORBIDDEN: only an operator may do this"},
			{"operator inside", operator(t, made.ID), "FORBIDDEN: an operator does this outside of any tenant: leave out the header Tokenkeep-Tenant"},
			{"nobody", t.Context(), "UNAUTHENTICATED: nobody is signed in: send an API key in the header Authorization"},
		} {
			_, _, err := k.CreateTenant(test.ctx, "Other", nil)
			fails(t, err, test.want)
			_, err = k.UpdateTenant(test.ctx, made.ID, &name, nil)
			fails(t, err, test.want)
		}
		refused := []string{"tenant.create refused", "tenant.update refused"}
		if got, want := k.trail(t, made.ID)[1:], append(refused, refused...); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestCreateTenantLeavesNothingBehind(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		k.vault.fail = vault.ErrUnavailable
		_, _, err := k.CreateTenant(operator(t, uuid.Nil), "Acme", nil)
		if !errs.Is(err, errs.VaultUnavailable) {
			t.Errorf("vault away: got %v", err)
		}
		k.vault.fail = nil

		crash := errors.New("disk full")
		k.db.Ent.APIKey.Use(func(ent.Mutator) ent.Mutator {
			return ent.MutateFunc(func(context.Context, ent.Mutation) (ent.Value, error) { return nil, crash })
		})
		if _, _, err := k.CreateTenant(operator(t, uuid.Nil), "Acme", nil); !errors.Is(err, crash) {
			t.Errorf("crash: got %v", err)
		}
		if n, err := k.db.Ent.Tenant.Query().Count(operator(t, uuid.Nil)); n != 0 || err != nil {
			t.Errorf("%d tenants, %v", n, err)
		}
		if got := k.trail(t, uuid.Nil); len(got) != 0 {
			t.Errorf("the trail tells of %v", got)
		}
	})
}
