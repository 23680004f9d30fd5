package interop_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// styles are the two ways to send a client secret, each with the client that may use no other.
func styles() map[string]string {
	return map[string]string{headerKey: headerClient, paramsKey: paramsClient}
}

// TestWire drives the OAuth client itself: what each call of it makes of the answers of a server that is not ours.
func TestWire(t *testing.T) {
	s := startServer(t)
	for key, client := range styles() {
		t.Run(key, func(t *testing.T) {
			w := wire{server: s, client: oauth.New(oauth.Options{}), app: oauth.App{
				Provider: entry(t, s, key), ClientID: client, ClientSecret: secret.New(clientSecret),
			}}
			t.Run("a grant's life", w.life)
			t.Run("codes", w.codes)
			t.Run("a wrong secret", w.wrongSecret)
			t.Run("a replayed refresh token", w.replay)
		})
	}
	for _, key := range []string{headerKey, paramsKey} {
		t.Run(key+" without a secret", func(t *testing.T) {
			w := wire{server: s, client: oauth.New(oauth.Options{}), app: oauth.App{Provider: entry(t, s, key), ClientID: publicClient}}
			w.life(t)
		})
	}
}

type wire struct {
	server *server
	client *oauth.Client
	app    oauth.App
}

// code has somebody consent.
func (w wire) code(t *testing.T, account string) oauth.Code {
	t.Helper()
	return consent(t, newPerson(t, account), w.app, allScopes(), "")
}

// grant has somebody consent and exchanges the code.
func (w wire) grant(t *testing.T, account string) oauth.TokenSet {
	t.Helper()
	set, err := w.client.Exchange(t.Context(), w.app, w.code(t, account))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func (w wire) life(t *testing.T) {
	first := w.grant(t, "ada")
	if !first.HasScopes || !slices.Equal(slices.Sorted(slices.Values(first.Scopes)), slices.Sorted(slices.Values(allScopes()))) {
		t.Errorf("got scopes %q, want %q", first.Scopes, allScopes())
	}
	if first.ExpiresIn.Hours() != 1 || first.TokenType != "Bearer" {
		t.Errorf("got a %s token for %s, want a Bearer token for an hour", first.TokenType, first.ExpiresIn)
	}
	who, err := w.client.UserInfo(t.Context(), w.app.Provider, first.AccessToken)
	if want := (oauth.Identity{UserID: "ada", Email: "ada@example.com", DisplayName: "Name of ada", Active: true}); err != nil || who != want {
		t.Errorf("got %+v, %v, want %+v", who, err, want)
	}
	second, err := w.client.Refresh(t.Context(), w.app, first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if second.RefreshToken.IsZero() || second.RefreshToken.Reveal() == first.RefreshToken.Reveal() {
		t.Error("the refresh token was not rotated")
	}
	if err := w.client.Revoke(t.Context(), w.app, second.RefreshToken, w.app.Provider.RevokeWith); err != nil {
		t.Fatal(err)
	}
	_, err = w.client.Refresh(t.Context(), w.app, second.RefreshToken)
	wantOutcome(t, err, oauth.GrantDead)
	_, err = w.client.UserInfo(t.Context(), w.app.Provider, second.AccessToken)
	wantOutcome(t, err, oauth.Unauthorized)
	if err := w.client.Revoke(t.Context(), w.app, second.RefreshToken, w.app.Provider.RevokeWith); err != nil {
		t.Errorf("revoking once more: %v, want no error (RFC 7009 2.2)", err)
	}
}

func (w wire) codes(t *testing.T) {
	spent := w.code(t, "ada")
	if _, err := w.client.Exchange(t.Context(), w.app, spent); err != nil {
		t.Fatal(err)
	}
	bare, twisted := w.code(t, "ada"), w.code(t, "ada")
	bare.Verifier, twisted.Verifier = secret.Text{}, oauth.NewVerifier()
	elsewhere := w.code(t, "ada")
	elsewhere.RedirectURI += "/elsewhere"
	for name, code := range map[string]oauth.Code{"spent": spent, "no verifier": bare, "wrong verifier": twisted, "wrong redirect URI": elsewhere} {
		t.Run(name, func(t *testing.T) {
			_, err := w.client.Exchange(t.Context(), w.app, code)
			wantOutcome(t, err, oauth.CodeRejected)
		})
	}
}

func (w wire) wrongSecret(t *testing.T) {
	code, set := w.code(t, "ada"), w.grant(t, "grace")
	wrong := w.app
	wrong.ClientSecret = secret.New("wrong")
	_, err := w.client.Exchange(t.Context(), wrong, code)
	wantOutcome(t, err, oauth.AppMisconfigured)
	_, err = w.client.Refresh(t.Context(), wrong, set.RefreshToken)
	wantOutcome(t, err, oauth.AppMisconfigured)
	wantOutcome(t, w.client.Revoke(t.Context(), wrong, set.RefreshToken, provider.RefreshToken), oauth.AppMisconfigured)
	if _, err := w.client.Exchange(t.Context(), w.app, code); err != nil {
		t.Errorf("a wrong secret spent the code: %v", err)
	}
	if _, err := w.client.Refresh(t.Context(), w.app, set.RefreshToken); err != nil {
		t.Errorf("a wrong secret spent the refresh token: %v", err)
	}
}

// replay shows that the server does end a grant whose old refresh token comes again; other tests rest on that.
func (w wire) replay(t *testing.T) {
	first := w.grant(t, "ada")
	second, err := w.client.Refresh(t.Context(), w.app, first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	before := w.server.ledger(t).Counts.Reuses
	_, err = w.client.Refresh(t.Context(), w.app, first.RefreshToken)
	wantOutcome(t, err, oauth.GrantDead)
	if got := w.server.ledger(t).Counts.Reuses; got != before+1 {
		t.Errorf("the server counted %d reuses, want %d", got, before+1)
	}
	_, err = w.client.Refresh(t.Context(), w.app, second.RefreshToken)
	wantOutcome(t, err, oauth.GrantDead)
	if _, status := w.server.userinfo(t, second.AccessToken.Reveal()); status != http.StatusUnauthorized {
		t.Errorf("userinfo answered %d for a token of a grant that was ended, want 401", status)
	}
}

func wantOutcome(t *testing.T, err error, want oauth.Outcome) {
	t.Helper()
	if got := oauth.OutcomeOf(err); got != want {
		t.Errorf("got outcome %q (%v), want %q", got, err, want)
	}
}
