package tenancy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenancy"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// statement runs a statement with one text parameter on the database, past every rule, as an attacker would who can write it.
func (k *kit) statement(t *testing.T, format string, arg any) {
	t.Helper()
	placeholder := map[string]string{"sqlite3": "?", "postgres": "$1"}[k.db.Dialect]
	res, err := k.db.SQL().ExecContext(t.Context(), fmt.Sprintf(format, placeholder), arg)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("the statement changed %d rows, %v", n, err)
	}
}

// TestRowsThatWereTamperedWithLetNobodyIn: who can write the database can neither move a key to another tenant nor give
// it scopes, time, another id or its life back.
func TestRowsThatWereTamperedWithLetNobodyIn(t *testing.T) {
	attacks := map[string]func(t *testing.T, k *kit, row, victim string){
		"another tenant": func(t *testing.T, k *kit, row, victim string) {
			k.statement(t, "UPDATE api_keys SET tenant_id = '"+victim+"' WHERE id = %s", row)
		},
		"more scopes": func(t *testing.T, k *kit, row, _ string) {
			k.statement(t, `UPDATE api_keys SET scopes = '["TENANT_ADMIN"]' WHERE id = %s`, row)
		},
		"no end": func(t *testing.T, k *kit, row, _ string) {
			k.statement(t, "UPDATE api_keys SET expires_at = NULL WHERE id = %s", row)
		},
		"another id": func(t *testing.T, k *kit, row, _ string) {
			k.statement(t, "UPDATE api_keys SET id = '0192d3a0-0000-7000-8000-000000000001' WHERE id = %s", row)
		},
		"no seal": func(t *testing.T, k *kit, row, _ string) {
			k.statement(t, "UPDATE api_keys SET seal = NULL WHERE id = %s", row)
		},
		"revoked and revived": func(t *testing.T, k *kit, row, _ string) {
			k.statement(t, "UPDATE api_keys SET revoked_at = NULL WHERE revoked_at IS NOT NULL AND id = %s", row)
		},
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, k *kit) {
				victim, _, _ := k.tenant(t, "Victim")
				_, _, admin := k.tenant(t, "Attacker")
				end := k.clock.now().Add(time.Hour)
				row, key, err := k.CreateKey(admin, tenancy.CreateKeyInput{
					Name: "mine", Scopes: []tenant.Scope{tenant.ConnectionsRead, tenant.AppsWrite}, ExpiresAt: &end})
				if err != nil {
					t.Fatal(err)
				}
				for range 2 { // the second is remembered
					if _, err := k.Authenticate(t.Context(), key); err != nil {
						t.Fatalf("before: %v", err)
					}
				}
				if name == "revoked and revived" {
					if _, err := k.RevokeKey(admin, row.ID); err != nil {
						t.Fatal(err)
					}
				}
				attack(t, k, row.ID.String(), victim.ID.String())
				fresh := tenancy.New(tenancy.Options{DB: k.db, Vault: k.vault, Now: k.clock.now})
				defer fresh.Close()
				for who, s := range map[string]*tenancy.Service{"the process that knows the key": k.Service, "another": fresh} {
					if v, err := s.Authenticate(t.Context(), key); asError(err) == nil || asError(err).Kind != errs.Unauthenticated {
						t.Errorf("%s: got %v, %v", who, v, err)
					}
				}
			})
		})
	}
}

// TestAnotherKeysSealIsNoSeal: a seal goes with its own row only.
func TestAnotherKeysSealIsNoSeal(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		_, _, admin := k.tenant(t, "Acme")
		created := func(scope tenant.Scope) (string, secret.Text) {
			row, key, err := k.CreateKey(admin, tenancy.CreateKeyInput{Name: "one", Scopes: []tenant.Scope{scope}})
			if err != nil {
				t.Fatal(err)
			}
			return row.ID.String(), key
		}
		low, key := created(tenant.ConnectionsRead)
		high, _ := created(tenant.TenantAdmin)
		k.statement(t, `UPDATE api_keys SET scopes = '["TENANT_ADMIN"]', seal = (SELECT seal FROM api_keys WHERE id = '`+high+`') WHERE id = %s`, low)
		if v, err := k.Authenticate(t.Context(), key); err == nil {
			t.Errorf("got in with %v", v.Scopes)
		}
	})
}
