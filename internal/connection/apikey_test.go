package connection_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	entconnection "github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// keep stores an API key.
func (k *kit) keep(a *ent.OAuthApp, username, key string, edit func(*connection.CreateInput)) (*ent.Connection, bool, error) {
	in := connection.CreateInput{App: &a.ID, APIKey: &connection.APIKeyGrant{APIKey: secret.New(key), Username: username}}
	if edit != nil {
		edit(&in)
	}
	return k.Connections.Create(k.one.Ctx, in)
}

func TestAPIKey(t *testing.T) {
	eachWith(t, keys(), func(t *testing.T, k *kit) {
		a := k.App(t, k.one, "keys")
		for _, test := range []struct{ username, tokenType, token string }{
			{"", "bearer", "s3cret"},
			{"ada", "basic", base64.StdEncoding.EncodeToString([]byte("ada:s3cret"))},
		} {
			c, created, err := k.keep(a, test.username, "s3cret", func(in *connection.CreateInput) { in.Subject = ptr("ws-" + test.tokenType) })
			if err != nil || !created || c.GrantType != entconnection.GrantTypeAPI_KEY || c.ExternalUserID != nil || c.NextRefreshAt != nil {
				t.Fatalf("got %+v, created %v, %v", c, created, err)
			}
			k.Clock.Advance(1000 * time.Hour)
			got := k.read(c.ID).Credential
			if got == nil || got.TokenType != test.tokenType || got.AccessToken.Reveal() != test.token || got.ExpiresAt != nil || got.Version != 1 ||
				got.APIURL != "https://api.keys.example" || !got.RevalidateAfter.After(k.Clock.Now()) {
				t.Errorf("got %+v", got)
			}
			_, err = k.Connections.Refresh(k.one.Ctx, c.ID)
			fails(t, err, errs.Conflict, "id")
			if err := k.Connections.Delete(k.one.Ctx, c.ID); err != nil {
				t.Fatal(err)
			}
			if k.read(c.ID).NotConnected == "" {
				t.Error("a deleted key was handed out")
			}
			k.erased(c)
			if n, err := k.DB.Ent.RevocationJob.Query().Count(k.all()); err != nil || n != 0 {
				t.Errorf("%d revocation jobs, %v", n, err)
			}
			k.wantEvents(c.ID, "CREATED", "DELETED")
			if got := k.trail(c.ID); !slices.Equal(got, []string{"connection.create", "connection.delete"}) {
				t.Errorf("got trail %v", got)
			}
		}
	})
}

// erased fails unless the record is destroyed.
func (k *kit) erased(c *ent.Connection) {
	k.t.Helper()
	if _, _, err := k.Vault.Vault.ReadRecord(k.t.Context(), vault.Ref{Tenant: c.TenantID, Connection: c.ID}); err == nil {
		k.t.Error("the record is still there")
	}
}

func TestAPIKeyRefused(t *testing.T) {
	k := local(t, keys())
	a := k.App(t, k.one, "keys")
	for name, test := range map[string]struct {
		username, key, field string
		edit                 func(*connection.CreateInput)
		app                  *ent.OAuthApp
	}{
		"empty":           {"", "  ", "grant.apiKey.apiKey", nil, a},
		"long":            {"", strings.Repeat("x", 17<<10), "grant.apiKey.apiKey", nil, a},
		"line break":      {"", "a\nb", "grant.apiKey.apiKey", nil, a},
		"colon":           {"a:b", "key", "grant.apiKey.username", nil, a},
		"long name":       {strings.Repeat("x", 600), "key", "grant.apiKey.username", nil, a},
		"not for Zoom":    {"", "key", "grant.apiKey", nil, k.one.App},
		"local recording": {"", "key", "isLocalRecordingTokenSupported", func(in *connection.CreateInput) { in.LocalRecording = ptr(true) }, a},
		"on-behalf":       {"", "key", "isOnBehalfTokenSupported", func(in *connection.CreateInput) { in.OnBehalf = ptr(true) }, a},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := k.keep(test.app, test.username, test.key, test.edit)
			fails(t, err, errs.BadUserInput, test.field)
			if err != nil && test.key != "key" && strings.TrimSpace(test.key) != "" && strings.Contains(err.Error(), test.key) {
				t.Error("the error quotes the key")
			}
		})
	}
	_, _, err := k.create("code", func(in *connection.CreateInput) { in.App = &a.ID })
	fails(t, err, errs.BadUserInput, "grant.authorizationCode")
}

// TestAPIKeyWhileTheVaultIsAway keeps nothing half: the key waits in escrow, or the caller is told.
func TestAPIKeyWhileTheVaultIsAway(t *testing.T) {
	eachWith(t, keys(), func(t *testing.T, k *kit) {
		a := k.App(t, k.one, "keys")
		back := k.Vault.Away()
		_, _, err := k.keep(a, "", "s3cret", nil)
		fails(t, err, errs.VaultUnavailable, "")
		back()
		if n, err := k.DB.Ent.GrantLock.Query().Count(k.all()); err != nil || n != 0 {
			t.Errorf("%d locks are left, %v", n, err)
		}
		k.Vault.Before("WriteRecord", func(ctx2 ctx) error { return vault.ErrUnavailable })
		c, created, err := k.keep(a, "", "s3cret", nil)
		if err != nil || !created || !c.Escrowed {
			t.Fatalf("got %+v, created %v, %v", c, created, err)
		}
		k.Vault.Before("WriteRecord", nil)
		if got := k.read(c.ID).Credential; got == nil || got.AccessToken.Reveal() != "s3cret" {
			t.Errorf("got %+v", got)
		}
		k.sweep()
		if row := k.Row(t, c.ID); row.Escrowed {
			t.Error("it still waits")
		}
	})
}
