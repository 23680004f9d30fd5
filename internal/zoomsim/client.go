package zoomsim

import (
	"cmp"
	"crypto/subtle"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Client is an app as configured in Zoom's Marketplace.
type Client struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret,omitempty"`
	// Name is shown on the consent page. Empty means the id.
	Name string `json:"name,omitempty"`
	// RedirectURIs are full URLs, compared exactly and case-sensitively, or bare origins ("https://app.example"),
	// which allow every URL of that origin.
	RedirectURIs []string `json:"redirect_uris"`
	// Scopes are granted with every consent, except those that OptionalScopes names too.
	Scopes []string `json:"scopes"`
	// OptionalScopes are granted unless the user unticks them.
	OptionalScopes []string `json:"optional_scopes,omitempty"`
}

// PutClient registers c, or replaces the client with its id. Existing grants keep the scopes they were given.
// The error is ErrInvalid for a missing id or secret or an unusable redirect URI or scope.
func (s *Server) PutClient(c Client) error {
	_, err := s.changeClient(c.ID, func(present *Client) { *present = c })
	return err
}

// changeClient applies change in one step to the client with the id, or to a new one, and returns the result.
func (s *Server) changeClient(id string, change func(*Client)) (Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.state.clients[id].clone()
	c.ID = id
	change(&c)
	if err := c.validate(); err != nil {
		return Client{}, err
	}
	s.state.clients[id] = c.clone()
	return c, nil
}

// Clients returns the registered clients, ordered by id, without their secrets.
func (s *Server) Clients() []Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Client, 0, len(s.state.clients))
	for _, c := range s.state.clients {
		c = c.clone()
		c.Secret = ""
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Client) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func (c Client) clone() Client {
	c.RedirectURIs = slices.Clone(c.RedirectURIs)
	c.Scopes = slices.Clone(c.Scopes)
	c.OptionalScopes = slices.Clone(c.OptionalScopes)
	return c
}

func (c Client) validate() error {
	if c.ID == "" || c.Secret == "" {
		return fmt.Errorf("%w: a client needs client_id and client_secret", ErrInvalid)
	}
	for _, uri := range c.RedirectURIs {
		if u, err := url.Parse(uri); err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.Fragment != "" {
			return fmt.Errorf("%w: redirect URI %q must be absolute, without user or fragment", ErrInvalid, uri)
		}
	}
	for _, scope := range slices.Concat(c.Scopes, c.OptionalScopes) {
		if scope == "" || strings.ContainsAny(scope, " \t\r\n") {
			return fmt.Errorf("%w: scope %q is empty or contains white space", ErrInvalid, scope)
		}
	}
	return nil
}

func (c Client) displayName() string { return cmp.Or(c.Name, c.ID) }

// hasSecret compares without telling by its timing how much was right.
func (c Client) hasSecret(secret string) bool {
	return subtle.ConstantTimeCompare([]byte(c.Secret), []byte(secret)) == 1
}

// requiredScopes are those the user cannot untick.
func (c Client) requiredScopes() []string {
	var required []string
	for _, scope := range c.Scopes {
		if !slices.Contains(c.OptionalScopes, scope) && !slices.Contains(required, scope) {
			required = append(required, scope)
		}
	}
	return required
}

// allowsRedirect reports whether uri equals a registered URL or lies on a registered origin.
func (c Client) allowsRedirect(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	origin := u.Scheme + "://" + u.Host
	return slices.ContainsFunc(c.RedirectURIs, func(entry string) bool {
		return entry == uri || strings.TrimSuffix(entry, "/") == origin
	})
}
