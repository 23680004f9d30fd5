package app_test

import (
	"testing"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// process is another process on the same database and vault, with a memory of its own.
func (k *kit) process(t *testing.T, o app.Options) *app.Service {
	o.DB, o.Keys, o.Providers, o.PublicURL = k.db, k.vault, catalogue(), "https://tokens.example.com"
	s := app.New(o)
	t.Cleanup(s.Close)
	return s
}

// opens fails unless the service opens the secret of the app's row as it is now, with that many calls of the vault.
func (k *kit) opens(t *testing.T, s *app.Service, a *ent.OAuthApp, want string, calls int) {
	t.Helper()
	row, err := k.db.Ent.OAuthApp.Get(admin(t, k.one), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	before := k.vault.unwraps
	c, err := s.Credentials(admin(t, k.one), row)
	if err != nil || !c.ClientSecret.Equal(secret.New(want)) {
		t.Errorf("got %v, want %q", err, want)
	}
	if got := k.vault.unwraps - before; got != calls {
		t.Errorf("got %d calls of the vault, want %d", got, calls)
	}
}

// TestSecretsAreRemembered until they change, whoever changes them.
func TestSecretsAreRemembered(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		a, err := k.Create(admin(t, k.one), zoom())
		if err != nil {
			t.Fatal(err)
		}
		k.opens(t, k.Service, a, "hush-hush", 1)
		k.opens(t, k.Service, a, "hush-hush", 0)
		other, changed := k.process(t, app.Options{}), secret.New("changed-elsewhere")
		if _, err := other.Update(admin(t, k.one), app.UpdateInput{ID: a.ID, ClientSecret: &changed}); err != nil {
			t.Fatal(err)
		}
		k.opens(t, k.Service, a, "changed-elsewhere", 1)
		k.opens(t, k.Service, a, "changed-elsewhere", 0)
		for name, o := range map[string]app.Options{"no room": {Secrets: -1}, "no life": {SecretLife: 1}} {
			t.Run(name, func(t *testing.T) {
				s := k.process(t, o)
				k.opens(t, s, a, "changed-elsewhere", 1)
				k.opens(t, s, a, "changed-elsewhere", 1)
			})
		}
	})
}

// TestSecretsAreRememberedForTheirTenant: what one tenant's key opened is nothing to a row that names another tenant's.
func TestSecretsAreRememberedForTheirTenant(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		a, err := k.Create(admin(t, k.one), zoom())
		if err != nil {
			t.Fatal(err)
		}
		k.opens(t, k.Service, a, "hush-hush", 1)
		if c, err := k.Credentials(admin(t, k.other), a); !errs.Is(err, errs.AppMisconfigured) || !c.ClientSecret.IsZero() {
			t.Errorf("another tenant's viewer: got %v, want APP_MISCONFIGURED", err)
		}
	})
}

// TestSecretsAreForgotten with their tenant.
func TestSecretsAreForgotten(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		a, err := k.Create(admin(t, k.one), zoom())
		if err != nil {
			t.Fatal(err)
		}
		k.opens(t, k.Service, a, "hush-hush", 1)
		k.Forget(k.other)
		k.opens(t, k.Service, a, "hush-hush", 0)
		if err := k.vault.DestroyKey(t.Context(), k.one); err != nil {
			t.Fatal(err)
		}
		k.Forget(k.one)
		if c, err := k.Credentials(admin(t, k.one), a); err == nil || !c.ClientSecret.IsZero() {
			t.Error("a secret outlived its tenant's key")
		}
	})
}
