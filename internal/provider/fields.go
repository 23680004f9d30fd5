package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// setter puts a field's value into an entry.
type setter func(p *Provider, raw json.RawMessage) error

// setters are the fields of an entry in an operator's file, besides "key".
func setters() map[string]setter {
	return map[string]setter{
		"name":                        into(func(p *Provider) *string { return &p.Name }),
		"grantTypes":                  setGrantTypes,
		"scopes":                      setScopes,
		"authorizationEndpoint":       into(func(p *Provider) *string { return &p.AuthorizationEndpoint }),
		"tokenEndpoint":               into(func(p *Provider) *string { return &p.TokenEndpoint }),
		"revocationEndpoint":          into(func(p *Provider) *string { return &p.RevocationEndpoint }),
		"deviceAuthorizationEndpoint": into(func(p *Provider) *string { return &p.DeviceAuthorizationEndpoint }),
		"apiBase":                     setAPIBase,
		"apiHosts":                    into(func(p *Provider) *[]string { return &p.APIHosts }),
		"authStyle":                   setAuthStyle,
		"supportsPKCE":                into(func(p *Provider) *bool { return &p.SupportsPKCE }),
		"rotatesRefreshTokens":        into(func(p *Provider) *bool { return &p.RotatesRefreshTokens }),
		"consentEndsOlderGrant":       into(func(p *Provider) *bool { return &p.ConsentEndsOlderGrant }),
		"revocationEndsGrant":         into(func(p *Provider) *bool { return &p.RevocationEndsGrant }),
		"revokeWith":                  oneOf(func(p *Provider) *TokenKind { return &p.RevokeWith }, AccessToken, RefreshToken),
		"reuse":                       oneOf(func(p *Provider) *ReuseBehaviour { return &p.Reuse }, ReuseDead, ReuseWindow, ReuseRevokesFamily),
		"scopeSeparator":              into(func(p *Provider) *string { return &p.ScopeSeparator }),
		"omitsScope":                  into(func(p *Provider) *bool { return &p.OmitsScope }),
		"authorizeParams":             into(func(p *Provider) *map[string]string { return &p.AuthorizeParams }),
		"accessTokenLife":             life(func(p *Provider) *time.Duration { return &p.AccessTokenLife }),
		"refreshTokenLife":            life(func(p *Provider) *time.Duration { return &p.RefreshTokenLife }),
		"keepAlive":                   life(func(p *Provider) *time.Duration { return &p.KeepAlive }),
		"identity":                    setIdentity,
	}
}

// into decodes strictly into one field of the entry. The field is replaced, never merged into: a built-in entry's
// slices and maps are shared.
func into[T any](of func(*Provider) *T) setter {
	return func(p *Provider, raw json.RawMessage) error {
		var v T
		if err := strict(raw, &v); err != nil {
			return err
		}
		*of(p) = v
		return nil
	}
}

// oneOf decodes one of a few words.
func oneOf[T ~string](of func(*Provider) *T, allowed ...T) setter {
	return func(p *Provider, raw json.RawMessage) error {
		var v T
		if err := strict(raw, &v); err != nil {
			return err
		}
		if !slices.Contains(allowed, v) {
			return fmt.Errorf("%q is none of %v", v, allowed)
		}
		*of(p) = v
		return nil
	}
}

// life decodes a duration in Go's notation ("90m", "2160h").
func life(of func(*Provider) *time.Duration) setter {
	return func(p *Provider, raw json.RawMessage) error {
		var text string
		if err := strict(raw, &text); err != nil {
			return err
		}
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return fmt.Errorf("%q is not a duration such as \"1h\" or \"2160h\"", text)
		}
		*of(p) = d
		return nil
	}
}

func setGrantTypes(p *Provider, raw json.RawMessage) error {
	var types []GrantType
	if err := strict(raw, &types); err != nil {
		return err
	}
	for _, t := range types {
		if !slices.Contains(GrantTypes(), t) {
			return fmt.Errorf("%q is none of %v", t, GrantTypes())
		}
	}
	p.GrantTypes = types
	return nil
}

func setScopes(p *Provider, raw json.RawMessage) error {
	var scopes []struct{ Name, Description string }
	if err := strict(raw, &scopes); err != nil {
		return err
	}
	p.Scopes = nil
	for _, s := range scopes {
		if s.Name == "" {
			return errors.New("a scope has no name")
		}
		p.Scopes = append(p.Scopes, Scope(s))
	}
	return nil
}

func setAPIBase(p *Provider, raw json.RawMessage) error {
	var base string
	if err := strict(raw, &base); err != nil {
		return err
	}
	p.APIBase = strings.TrimRight(base, "/")
	return nil
}

func setAuthStyle(p *Provider, raw json.RawMessage) error {
	styles := map[string]oauth2.AuthStyle{"header": oauth2.AuthStyleInHeader, "params": oauth2.AuthStyleInParams}
	var word string
	if err := strict(raw, &word); err != nil {
		return err
	}
	style, ok := styles[word]
	if !ok {
		return fmt.Errorf("%q is neither \"header\" nor \"params\"", word)
	}
	p.AuthStyle = style
	return nil
}

func setIdentity(p *Provider, raw json.RawMessage) error {
	var id struct {
		Kind                                               IdentityKind
		Endpoint                                           string
		UserIDField, EmailField, NameField, AccountIDField string
	}
	if err := strict(raw, &id); err != nil {
		return err
	}
	p.Identity = Identity(id)
	return nil
}

// strict decodes a value and refuses unknown fields and null.
func strict(raw json.RawMessage, to any) error {
	if string(bytes.TrimSpace(raw)) == "null" {
		return errors.New("has no value")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(to)
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		return fmt.Errorf("got a %s where a %s belongs", wrongType.Value, wrongType.Type)
	}
	return err
}
