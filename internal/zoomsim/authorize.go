package zoomsim

import (
	"net/url"
	"slices"
	"strings"
)

// defaultLogin is the user the consent page proposes when the request names none.
const defaultLogin = "demo@example.com"

// The values of the consent form's field "decision", and the beginning of the names of its scope checkboxes. Each
// checkbox has a name of its own, so that a client which keeps one value per name loses none.
const (
	decisionGrant   = "grant"
	decisionDecline = "decline"
	allowPrefix     = "allow:"
)

// authorization is an authorize request that may be shown to the user.
type authorization struct {
	client      Client
	redirectURI string
	state       string
	hasState    bool
	pkce        pkce
	login       string // empty: the page asks
}

// showConsent serves GET /oauth/authorize. It changes nothing: a user who is new is created by the grant.
func (s *Server) showConsent(c *call) answer {
	req, refusal := s.authorization(c.form)
	if refusal != nil {
		return *refusal
	}
	return consentPage(req)
}

// decideConsent serves the two forms of the consent page.
func (s *Server) decideConsent(c *call) answer {
	req, refusal := s.authorization(c.form)
	if refusal != nil {
		return *refusal
	}
	switch c.form.Get("decision") {
	case decisionGrant:
		return s.grantConsent(req, c.form)
	case decisionDecline:
		return req.redirect(url.Values{"error": {"access_denied"}}) // inferred: what Decline does was never captured
	default:
		return pageRefusal(4700, "Invalid decision")
	}
}

func (s *Server) grantConsent(req authorization, form url.Values) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, err := s.state.signIn(req.login, s.now())
	if err != nil {
		return pageRefusal(4700, "Invalid login_hint")
	}
	value := s.state.issueCode(code{
		clientID:    req.client.ID,
		userID:      user.ID,
		redirectURI: req.redirectURI,
		scopes:      req.grantedScopes(form),
		pkce:        req.pkce,
	}, s.now())
	return req.redirect(url.Values{"code": {value}})
}

// authorization validates the parameters of an authorize request. Refusals are shown to the user and never redirected.
// "scope" is accepted and ignored: the app's configuration decides. Inferred: all texts but the first two.
func (s *Server) authorization(form url.Values) (authorization, *answer) {
	refuse := func(code int, message string) (authorization, *answer) {
		a := pageRefusal(code, message)
		return authorization{}, &a
	}
	s.mu.Lock()
	client, known := s.state.clients[form.Get("client_id")]
	s.mu.Unlock()
	req := authorization{
		client:      client,
		redirectURI: form.Get("redirect_uri"),
		state:       form.Get("state"),
		hasState:    form.Has("state"),
		pkce:        pkce{challenge: form.Get("code_challenge"), method: form.Get("code_challenge_method")},
		login:       strings.TrimSpace(form.Get("login_hint")),
	}
	switch {
	case !known:
		return refuse(4702, "Invalid client_id: "+form.Get("client_id"))
	case !client.allowsRedirect(req.redirectURI):
		return refuse(4700, "Invalid redirect url")
	case form.Get("response_type") != "code":
		return refuse(4700, "Invalid response_type")
	case !slices.Contains([]string{"", "plain", "S256"}, req.pkce.method):
		return refuse(4700, "Invalid code_challenge_method")
	case req.pkce.method != "" && req.pkce.challenge == "":
		return refuse(4700, "Missing code_challenge")
	}
	if req.login != "" {
		if _, _, err := parseLogin(req.login); err != nil {
			return refuse(4700, "Invalid login_hint")
		}
	}
	return req, nil
}

// grantedScopes are the required scopes and the optional ones left ticked, in the order of the app's configuration.
func (req authorization) grantedScopes(form url.Values) []string {
	granted := req.client.requiredScopes()
	for _, scope := range req.client.OptionalScopes {
		if form.Has(allowPrefix + scope) {
			granted = append(granted, scope)
		}
	}
	return granted
}

// redirect sends the browser back to the app with the result and the request's state, if it had one. A query that the
// redirect URI has already is left as it stands.
func (req authorization) redirect(result url.Values) answer {
	if req.hasState {
		result.Set("state", req.state)
	}
	u, err := url.Parse(req.redirectURI)
	if err != nil { // allowsRedirect parsed it before
		return pageRefusal(4700, "Invalid redirect url")
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += result.Encode()
	a := redirectAnswer(u.String())
	a.header.Set("Referrer-Policy", "no-referrer")
	return a
}

// hidden are the fields that both forms of the page carry, so that a submission needs no cookie and no server state.
func (req authorization) hidden() []field {
	fields := []field{
		{"client_id", req.client.ID},
		{"redirect_uri", req.redirectURI},
		{"response_type", "code"},
	}
	if req.hasState {
		fields = append(fields, field{"state", req.state})
	}
	if req.pkce.challenge != "" {
		fields = append(fields, field{"code_challenge", req.pkce.challenge})
	}
	if req.pkce.method != "" {
		fields = append(fields, field{"code_challenge_method", req.pkce.method})
	}
	if req.login != "" {
		fields = append(fields, field{"login_hint", req.login})
	}
	return fields
}

type field struct{ Name, Value string }
