package connection

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/metadata"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// Bounds of what callers send, in bytes.
const (
	maxSubject  = 512
	maxCode     = 4096
	maxAPIKey   = 16 << 10
	maxUsername = 512
)

// wishes is what a caller wants of a connection beside its grant. It is kept in the attempt row, so that a crash between
// the exchange and the row loses none of it; nil means left out.
type wishes struct {
	Kind           *string            `json:"kind,omitempty"`
	Subject        *string            `json:"subject,omitempty"`
	Metadata       *map[string]string `json:"metadata,omitempty"`
	LocalRecording *bool              `json:"local_recording,omitempty"`
	OnBehalf       *bool              `json:"on_behalf,omitempty"`
	GrantType      string             `json:"grant_type"`
}

// Create takes a grant in. Everything that can be checked is checked before the code is sent, because a code works once.
// created is false where a connection of the same app and external user was renewed: same id, and what the caller left
// out stays as it was. Errors: the caller's, each with the field at fault.
func (s *Service) Create(ctx context.Context, in CreateInput) (c *ent.Connection, created bool, err error) {
	if _, err := audit.Require(ctx, s.db.Ent, tenant.ConnectionsWrite, audit.ConnectionCreate, ""); err != nil {
		return nil, false, err
	}
	if err := in.check(); err != nil {
		return nil, false, err
	}
	a, err := s.apps.Resolve(ctx, in.App, "")
	if err != nil {
		return nil, false, err
	}
	client, err := s.client(ctx, a)
	if err != nil {
		return nil, false, err
	}
	var result grant.Result
	if in.Code != nil {
		result, err = s.createFromCode(ctx, in, a, client)
	} else {
		result, err = s.createFromKey(ctx, in, a, client)
	}
	if err != nil {
		return nil, false, err
	}
	c, err = s.db.Ent.Connection.Query().Where(connection.ID(result.Connection)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, false, errs.New(errs.NotFound, "the connection that this code made was deleted since; send the user through the consent page again").WithField(codeField)
	}
	return c, result.Created, err
}

const codeField = "grant.authorizationCode.code"

func (s *Service) createFromCode(ctx context.Context, in CreateInput, a *ent.OAuthApp, client oauth.App) (grant.Result, error) {
	if !client.Provider.Supports(provider.AuthorizationCode) {
		return grant.Result{}, unsupported(client.Provider, "grant.authorizationCode", "authorization codes")
	}
	if len(a.RedirectUris) > 0 && !slices.Contains(a.RedirectUris, in.Code.RedirectURI) {
		return grant.Result{}, errs.Input("grant.authorizationCode.redirectUri",
			"this redirect URI is not one of the app's: use the one of the consent page's URL, or add it with updateOAuthApp. The code was not used")
	}
	if err := in.checkCapabilities(client.Provider.Identity.Kind == provider.IdentityZoom, client.Provider.Name); err != nil {
		return grant.Result{}, err
	}
	input, err := in.wishes(provider.AuthorizationCode)
	if err != nil {
		return grant.Result{}, err
	}
	return s.keeper.Authorize(ctx, grant.Authorization{
		AppID: a.ID, App: client, Input: input, GrantType: string(provider.AuthorizationCode), Kind: kindOr(in.Kind), Scopes: a.Scopes,
		Code: oauth.Code{Code: in.Code.Code, RedirectURI: in.Code.RedirectURI, Verifier: in.Code.Verifier},
	})
}

func (s *Service) createFromKey(ctx context.Context, in CreateInput, a *ent.OAuthApp, client oauth.App) (grant.Result, error) {
	if !client.Provider.Supports(provider.APIKey) {
		return grant.Result{}, unsupported(client.Provider, "grant.apiKey", "API keys")
	}
	if err := in.checkCapabilities(false, "an API key"); err != nil {
		return grant.Result{}, err
	}
	input, err := in.wishes(provider.APIKey)
	if err != nil {
		return grant.Result{}, err
	}
	return s.keeper.Import(ctx, a.ID, client, string(provider.APIKey), kindOr(in.Kind), in.APIKey.Username, in.APIKey.APIKey, input)
}

// checkCapabilities refuses what only Zoom can give, where it is not Zoom's user who consents.
func (in CreateInput) checkCapabilities(possible bool, source string) error {
	for _, c := range []struct {
		wanted *bool
		of     capability
	}{{in.LocalRecording, localRecording}, {in.OnBehalf, onBehalf}} {
		if !possible && c.wanted != nil && *c.wanted {
			return errs.Input(c.of.field, "%s does not give %s", source, c.of.name)
		}
	}
	return nil
}

func unsupported(p provider.Provider, field, what string) error {
	return errs.Input(field, "%s does not take %s; it takes: %s", p.Name, what, joinGrantTypes(p.GrantTypes))
}

func joinGrantTypes(types []provider.GrantType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return strings.Join(names, ", ")
}

// check finds what is wrong with the input by itself.
func (in CreateInput) check() error {
	switch {
	case in.Code == nil && in.APIKey == nil, in.Code != nil && in.APIKey != nil:
		return errs.Input("grant", "give exactly one grant: authorizationCode or apiKey")
	case in.Code != nil:
		if err := in.Code.check(); err != nil {
			return err
		}
	default:
		if err := in.APIKey.check(); err != nil {
			return err
		}
	}
	if err := checkText("subject", in.Subject, maxSubject); err != nil {
		return err
	}
	if in.Kind != nil && connection.KindValidator(connection.Kind(*in.Kind)) != nil {
		return errs.Input("kind", "a connection is of the kind USER or INSTALLATION")
	}
	if in.Metadata == nil {
		return nil
	}
	return metadata.Validate("metadata", *in.Metadata)
}

func (g CodeGrant) check() error {
	code := g.Code.Reveal()
	switch {
	case strings.TrimSpace(code) == "":
		return errs.Input(codeField, "the authorization code is empty; it is the parameter code of the redirect")
	case len(code) > maxCode, strings.ContainsAny(code, " \t\r\n"), !utf8.ValidString(code):
		return errs.Input(codeField, "this is not an authorization code: pass the parameter code of the redirect as it came, URL-decoded")
	case g.RedirectURI == "":
		return errs.Input("grant.authorizationCode.redirectUri", "the redirect URI is empty; it is the one of the consent page's URL, byte for byte")
	case !g.Verifier.IsZero() && !validVerifier(g.Verifier.Reveal()):
		return errs.Input("grant.authorizationCode.codeVerifier", "a PKCE verifier has 43 to 128 characters from A-Z a-z 0-9 - . _ ~ (RFC 7636 4.1)")
	}
	return nil
}

// validVerifier checks the form of RFC 7636 4.1.
func validVerifier(v string) bool {
	if len(v) < 43 || len(v) > 128 {
		return false
	}
	return strings.Trim(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") == ""
}

func (g APIKeyGrant) check() error {
	key := g.APIKey.Reveal()
	switch {
	case strings.TrimSpace(key) == "":
		return errs.Input("grant.apiKey.apiKey", "the API key is empty")
	case len(key) > maxAPIKey:
		return errs.Input("grant.apiKey.apiKey", "the API key is longer than %d bytes", maxAPIKey)
	case strings.ContainsAny(key, "\r\n\x00") || !utf8.ValidString(key):
		return errs.Input("grant.apiKey.apiKey", "the API key holds a line break or another character that no header can carry")
	case strings.Contains(g.Username, ":"):
		return errs.Input("grant.apiKey.username", "a user name for basic authentication has no colon (RFC 7617 2)")
	}
	return checkText("grant.apiKey.username", &g.Username, maxUsername)
}

// checkText refuses what databases cannot keep.
func checkText(field string, s *string, limit int) error {
	switch {
	case s == nil:
		return nil
	case len(*s) > limit:
		return errs.Input(field, "%s is longer than %d bytes", field, limit)
	case !utf8.ValidString(*s) || strings.ContainsRune(*s, 0):
		return errs.Input(field, "%s is not valid UTF-8 or contains a NUL character", field)
	}
	return nil
}

// wishes encodes what the caller wants.
func (in CreateInput) wishes(t provider.GrantType) (json.RawMessage, error) {
	subject := in.Subject
	if subject != nil && *subject == "" {
		subject = nil
	}
	b, err := json.Marshal(wishes{Kind: in.Kind, Subject: subject, Metadata: in.Metadata,
		LocalRecording: in.LocalRecording, OnBehalf: in.OnBehalf, GrantType: string(t)})
	if err != nil {
		return nil, fmt.Errorf("encoding an input: %w", err)
	}
	return b, nil
}

func kindOr(kind *string) string {
	if kind == nil {
		return connection.KindUSER.String()
	}
	return *kind
}

// client opens the app's credentials and its provider.
func (s *Service) client(ctx context.Context, a *ent.OAuthApp) (oauth.App, error) {
	return s.apps.Credentials(ctx, a)
}

// appRow reads an app without asking for the scope that listing apps takes: whoever may use a connection uses its app.
func (s *Service) appRow(ctx context.Context, appID uuid.UUID) (*ent.OAuthApp, error) {
	a, err := s.db.Ent.OAuthApp.Get(ctx, appID)
	if err != nil {
		return nil, fmt.Errorf("reading the app of a connection: %w", err)
	}
	return a, nil
}
