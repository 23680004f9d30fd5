package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// zoomsimCmd is "tokenkeep zoomsim".
type zoomsimCmd struct {
	Listen    string     `default:"127.0.0.1:8090" placeholder:"ADDRESS" help:"Loopback address; port 0 takes a free one (${default})."`
	Client    []string   `sep:"none" placeholder:"ID:SECRET:REDIRECT" help:"An app to register from the start, with its redirect URI; may be given again. It may ask for profile, ZAK, meeting list and meeting tokens."`
	State     string     `placeholder:"FILE" help:"Keep the state in this file for the next start; left out, it is gone when the process ends."`
	JSON      bool       `name:"json" help:"Print one line of JSON with zoom, the address, and nothing else on standard output."`
	LogLevel  slog.Level `default:"warn" placeholder:"LEVEL" help:"debug, info, warn or error (${default}). Logs go to standard error."`
	LogFormat string     `default:"text" enum:"text,json" placeholder:"FORMAT" help:"text or json (${default})."`
}

// Help is what "tokenkeep zoomsim --help" says beside the flags.
func (zoomsimCmd) Help() string {
	return `A Zoom to develop and test against: authorize page, token, revoke, users/me, a ledger of all grants, and faults on
demand. GET /_sim/ lists the control calls, with which apps and users are registered, too; docs/zoomsim.md tells all.
There is no authentication on them, so it listens on loopback only.`
}

// Run serves until the first signal.
func (c *zoomsimCmd) Run(t *terminal, sig signals) error {
	var clients []zoomsim.Client
	for _, text := range c.Client {
		client, err := parseClient(text)
		if err != nil {
			return err
		}
		clients = append(clients, client)
	}
	l, err := listenLoopback(sig.stop, "listen", c.Listen)
	if err != nil {
		return err
	}
	e, err := startEmulator(l, c.State, newLogger(t.err, c.LogLevel, c.LogFormat))
	if err != nil {
		return err
	}
	for _, client := range clients {
		if err := e.PutClient(client); err != nil {
			return errors.Join(fmt.Errorf("--client %s: %w", client.ID, err), e.close())
		}
	}
	if err := c.greet(t, e.url); err != nil {
		return errors.Join(err, e.close())
	}
	<-sig.stop.Done()
	return e.close()
}

func (c *zoomsimCmd) greet(t *terminal, url string) error {
	if c.JSON {
		return printJSON(t.out, map[string]string{"zoom": url})
	}
	_, err := fmt.Fprintf(t.out, "The Zoom emulator is at %s; %s/_sim/ lists its controls. Ctrl-C stops.\n", url, url)
	return err
}

// parseClient reads id:secret:redirect; the redirect URI has colons of its own.
func parseClient(text string) (zoomsim.Client, error) {
	const parts = 3
	part := strings.SplitN(text, ":", parts)
	if len(part) != parts || part[0] == "" || part[1] == "" || part[2] == "" {
		return zoomsim.Client{}, errors.New("a value of --client is not ID:SECRET:REDIRECT, such as my-app:my-secret:http://127.0.0.1:3000/callback")
	}
	return zoomsim.Client{ID: part[0], Secret: part[1], RedirectURIs: []string{part[2]}, Scopes: demoScopes()}, nil
}
