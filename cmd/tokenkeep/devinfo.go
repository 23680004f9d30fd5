package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
)

// devInfo is what dev tells about itself. The names are part of the public contract.
type devInfo struct {
	GraphQL     string `json:"graphql"`
	Playground  string `json:"playground"`
	Zoom        string `json:"zoom"`
	APIKey      string `json:"apiKey"`
	OperatorKey string `json:"operatorKey"`
	App         string `json:"app"`
	Tenant      string `json:"tenant"`

	// consent is the address of the emulator's consent page for the demo app.
	consent string
}

// consentURL is where a user of the emulated Zoom lets the demo app in. Afterwards the browser comes back to the
// Playground with the code in the address.
func (d demo) consentURL(c *provider.Catalogue, redirectURI string) (string, error) {
	zoom, _ := c.Get("zoom")
	return oauth.AuthorizeURL(oauth.App{Provider: zoom, ClientID: d.ClientID}, oauth.AuthorizeParams{RedirectURI: redirectURI})
}

// write tells it as one line of JSON, or for people.
func (i devInfo) write(w io.Writer, asJSON bool, data string) error {
	if asJSON {
		return printJSON(w, i)
	}
	_, err := fmt.Fprintf(w, devText, i.Playground, i.GraphQL, i.Zoom, i.APIKey, i.OperatorKey, i.Tenant, i.App, data,
		i.GraphQL, i.APIKey, i.consent)
	return err
}

const devText = `Tokenkeep is running, with everything it needs on this machine.

  Playground    %s
  GraphQL       %s
  Zoom          %s (emulated)
  API key       %s
  Operator key  %s
  Tenant        %s
  App           %s
  Data          %s

Try it:

  curl -s %s -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' -d '{"query":"{ viewer { tenant { name } scopes } connections { totalCount nodes { id state externalEmail } } }"}'

Connect an account of the emulated Zoom: open this page, choose a user and allow; the Playground then opens with the
code filled in.

  %s

Ctrl-C stops. A second start with the same --data finds everything again.
`

// printJSON writes one line.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
