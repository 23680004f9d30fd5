package app

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// Bounds: characters of a name, bytes of all others, entries of lists.
const (
	maxName     = 200
	maxClientID = 512
	maxSecret   = 4096
	maxURL      = 2048
	maxScope    = 256
	maxURLs     = 20
	maxScopes   = 200
)

// check checks a new app of the provider. Errors: BAD_USER_INPUT on the first field that is wrong.
func (in CreateInput) check(p provider.Provider) error {
	return firstError(
		checkName("name", in.Name),
		checkClientID(p, in.ClientID),
		checkClientSecret(p, in.ClientSecret),
		checkList("redirectUris", in.RedirectURIs, maxURLs, checkURL),
		checkList("returnTo", in.ReturnTo, maxURLs, checkURL),
		checkList("scopes", in.Scopes, maxScopes, checkScope),
		checkSecret("webhookSecret", in.WebhookSecret),
	)
}

// check checks a change to an app of the provider. Errors: BAD_USER_INPUT on the first field that is wrong.
func (in UpdateInput) check(p provider.Provider) error {
	var all []error
	if in.Name != nil {
		all = append(all, checkName("name", *in.Name))
	}
	if in.ClientSecret != nil {
		all = append(all, checkClientSecret(p, *in.ClientSecret))
	}
	if in.RedirectURIs != nil {
		all = append(all, checkList("redirectUris", *in.RedirectURIs, maxURLs, checkURL))
	}
	if in.ReturnTo != nil {
		all = append(all, checkList("returnTo", *in.ReturnTo, maxURLs, checkURL))
	}
	if in.Scopes != nil {
		all = append(all, checkList("scopes", *in.Scopes, maxScopes, checkScope))
	}
	if in.WebhookSecret != nil {
		all = append(all, checkSecret("webhookSecret", *in.WebhookSecret))
	}
	return firstError(all...)
}

// checkName checks a name that people read.
func checkName(field, name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return errs.Input(field, "%s must not be empty", field)
	case !utf8.ValidString(name):
		return errs.Input(field, "%s is not valid UTF-8", field)
	case utf8.RuneCountInString(name) > maxName:
		return errs.Input(field, "%s is longer than %d characters", field, maxName)
	case strings.ContainsFunc(name, unicode.IsControl):
		return errs.Input(field, "%s must not contain line breaks or other control characters", field)
	default:
		return nil
	}
}

// checkClientID checks a client id (RFC 6749 appendix A.1, without the space that only copying brings). Where API keys
// are kept there is no client, and it is just a name.
func checkClientID(p provider.Provider, clientID string) error {
	const field = "clientId"
	switch {
	case onlyKeys(p):
		return checkName(field, clientID)
	case clientID == "":
		return errs.Input(field, "clientId must not be empty; %s shows it on the page of your app", p.Name)
	case len(clientID) > maxClientID:
		return errs.Input(field, "clientId is longer than %d bytes", maxClientID)
	default:
		return checkVisible(field, clientID)
	}
}

// checkClientSecret checks a client secret and that there is one where the provider has no use for a client without.
func checkClientSecret(p provider.Provider, text secret.Text) error {
	if text.IsZero() && needsSecret(p) {
		return errs.Input("clientSecret", "clientSecret must not be empty: %s does not take clients without one", p.Name)
	}
	return checkSecret("clientSecret", text)
}

// needsSecret reports whether a client of the provider must have a secret: where grants rest on the client alone
// (RFC 6749 4.4), and where there is neither PKCE nor the device flow to protect a public client.
func needsSecret(p provider.Provider) bool {
	switch {
	case onlyKeys(p):
		return false
	case p.Supports(provider.ClientCredentials), p.Supports(provider.AccountCredentials):
		return true
	default:
		return !p.SupportsPKCE && !p.Supports(provider.DeviceCode)
	}
}

// onlyKeys reports whether the provider stands for services that hand out fixed keys.
func onlyKeys(p provider.Provider) bool {
	return !slices.ContainsFunc(p.GrantTypes, func(g provider.GrantType) bool { return g != provider.APIKey })
}

// checkSecret checks a secret that may be empty (RFC 6749 appendix A.2). The sentences never contain any of it.
func checkSecret(field string, text secret.Text) error {
	if len(text.Reveal()) > maxSecret {
		return errs.Input(field, "%s is longer than %d bytes", field, maxSecret)
	}
	return checkVisible(field, text.Reveal())
}

// checkVisible refuses what copying brings along.
func checkVisible(field, text string) error {
	switch {
	case strings.ContainsFunc(text, unicode.IsSpace):
		return errs.Input(field, "%s must not contain spaces or line breaks; copy it again", field)
	case strings.ContainsFunc(text, func(r rune) bool { return r < '!' || r > '~' }):
		return errs.Input(field, "%s may only contain visible ASCII characters; copy it again", field)
	default:
		return nil
	}
}

// checkScope checks a scope-token (RFC 6749 3.3).
func checkScope(field, scope string) error {
	switch {
	case scope == "":
		return errs.Input(field, "%s must not be empty", field)
	case len(scope) > maxScope:
		return errs.Input(field, "%s is longer than %d bytes", field, maxScope)
	case strings.ContainsFunc(scope, unicode.IsSpace):
		return errs.Input(field, "%s contains a space; give every scope an entry of its own", field)
	case strings.ContainsFunc(scope, func(r rune) bool { return r < '!' || r > '~' || r == '"' || r == '\\' }):
		return errs.Input(field, "%s contains a character that no scope has; visible ASCII without quote and backslash is allowed", field)
	default:
		return nil
	}
}

// checkList checks the length of a list, its entries and that none repeats.
func checkList(field string, list []string, most int, check func(field, entry string) error) error {
	if len(list) > most {
		return errs.Input(field, "%s has %d entries; %d is the most", field, len(list), most)
	}
	for i, entry := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		if err := check(at, entry); err != nil {
			return err
		}
		if first := slices.Index(list, entry); first < i {
			return errs.Input(at, "%s repeats %s[%d]", at, field, first)
		}
	}
	return nil
}

// firstError returns the first error there is.
func firstError(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}
