// Package oauth speaks the OAuth 2.0 protocol on the wire and classifies its outcomes, here and nowhere else.
//
// Mechanism: authorize URLs and PKCE come from golang.org/x/oauth2; requests to a token endpoint are our own POST. Every
// failure is an *Error whose Outcome says what may have happened at the provider: nothing was sent, nobody knows, or the
// provider said a definite thing. Classify is a pure function over the call, the status, the headers and the body.
//
// Reason for our own POST: whether a request was written at all decides whether a refresh token may have been spent, and
// only a trace of the connection tells; a style of client authentication that is probed would send a single-use code
// twice; and unknown fields of an answer must be kept.
//
// Limit: no retries, no locks, no storage. A caller that may not lose an answer (internal/grant) passes a context that
// nobody cancels and stores the TokenSet before anything else.
package oauth

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// App is a client as the provider knows it.
type App struct {
	Provider provider.Provider
	ClientID string
	// ClientSecret is empty for a public client: the client id then travels in the form, without a header.
	ClientSecret secret.Text
}

// Code is an authorization code with what the exchange needs beside it.
type Code struct {
	Code secret.Text
	// RedirectURI is the one of the authorize request, byte for byte (RFC 6749 4.1.3).
	RedirectURI string
	// Verifier is the PKCE verifier; empty where none was used.
	Verifier secret.Text
}

// TokenSet is a token endpoint's answer.
type TokenSet struct {
	AccessToken secret.Text
	// RefreshToken is empty where the answer had none: the one sent stays valid (RFC 6749 6).
	RefreshToken secret.Text
	// TokenType is as the provider wrote it ("bearer", "Bearer"); "bearer" where it wrote nothing.
	TokenType string
	// ExpiresIn is zero where the answer did not say.
	ExpiresIn time.Duration
	// Scopes are those granted. HasScopes is false where the answer did not name any, which means "as asked for" (RFC
	// 6749 5.1); an empty list counts as not naming any.
	Scopes    []string
	HasScopes bool
	// APIURL is the API base the answer named, without trailing slash, if Provider.APIHosts allows it; else empty.
	APIURL string
	// Extra holds the unknown fields of the answer. They may be secret (an id_token): seal them with the set.
	Extra map[string]json.RawMessage
}

// Identity is whose grant it is.
type Identity struct {
	UserID, AccountID, Email, DisplayName string
	// Active is true unless the provider says otherwise; Status is the provider's word for it, if it has one.
	Active bool
	Status string
}

// Options configure a Client. The zero value works.
type Options struct {
	// Transport carries the requests; nil means a copy of http.DefaultTransport, which verifies TLS.
	Transport http.RoundTripper
	// Timeout caps one call, dialling and reading included; zero means 20 seconds.
	Timeout time.Duration
	// Now is the clock that Retry-After dates are compared with; nil means time.Now.
	Now func() time.Time
	// MaxBody caps an answer's body in bytes; zero means 1 MiB. What is longer counts as unreadable.
	MaxBody int64
}

// Client makes calls to providers. It is safe for concurrent use and holds no state but idle connections.
type Client struct {
	http    *http.Client
	timeout time.Duration
	now     func() time.Time
	maxBody int64
}

// New returns a client.
func New(o Options) *Client {
	if o.Transport == nil {
		o.Transport = defaultTransport()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Client{
		http:    &http.Client{Transport: o.Transport, CheckRedirect: stay},
		timeout: cmp.Or(o.Timeout, 20*time.Second),
		now:     o.Now,
		maxBody: cmp.Or(o.MaxBody, 1<<20),
	}
}

// stay keeps the client from following redirects: a form with a token in it goes where it was addressed, or nowhere.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// defaultTransport drops idle connections early. A server that closes one just as we write to it leaves an unknown
// outcome, and common servers wait for a minute.
func defaultTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.IdleConnTimeout = 20 * time.Second
	return t
}

// Exchange redeems an authorization code (RFC 6749 4.1.3); the code is sent exactly once. Failures are *Error.
func (c *Client) Exchange(ctx context.Context, app App, g Code) (TokenSet, error) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {g.Code.Reveal()}}
	if g.RedirectURI != "" {
		form.Set("redirect_uri", g.RedirectURI)
	}
	if !g.Verifier.IsZero() {
		form.Set("code_verifier", g.Verifier.Reveal())
	}
	return c.token(ctx, app, CallExchange, form, g.Code, g.Verifier)
}

// Refresh redeems a refresh token (RFC 6749 6); it is sent exactly once. Failures are *Error.
func (c *Client) Refresh(ctx context.Context, app App, refreshToken secret.Text) (TokenSet, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken.Reveal()}}
	return c.token(ctx, app, CallRefresh, form, refreshToken)
}

// token makes a spending call. The first of the secrets is what is spent.
func (c *Client) token(ctx context.Context, app App, call Call, form url.Values, sent ...secret.Text) (TokenSet, error) {
	if sent[0].IsZero() {
		return TokenSet{}, &Error{Outcome: Rejected, Reason: ReasonProviderError, Message: "There is nothing to send to the provider."}
	}
	r, failed := c.post(ctx, app, call, app.Provider.TokenEndpoint, form)
	if failed != nil {
		return TokenSet{}, failed
	}
	if r.status/100 == 2 {
		if set, err := r.tokens(app.Provider); err == nil {
			return set, nil
		}
	}
	return TokenSet{}, c.classified(call, r, append(sent, app.ClientSecret)...)
}

// tokens decodes the reply. One that was cut off counts where both tokens had arrived.
func (r reply) tokens(p provider.Provider) (TokenSet, error) {
	if r.readErr != nil {
		return decodeFields(p, salvage(withoutBOM(r.body)))
	}
	return DecodeAnswer(p, r.header, r.body)
}

// Revoke revokes a token (RFC 7009). Failures are *Error; the outcome GrantDead then means that the provider does not
// know the token. Where that was an access token which had expired, the grant behind it may still live.
func (c *Client) Revoke(ctx context.Context, app App, token secret.Text, kind provider.TokenKind) error {
	form := url.Values{"token": {token.Reveal()}}
	if kind != "" {
		form.Set("token_type_hint", string(kind))
	}
	r, failed := c.post(ctx, app, CallRevoke, app.Provider.RevocationEndpoint, form)
	if failed != nil {
		return failed
	}
	if r.status/100 == 2 && !decodeRefusal(r.header, r.body).refuses() {
		return nil
	}
	return c.classified(CallRevoke, r, token, app.ClientSecret)
}
