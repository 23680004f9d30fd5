package oauth

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// UserInfo asks an IdentityUserInfo provider whose token it is (OIDC Core 5.3, field names as the provider's entry says).
// A provider without identity yields an active user without a name; Zoom's own call is in internal/zoom. Failures are
// *Error; the outcome Unauthorized means that the access token was refused.
func (c *Client) UserInfo(ctx context.Context, p provider.Provider, accessToken secret.Text) (Identity, error) {
	if p.Identity.Kind == "" || p.Identity.Kind == provider.IdentityNone {
		return Identity{Active: true}, nil
	}
	req, err := http.NewRequest(http.MethodGet, p.Identity.Endpoint, nil)
	if err != nil || p.Identity.Kind != provider.IdentityUserInfo || p.Identity.Endpoint == "" {
		return Identity{}, &Error{Outcome: Rejected, Reason: ReasonProviderError, Message: "The provider has no userinfo endpoint."}
	}
	req.Header.Set("Authorization", "Bearer "+accessToken.Reveal())
	r, failed := c.do(ctx, CallUserInfo, req)
	if failed != nil {
		return Identity{}, failed
	}
	if r.status/100 == 2 && r.readErr == nil {
		if id := DecodeIdentity(p.Identity, r.body); id.UserID != "" {
			return id, nil
		}
	}
	return Identity{}, c.classified(CallUserInfo, r, accessToken)
}

// DecodeIdentity reads a userinfo answer by the field names of the provider's entry. UserID is empty where the answer
// does not name the user.
func DecodeIdentity(rule provider.Identity, body []byte) Identity {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var answer any
	if dec.Decode(&answer) != nil {
		return Identity{}
	}
	return Identity{
		UserID:      at(answer, cmp.Or(rule.UserIDField, "sub")),
		Email:       at(answer, cmp.Or(rule.EmailField, "email")),
		DisplayName: at(answer, cmp.Or(rule.NameField, "name")),
		AccountID:   at(answer, rule.AccountIDField),
		Active:      true,
	}
}

// at returns the string or number at a dotted path, "" where there is none.
func at(v any, path string) string {
	for step := range strings.SplitSeq(path, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = object[step]
	}
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}
