package zoomsim

import (
	"net/http"
	"strings"
	"time"
)

// The grant types that the token endpoint serves.
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
)

// tokenAnswer is the success shape of the token endpoint. Zoom does not say when the refresh token expires.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string `json:"scope"`
	APIURL       string `json:"api_url"`
}

// token serves POST /oauth/token. The whole decision is one step under the lock: of two requests with one code or one
// refresh token, exactly one succeeds.
func (s *Server) token(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	client, refusal := s.state.authenticate(c)
	if refusal != nil {
		return *refusal
	}
	switch c.grantType {
	case grantCode:
		return s.state.exchange(c, client, s.now())
	case grantRefresh:
		return s.state.spendRefresh(c, client, s.now())
	case "":
		return missingGrantType()
	default:
		return unsupportedGrant()
	}
}

// authenticate returns the client whose id and secret the call carries, by HTTP Basic or in its parameters. A header
// of another scheme counts as none, which makes Zoom answer invalid_client.
func (st *state) authenticate(c *call) (Client, *answer) {
	id, secret, basic := c.request.BasicAuth()
	if !basic && !st.switches.BasicOnly {
		id, secret = c.form.Get("client_id"), c.form.Get("client_secret")
	}
	if id == "" || secret == "" {
		a := missingCredentials()
		return Client{}, &a
	}
	client, ok := st.clients[id]
	if !ok || !client.hasSecret(secret) {
		a := wrongCredentials()
		return Client{}, &a
	}
	return client, nil
}

// exchange turns a code into a grant. Only success spends the code: whether a refused attempt burns it at Zoom is not
// known.
func (st *state) exchange(c *call, client Client, now time.Time) answer {
	value := c.form.Get("code")
	if value == "" {
		return missingCode()
	}
	entry, ok := st.codes[digestOf(value)]
	if ok && entry.spent {
		st.totals.Duplicates++
	}
	switch {
	case !ok || entry.spent || entry.clientID != client.ID || reached(entry.expires, now):
		return invalidCode(value)
	case entry.redirectURI != c.form.Get("redirect_uri"):
		return redirectMismatch()
	case !entry.pkce.matches(c.form.Get("code_verifier")):
		return verifierMismatch()
	}
	entry.spent = true
	g, issued := st.beginGrant(entry, now)
	return st.tokens(g, issued, c.base)
}

// spendRefresh rotates a refresh token. Whatever is wrong with it, Zoom's answer is the same.
func (st *state) spendRefresh(c *call, client Client, now time.Time) answer {
	if c.form.Get("refresh_token") == "" {
		st.totals.RefusedRefreshes++
		return missingToken()
	}
	value := digestOf(c.form.Get("refresh_token"))
	token, known := st.refresh[value]
	if !known || token.grant.clientID != client.ID {
		st.totals.RefusedRefreshes++
		return invalidToken()
	}
	g := token.grant
	if value != g.refresh || !g.alive(now) {
		st.totals.RefusedRefreshes++
		g.refused++
		return invalidToken()
	}
	return st.tokens(g, st.rotate(g, now), c.base)
}

// tokens answers with the pair that was just issued for g.
func (st *state) tokens(g *grant, issued pair, apiURL string) answer {
	return jsonAnswer(http.StatusOK, tokenAnswer{
		AccessToken:  issued.access,
		TokenType:    "bearer",
		RefreshToken: issued.refresh,
		ExpiresIn:    st.switches.accessSeconds(),
		Scope:        strings.Join(g.scopes, " "),
		APIURL:       apiURL,
	})
}
