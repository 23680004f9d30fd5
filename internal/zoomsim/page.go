package zoomsim

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
)

const stylesheetPath = "/oauth/consent.css"

// consentPolicy allows the page its stylesheet and nothing else. It sets no form-action: browsers apply that to the
// redirect after a submission too, and on to wherever the app redirects in turn, which nobody here can know.
const consentPolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"

//go:embed consent.html
var consentHTML string

//go:embed consent.css
var consentCSS []byte

// consentPage renders the page on which the user decides. Its first form grants, its second declines.
func consentPage(req authorization) answer {
	page, err := template.New("consent").Parse(consentHTML)
	if err != nil {
		panic(fmt.Sprintf("zoomsim: parsing the consent page: %v", err)) // it is compiled in
	}
	var body bytes.Buffer
	err = page.Execute(&body, struct {
		App, Login, DefaultLogin, Stylesheet string
		Required, Optional                   []string
		Hidden                               []field
		AllowPrefix, Grant, Decline          string
	}{
		App: req.client.displayName(), Login: req.login, DefaultLogin: defaultLogin, Stylesheet: stylesheetPath,
		Required: req.client.requiredScopes(), Optional: req.client.OptionalScopes,
		Hidden:      req.hidden(),
		AllowPrefix: allowPrefix, Grant: decisionGrant, Decline: decisionDecline,
	})
	if err != nil {
		panic(fmt.Sprintf("zoomsim: rendering the consent page: %v", err))
	}
	a := newAnswer(http.StatusOK, "text/html; charset=utf-8", body.Bytes())
	a.header.Set("Content-Security-Policy", consentPolicy)
	a.header.Set("Referrer-Policy", "no-referrer")
	return a
}

func serveStylesheet(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(consentCSS)
}
