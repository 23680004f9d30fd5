package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/oauth2"
)

var keyPattern = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// entry decodes one entry on top of the built-in one of its key, if there is one, and checks the result. seen collects
// the keys of the file.
func (c *Catalogue) entry(raw json.RawMessage, seen map[string]bool) (Provider, *FileError) {
	fields, err := object(raw)
	if err != nil {
		return Provider{}, &FileError{Cause: err}
	}
	key, err := entryKey(fields)
	if err != nil {
		return Provider{}, &FileError{Field: "key", Cause: err}
	}
	if seen[key] {
		return Provider{}, &FileError{Entry: key, Field: "key", Cause: errors.New("comes twice in this file")}
	}
	seen[key] = true
	p, known := c.Get(key)
	if !known {
		p = Provider{Key: key, Name: key, GrantTypes: []GrantType{AuthorizationCode}}
	}
	for _, f := range fields {
		if name, err := apply(&p, f); err != nil {
			return Provider{}, &FileError{Entry: key, Field: name, Cause: err}
		}
	}
	if name, err := p.check(); err != nil {
		return Provider{}, &FileError{Entry: key, Field: name, Cause: err}
	}
	return p, nil
}

func entryKey(fields []field) (string, error) {
	i := slices.IndexFunc(fields, func(f field) bool { return f.name == "key" })
	if i < 0 {
		return "", errors.New("is missing")
	}
	var key string
	if err := strict(fields[i].value, &key); err != nil {
		return "", err
	}
	if !keyPattern.MatchString(key) {
		return "", fmt.Errorf("%q is not a lower-case letter with letters, digits, \"_\" and \"-\" behind it", key)
	}
	return key, nil
}

func apply(p *Provider, f field) (string, error) {
	if f.name == "key" {
		return "", nil
	}
	set, ok := setters()[f.name]
	if !ok {
		return f.name, errors.New("is unknown")
	}
	return f.name, set(p, f.value)
}

// check reports the first field that keeps the entry from working.
func (p Provider) check() (string, error) {
	for _, f := range p.addresses() {
		if f.value == "" && f.needed {
			return f.name, errors.New("is missing")
		}
		if err := checkURL(f.value); err != nil {
			return f.name, err
		}
	}
	return p.checkRest()
}

func (p Provider) checkRest() (string, error) {
	switch {
	case len(p.GrantTypes) == 0:
		return "grantTypes", errors.New("is empty")
	case p.Name == "":
		return "name", errors.New("is empty")
	case p.TokenEndpoint != "" && p.AuthStyle != oauth2.AuthStyleInHeader && p.AuthStyle != oauth2.AuthStyleInParams:
		return "authStyle", errors.New("is missing: \"header\" or \"params\"; it is never guessed, for guessing sends a code twice")
	case p.RefreshTokenLife > 0 && p.KeepAlive >= p.RefreshTokenLife:
		return "keepAlive", fmt.Errorf("%v is not inside refreshTokenLife (%v): the refresh token would end first", p.KeepAlive, p.RefreshTokenLife)
	case p.RevocationEndpoint != "" && p.RevokeWith == "":
		return "revokeWith", errors.New("is missing: \"access_token\" or \"refresh_token\"")
	case !slices.Contains([]IdentityKind{"", IdentityNone, IdentityZoom, IdentityUserInfo}, p.Identity.Kind):
		return "identity", fmt.Errorf("kind %q is none of \"none\", \"zoom\" and \"userinfo\"", p.Identity.Kind)
	}
	for _, h := range p.APIHosts {
		if err := checkHost(h); err != nil {
			return "apiHosts", err
		}
	}
	return "", nil
}

// address is a field that holds a URL.
type address struct {
	name, value string
	needed      bool
}

func (p Provider) addresses() []address {
	device := p.Supports(DeviceCode)
	code := p.Supports(AuthorizationCode)
	token := code || device || p.Supports(AccountCredentials) || p.Supports(ClientCredentials)
	return []address{
		{"authorizationEndpoint", p.AuthorizationEndpoint, code},
		{"tokenEndpoint", p.TokenEndpoint, token},
		{"deviceAuthorizationEndpoint", p.DeviceAuthorizationEndpoint, device},
		{"revocationEndpoint", p.RevocationEndpoint, false},
		{"apiBase", p.APIBase, p.Identity.Kind == IdentityZoom},
		{"identity.endpoint", p.Identity.Endpoint, p.Identity.Kind == IdentityUserInfo},
	}
}

// checkURL accepts https, and http to this machine only. An empty value is fine.
func checkURL(value string) error {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return fmt.Errorf("%q is not an absolute URL", value)
	case u.User != nil || u.Fragment != "":
		return errors.New("must not carry a user name or a fragment")
	case u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%q is not https; plain http is for loopback addresses only", value)
}

// isLoopback reports whether host is this machine: localhost, a name below it, 127.0.0.0/8 or ::1.
func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func checkHost(pattern string) error {
	host := strings.TrimPrefix(pattern, "*.")
	if host == "" || strings.ContainsAny(host, "*/:@ ") || !strings.Contains(host, ".") {
		return fmt.Errorf("%q is not a host name such as \"api.example.com\" or \"*.example.com\"", pattern)
	}
	return nil
}
