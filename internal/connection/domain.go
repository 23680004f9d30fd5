package connection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/zoom"
)

// domain is the side of the service that package grant calls.
type domain struct{ *Service }

// App implements grant.Domain.
func (d domain) App(ctx context.Context, appID uuid.UUID) (oauth.App, error) {
	a, err := d.appRow(ctx, appID)
	if err != nil {
		return oauth.App{}, err
	}
	return d.client(ctx, a)
}

// HoldApp implements grant.Domain.
func (d domain) HoldApp(ctx context.Context, tx *ent.Tx, appID uuid.UUID) error {
	return d.apps.Hold(ctx, tx, appID)
}

// Identify implements grant.Domain.
func (d domain) Identify(ctx context.Context, client oauth.App, set grant.TokenSet) (oauth.Identity, error) {
	switch client.Provider.Identity.Kind {
	case provider.IdentityZoom:
		return d.identifyZoom(ctx, client, set)
	case provider.IdentityUserInfo:
		who, err := d.oauth.UserInfo(ctx, client.Provider, set.AccessToken)
		if err != nil {
			return oauth.Identity{}, identityFailure(err)
		}
		return who, nil
	default:
		return oauth.Identity{Active: true}, nil
	}
}

func (d domain) identifyZoom(ctx context.Context, client oauth.App, set grant.TokenSet) (oauth.Identity, error) {
	base := set.APIURL
	if base == "" {
		base = client.Provider.APIBase
	}
	user, err := d.zoom.Me(ctx, base, set.AccessToken)
	who := oauth.Identity{UserID: user.ID, AccountID: user.AccountID, Email: user.Email, DisplayName: user.DisplayName, Active: user.Active(), Status: user.Status}
	if err == nil || (zoom.KindOf(err) == zoom.KindInactive && user.ID != "") {
		if who.UserID == "" {
			return oauth.Identity{}, errs.New(errs.ProviderUnavailable, "the provider's answer did not say whose account it is; repeat the same call, the code is not sent again").WithRetryAfter(5 * time.Second)
		}
		who.Active = err == nil && who.Active
		return who, nil
	}
	return oauth.Identity{}, zoomFailure(err)
}

// zoomFailure turns a failed users/me into the caller's error.
func zoomFailure(err error) error {
	var e *zoom.Error
	if !errors.As(err, &e) {
		return errs.New(errs.ProviderUnavailable, "the provider could not be asked whose account this is").WithRetryAfter(5 * time.Second).WithCause(err)
	}
	switch e.Kind {
	case zoom.KindScopeMissing:
		return errs.New(errs.ReauthorizationRequired, "the app may not read whose account this is: it needs one of these scopes: %s; add it to the app at the provider and let the user consent again",
			strings.Join(e.Scopes, ", ")).WithField(codeField).WithCause(err)
	case zoom.KindUnauthorized, zoom.KindInactive, zoom.KindRejected:
		return errs.New(errs.ProviderRejected, "%s", e.Message).WithField(codeField).WithCause(err)
	default:
		return errs.New(errs.ProviderUnavailable, "the code was exchanged, but the provider cannot be asked for now whose account it is; repeat the same call, the code is not sent again").
			WithRetryAfter(max(e.RetryAfter, 5*time.Second)).WithCause(err)
	}
}

// identityFailure turns a failed userinfo call into the caller's error.
func identityFailure(err error) error {
	switch oauth.OutcomeOf(err) {
	case oauth.Unauthorized, oauth.Rejected:
		return errs.New(errs.ProviderRejected, "the provider does not say whose account this is; does the app ask for the scope that its userinfo endpoint needs?").
			WithField(codeField).WithCause(err)
	default:
		return errs.New(errs.ProviderUnavailable, "the code was exchanged, but the provider cannot be asked for now whose account it is; repeat the same call, the code is not sent again").
			WithRetryAfter(5 * time.Second).WithCause(err)
	}
}

// Existing implements grant.Domain.
func (d domain) Existing(ctx context.Context, appID uuid.UUID, externalUserID string) (*ent.Connection, error) {
	c, err := d.db.Ent.Connection.Query().Where(connection.AppID(appID), connection.ExternalUserID(externalUserID)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, nil
	}
	return c, err
}

// Accept implements grant.Domain: an inactive user, a scope that the app asks for, a capability that was declared.
func (d domain) Accept(ctx context.Context, input json.RawMessage, appID uuid.UUID, who oauth.Identity, scopes []string) (*errs.Error, error) {
	w, err := decodeWishes(input)
	if err != nil {
		return nil, err
	}
	a, err := d.appRow(ctx, appID)
	if err != nil {
		return nil, err
	}
	if !who.Active {
		return errs.New(errs.ProviderRejected, "this user's account at the provider is %s; activate it there and let the user consent again", inactiveWord(who.Status)).WithField(codeField), nil
	}
	if refusal := localRecording.check(w.LocalRecording, scopes); refusal != nil {
		return refusal, nil
	}
	if refusal := onBehalf.check(w.OnBehalf, scopes); refusal != nil {
		return refusal, nil
	}
	if missing := lacking(scopes, a.Scopes); len(missing) > 0 {
		return errs.New(errs.ReauthorizationRequired, "the user has not granted scopes that the app asks for: %s; let the user consent again and leave them ticked", strings.Join(missing, ", ")).
			WithField(codeField), nil
	}
	return nil, nil
}

// inactiveWord is the provider's word for the state, if it is one we know.
func inactiveWord(status string) string {
	if status == "pending" {
		return "pending"
	}
	return "inactive"
}

func decodeWishes(input json.RawMessage) (wishes, error) {
	var w wishes
	if err := json.Unmarshal(input, &w); err != nil {
		return w, fmt.Errorf("decoding a stored input: %w", err)
	}
	return w, nil
}

// Authorized implements grant.Domain.
func (d domain) Authorized(ctx context.Context, tx *ent.Tx, a grant.Authorized) error {
	w, err := decodeWishes(a.Input)
	if err != nil {
		return err
	}
	if a.Existing == nil {
		err = d.insert(ctx, tx, a, w)
	} else {
		err = d.renew(ctx, tx, a, w)
	}
	if err != nil {
		return err
	}
	if err := d.clearApp(ctx, tx, a.AppID); err != nil {
		return err
	}
	p, known := d.catalogue.Get(a.Set.Owner.Provider)
	if !known || !p.ConsentEndsOlderGrant || a.Set.Owner.UserID == "" {
		return nil
	}
	return d.Superseded(ctx, tx, a.Key, a.Connection, a.Set.Owner.ConsentedAt)
}

// superseded is the verdict on a connection whose user consented again elsewhere.
var superseded = grant.Verdict{Disconnect: true, Class: grant.ClassReauthorize, Reason: grant.ReasonSuperseded,
	Message: "The same user connected the same app again elsewhere, which ended this grant. The user must connect again here, or the other connection must be used."}

// Superseded implements grant.Domain. The other connections may be other tenants': each gets its event in its own
// tenant, which tells nothing of the newer consent's.
func (d domain) Superseded(ctx context.Context, tx *ent.Tx, key grant.Key, except uuid.UUID, consentedAt time.Time) error {
	others, err := tx.Connection.Query().
		Where(connection.GrantKey(string(key)), connection.IDNEQ(except), connection.StateEQ(connection.StateCONNECTED), connection.ConsentedAtLT(consentedAt)).
		All(tenant.System(ctx, uuid.Nil))
	if err != nil {
		return fmt.Errorf("looking for superseded connections: %w", err)
	}
	for _, other := range others {
		if err := d.Failed(tenant.System(ctx, other.TenantID), tx, other.ID, superseded); err != nil && !errors.Is(err, grant.ErrGone) {
			return err
		}
	}
	return nil
}
