package tenancy_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"entgo.io/ent"
	"github.com/google/uuid"

	enttenant "github.com/tokenkeep/tokenkeep/ent/tenant"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenancy"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// asError returns the error that a caller would see.
func asError(err error) *errs.Error {
	var e *errs.Error
	errors.As(err, &e)
	return e
}

func TestAuthenticateRefusesAllAlike(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		_, _, admin := k.tenant(t, "Acme")
		scopes := []tenant.Scope{tenant.ConnectionsRead}
		key := func(expires *time.Time) (uuid.UUID, secret.Text) {
			row, text, err := k.CreateKey(admin, tenancy.CreateKeyInput{Name: "ci", Scopes: scopes, ExpiresAt: expires})
			if err != nil {
				t.Fatal(err)
			}
			return row.ID, text
		}
		soon := k.clock.now().Add(time.Minute)
		_, expired := key(&soon)
		if _, err := k.Authenticate(t.Context(), expired); err != nil {
			t.Errorf("before it expires: %v", err)
		}
		k.clock.advance(time.Minute)
		revokedID, revoked := key(nil)
		if _, err := k.RevokeKey(admin, revokedID); err != nil {
			t.Fatal(err)
		}
		_, valid := key(nil)
		text := valid.Reveal()
		tampered := text[:3] + strings.ToLower(text[3:40]) + text[40:]

		suspended, ofSuspended, _ := k.tenant(t, "Suspended")
		system := tenant.System(t.Context(), suspended.ID)
		if err := k.db.Ent.Tenant.UpdateOneID(suspended.ID).SetState(enttenant.StateSUSPENDED).Exec(system); err != nil {
			t.Fatal(err)
		}

		const want = "UNAUTHENTICATED: the API key is not valid; send a current one in the header Authorization"
		for name, presented := range map[string]secret.Text{
			"empty": {}, "expired": expired, "revoked": revoked, "of a suspended tenant": ofSuspended,
			"unknown": k.foreignKey(t), "tampered": secret.New(tampered), "cut": secret.New(text[:51]), "long": secret.New(text + "0"),
			"other prefix": secret.New("tk-" + text[3:]), "operator's of another": otherOperator(t), "operator prefix": secret.New("tko_"),
			"spaces": secret.New(" " + text), "NUL": secret.New(text[:20] + "\x00" + text[21:]),
		} {
			v, err := k.Authenticate(t.Context(), presented)
			if v != nil || err == nil || err.Error() != want {
				t.Errorf("%s: got %v, %v", name, v, err)
			}
		}
		if _, err := k.Authenticate(t.Context(), valid); err != nil {
			t.Errorf("the valid one: %v", err)
		}
	})
}

// foreignKey is a key of an installation with the same database and another vault, and so with another pepper.
func (k *kit) foreignKey(t *testing.T) secret.Text {
	t.Helper()
	elsewhere := tenancy.New(tenancy.Options{DB: k.db, Vault: openVault(t)})
	_, key, err := elsewhere.CreateTenant(operator(t, uuid.Nil), "Elsewhere", nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func otherOperator(t *testing.T) secret.Text {
	t.Helper()
	key, err := tenancy.CreateOperatorKey(t.TempDir() + "/operator")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAuthenticateOperator(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		made, _, admin := k.tenant(t, "Acme")
		v, err := k.Authenticate(t.Context(), k.operatorKey)
		if err != nil || !v.IsOperator || v.Tenant != uuid.Nil || v.Has(tenant.ConnectionsRead) {
			t.Fatalf("got %+v, %v", v, err)
		}
		inside, err := k.ActIn(t.Context(), v, made.ID)
		if err != nil || inside.Tenant != made.ID || !inside.Has(tenant.ConnectionsRead) || inside.Has(tenant.CredentialsRead) {
			t.Errorf("inside: got %+v, %v", inside, err)
		}
		_, err = k.ActIn(t.Context(), v, id.New())
		fails(t, err, "NOT_FOUND: there is no such tenant")

		other, _, _ := k.tenant(t, "Other")
		caller := tenant.FromContext(admin)
		if own, err := k.ActIn(t.Context(), caller, made.ID); own != caller || err != nil {
			t.Errorf("a key in its own tenant: %v, %v", own, err)
		}
		for _, not := range []uuid.UUID{other.ID, id.New()} {
			_, err := k.ActIn(t.Context(), caller, not)
			fails(t, err, "NOT_FOUND: there is no such tenant")
		}
	})
}

func TestAuthenticateIsOneReadAndNoCallOfTheVault(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		_, key, _ := k.tenant(t, "Acme")
		var mu sync.Mutex
		reads := 0
		k.db.Ent.Intercept(ent.TraverseFunc(func(context.Context, ent.Query) error {
			mu.Lock()
			defer mu.Unlock()
			reads++
			return nil
		}))
		before := k.vault.macs
		for range 10 {
			if _, err := k.Authenticate(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		if reads != 0 || k.vault.macs != before { // ent has no part in the one read
			t.Errorf("ten requests made %d reads beside those of the key and asked the vault %d times", reads, k.vault.macs-before)
		}
		unknown := k.foreignKey(t)
		for range 3 {
			_, _ = k.Authenticate(t.Context(), unknown)
		}
		if got := k.vault.macs - before; got != 3 {
			t.Errorf("an unknown key was remembered: the vault was asked %d times of 3", got)
		}
	})
}

func TestAuthenticateWithoutTheVault(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		_, known, _ := k.tenant(t, "Acme")
		for _, test := range []struct {
			cause error
			want  errs.Kind
		}{
			{vault.ErrUnavailable, errs.VaultUnavailable}, {context.DeadlineExceeded, errs.VaultUnavailable}, {vault.ErrDenied, errs.VaultUnavailable},
		} {
			k.vault.fail = test.cause
			_, err := k.Authenticate(t.Context(), k.foreignKey(t))
			if !errs.Is(err, test.want) || !errors.Is(err, test.cause) {
				t.Errorf("%v: got %v", test.cause, err)
			}
			if e := asError(err); e != nil && e.RetryAfter <= 0 {
				t.Errorf("%v: the caller is not told when to come back", test.cause)
			}
			if _, err := k.Authenticate(t.Context(), known); err != nil {
				t.Errorf("a key that proved valid before: %v", err)
			}
		}
	})
}

func TestLastUse(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		_, key, ctx := k.tenant(t, "Acme")
		id := tenant.FromContext(ctx).KeyID
		k.Close() // the first use is written; from now on this one writes nothing
		at := func() time.Time {
			row, err := k.db.Ent.APIKey.Get(ctx, id)
			if err != nil || row.LastUsedAt == nil {
				t.Fatalf("got %+v, %v", row, err)
			}
			return row.LastUsedAt.UTC()
		}
		first := k.clock.now()
		for _, step := range []struct {
			later time.Duration
			want  time.Time
		}{
			{0, first}, {59 * time.Second, first}, {time.Second, first.Add(time.Minute)}, {time.Second, first.Add(time.Minute)},
			{time.Hour, first.Add(time.Hour + 61*time.Second)},
		} {
			k.clock.advance(step.later)
			s := tenancy.New(tenancy.Options{DB: k.db, Vault: k.vault, Now: k.clock.now})
			for range 3 {
				if _, err := s.Authenticate(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
			s.Close()
			if got := at(); !got.Equal(step.want) {
				t.Errorf("got %v, want %v", got, step.want)
			}
		}
	})
}

func TestManyCallersAtOnce(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		_, key, _ := k.tenant(t, "Acme")
		var callers sync.WaitGroup
		for range 16 {
			callers.Go(func() {
				for range 10 {
					if _, err := k.Authenticate(context.Background(), key); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		callers.Wait()
	})
}

// Two replicas that both saw an old time of last use write once.
func TestLastUseIsWrittenByOneReplica(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		_, key, ctx := k.tenant(t, "Acme")
		k.Close()
		k.clock.advance(time.Hour)
		early := k.clock.now()
		slow := tenancy.New(tenancy.Options{DB: k.db, Vault: k.vault, Now: func() time.Time { return early.Add(30 * time.Second) }})
		var once sync.Once
		k.db.Ent.APIKey.Use(func(next ent.Mutator) ent.Mutator {
			return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
				once.Do(func() { // the other replica comes first
					_, err := k.db.SQL().ExecContext(ctx, "UPDATE api_keys SET last_used_at = "+map[string]string{"sqlite3": "?", "postgres": "$1"}[k.db.Dialect], early)
					if err != nil {
						t.Error(err)
					}
				})
				return next.Mutate(ctx, m)
			})
		})
		if _, err := slow.Authenticate(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		slow.Close()
		row, err := k.db.Ent.APIKey.Get(ctx, tenant.FromContext(ctx).KeyID)
		if err != nil || !row.LastUsedAt.Equal(early) {
			t.Errorf("got %v, %v, want %v", row.LastUsedAt, err, early)
		}
	})
}
