package tenancy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/tenancy"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

func TestCreateKey(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		made, _, admin := k.tenant(t, "Acme")
		expires := k.clock.now().Add(time.Hour)
		row, text, err := k.CreateKey(admin, tenancy.CreateKeyInput{
			Name: "ci", Scopes: []tenant.Scope{tenant.ConnectionsRead, tenant.CredentialsRead}, ExpiresAt: &expires,
		})
		if err != nil {
			t.Fatal(err)
		}
		if row.TenantID != made.ID || row.Name != "ci" || !row.ExpiresAt.Equal(expires) || !row.CreatedAt.Equal(k.clock.now()) {
			t.Errorf("got %+v", row)
		}
		if plain := text.Reveal(); len(plain) != 52 || !strings.HasPrefix(plain, "tk_") || row.Prefix != plain[:11] {
			t.Errorf("a key of %d characters with the prefix %q", len(plain), row.Prefix)
		}
		v, err := k.Authenticate(t.Context(), text)
		if err != nil {
			t.Fatal(err)
		}
		if v.Tenant != made.ID || v.KeyID != row.ID || v.IsOperator || v.Has(tenant.ConnectionsWrite) || !v.Has(tenant.CredentialsRead) {
			t.Errorf("the key stands for %+v", v)
		}
		if got, want := k.trail(t, made.ID), []string{"apikey.create", "apikey.create"}; !slices.Equal(got, want) {
			t.Errorf("trail: got %v, want %v", got, want)
		}
	})
}

func TestCreateKeyRefuses(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		_, _, admin := k.tenant(t, "Acme")
		now := k.clock.now()
		read := []tenant.Scope{tenant.ConnectionsRead}
		const all = "CONNECTIONS_READ, CONNECTIONS_WRITE, CREDENTIALS_READ, APPS_WRITE, TENANT_ADMIN"
		for _, test := range []struct {
			in   tenancy.CreateKeyInput
			want string
		}{
			{tenancy.CreateKeyInput{Scopes: read}, "BAD_USER_INPUT: name must not be empty (name)"},
			{
				tenancy.CreateKeyInput{Name: "ci"},
				"BAD_USER_INPUT: scopes must not be empty: a key without scopes could do nothing; choose among " + all + " (scopes)",
			},
			{
				tenancy.CreateKeyInput{Name: "ci", Scopes: append(read, "ROOT")},
				"BAD_USER_INPUT: scopes[1] is not a scope; choose among " + all + " (scopes[1])",
			},
			{
				tenancy.CreateKeyInput{Name: "ci", Scopes: append(read, read...)},
				"BAD_USER_INPUT: scopes[1] repeats CONNECTIONS_READ; name every scope once (scopes[1])",
			},
			{
				tenancy.CreateKeyInput{Name: "ci", Scopes: read, ExpiresAt: &now},
				"BAD_USER_INPUT: expiresAt must lie in the future; leave it out for a key that does not expire (expiresAt)",
			},
		} {
			_, _, err := k.CreateKey(admin, test.in)
			fails(t, err, test.want)
		}
	})
}

func TestKeysStayWithinTheirCreatorsScopes(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		made, _, admin := k.tenant(t, "Acme")
		in := func(scopes ...tenant.Scope) tenancy.CreateKeyInput {
			return tenancy.CreateKeyInput{Name: "ci", Scopes: scopes}
		}
		for _, scope := range tenant.Scopes() {
			if _, _, err := k.CreateKey(admin, in(scope)); err != nil {
				t.Errorf("admin gives %s: %v", scope, err)
			}
			_, _, err := k.CreateKey(operator(t, made.ID), in(tenant.ConnectionsRead, scope))
			switch scope {
			case tenant.CredentialsRead, tenant.TenantAdmin:
				fails(t, err, "FORBIDDEN: a key is created within the caller's own scopes, and "+string(scope)+" goes beyond them (scopes[1])")
			case tenant.ConnectionsRead:
				if !errs.Is(err, errs.BadUserInput) {
					t.Errorf("twice the same scope: %v", err)
				}
			default:
				if err != nil {
					t.Errorf("an operator gives %s: %v", scope, err)
				}
			}
		}
		_, plain, err := k.CreateKey(admin, in(tenant.ConnectionsRead, tenant.AppsWrite))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = k.CreateKey(k.as(t, plain), in(tenant.ConnectionsRead))
		fails(t, err, "FORBIDDEN: this API key lacks the scope TENANT_ADMIN")
		refused := slices.DeleteFunc(k.trail(t, made.ID), func(s string) bool { return s != "apikey.create refused" })
		if len(refused) != 3 {
			t.Errorf("%d refusals in the trail, want 3", len(refused))
		}
	})
}

func TestRevokeKey(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		made, _, admin := k.tenant(t, "Acme")
		row, text, err := k.CreateKey(admin, tenancy.CreateKeyInput{Name: "ci", Scopes: []tenant.Scope{tenant.ConnectionsRead}})
		if err != nil {
			t.Fatal(err)
		}
		reader := k.as(t, text)
		_, err = k.RevokeKey(reader, row.ID)
		fails(t, err, "FORBIDDEN: this API key lacks the scope TENANT_ADMIN")

		first, err := k.RevokeKey(admin, row.ID)
		if err != nil || !first.RevokedAt.Equal(k.clock.now()) {
			t.Fatalf("got %+v, %v", first, err)
		}
		if _, err := k.Authenticate(t.Context(), text); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("right after: got %v", err)
		}
		k.clock.advance(time.Hour)
		again, err := k.RevokeKey(admin, row.ID)
		if err != nil || !again.RevokedAt.Equal(*first.RevokedAt) {
			t.Errorf("again: got %+v, %v", again, err)
		}
		want := []string{"apikey.create", "apikey.create", "apikey.revoke refused", "apikey.revoke"}
		if got := k.trail(t, made.ID); !slices.Equal(got, want) {
			t.Errorf("trail: got %v, want %v", got, want)
		}
	})
}

func TestForeignAndAbsentKeysAreTheSame(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		_, mine, admin := k.tenant(t, "Acme")
		_, _, other := k.tenant(t, "Other")
		key := tenant.FromContext(admin).KeyID
		_, foreign := k.RevokeKey(other, key)
		_, absent := k.RevokeKey(other, id.New())
		for _, err := range []error{foreign, absent} {
			if e := asError(err); e == nil || e.Kind != errs.NotFound || e.Message != "there is no such API key" || e.Field != "id" {
				t.Errorf("got %v", err)
			}
		}
		if foreign.Error() != absent.Error() {
			t.Errorf("foreign and absent differ:\n%v\n%v", foreign, absent)
		}
		if _, err := k.Authenticate(t.Context(), mine); err != nil {
			t.Errorf("the key ended: %v", err)
		}
	})
}
