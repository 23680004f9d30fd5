package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What the emulator knows of the app, beside its redirect URI.
const (
	appClient = "bench-client"
	appSecret = "bench-client-secret"
)

// served is "tokenkeep serve" with all that it needs, put together as an operator does.
type served struct {
	*service
	binary string
	dir    string
	// address is the host and port of the API.
	address string
	// settings are the service's environment.
	settings []string
}

// startServe starts PostgreSQL, the emulator and "tokenkeep serve".
func (b *bench) startServe(ctx context.Context, dir string, all []account) (*service, error) {
	return b.startServed(ctx, dir, all, nil)
}

// startServeVault is startServe with HashiCorp Vault.
func (b *bench) startServeVault(ctx context.Context, dir string, all []account) (*service, error) {
	v, err := startVault(ctx, dir)
	if err != nil {
		return &service{}, err
	}
	return b.startServed(ctx, dir, all, v)
}

func (b *bench) startServed(ctx context.Context, dir string, all []account, v *realVault) (*service, error) {
	s := &served{service: &service{client: newClient(b.clients), clientID: appClient, vault: v}, binary: b.binary, dir: dir}
	s.restart = s.startAgain
	if v != nil {
		s.later(func() error { v.server.Close(); return nil })
	}
	p, err := startPostgres(ctx)
	if err != nil {
		return s.service, err
	}
	s.later(p.stop)
	if s.address, err = freeAddress(); err != nil {
		return s.service, err
	}
	s.graphql, s.redirectURI = "http://"+s.address+"/graphql", "http://"+s.address+"/oauth/callback"
	if err := s.emulator(ctx); err != nil {
		return s.service, err
	}
	if err := s.prepare(ctx, p.url); err != nil {
		return s.service, err
	}
	o, err := s.owner()
	if err != nil {
		return s.service, err
	}
	if err := fill(ctx, p.url, o, all, b.progress); err != nil {
		return s.service, err
	}
	return s.service, s.serve(ctx)
}

// emulator starts "tokenkeep zoomsim".
func (s *served) emulator(ctx context.Context) error {
	p, err := start(ctx, s.dir, nil, s.binary, "zoomsim", "--json", "--listen", "127.0.0.1:0",
		"--client", appClient+":"+appSecret+":"+s.redirectURI)
	if err != nil {
		return err
	}
	s.later(p.stop)
	if err := p.awaitLine(); err != nil {
		return err
	}
	var printed struct{ Zoom string }
	err = json.Unmarshal([]byte(p.first), &printed)
	s.zoom = printed.Zoom
	return err
}

// prepare makes keys, tables, a tenant and an app.
func (s *served) prepare(ctx context.Context, database string) error {
	file := func(name string) string { return filepath.Join(s.dir, name) }
	s.settings = []string{
		"TOKENKEEP_LISTEN=" + s.address, "TOKENKEEP_PUBLIC_URL=http://" + s.address, "TOKENKEEP_DATABASE_URL=" + database,
		"TOKENKEEP_OPERATOR_KEY_FILE=" + file("operator.key"), "TOKENKEEP_PROVIDERS_FILE=" + file("providers.json"),
		"TOKENKEEP_OUTBOUND_ALLOW=127.0.0.1", "TOKENKEEP_LOG_LEVEL=warn",
	}
	commands := [][]string{{"operatorkey", "create", file("operator.key")}, {"migrate", "up"}}
	if s.vault != nil {
		s.settings = append(s.settings, s.vault.settings()...)
	} else {
		s.settings = append(s.settings, "TOKENKEEP_VAULT=embedded", "TOKENKEEP_VAULT_FILE="+file("vault.db"), "TOKENKEEP_ROOT_KEY_FILE="+file("root.key"))
		commands = append([][]string{{"rootkey", "create", file("root.key")}}, commands...)
	}
	if err := s.providers(file("providers.json")); err != nil {
		return err
	}
	var made struct{ Tenant, APIKey, App string }
	for _, command := range commands {
		if _, err := s.command(ctx, command...); err != nil {
			return err
		}
	}
	if err := s.made(ctx, &made, "tenant", "create", "Bench", "--json"); err != nil {
		return err
	}
	s.tenant, s.key = made.Tenant, made.APIKey
	err := s.made(ctx, &made, "app", "create", "--json", "--tenant", s.tenant, "--provider", "zoom", "--client-id", appClient,
		"--client-secret-file", "-", "--redirect-uri", s.redirectURI, "--scope", "user:read:user")
	s.app = made.App
	return err
}

// providers points the built-in Zoom at the emulator.
func (s *served) providers(file string) error {
	return writeJSON(file, map[string]any{"providers": []map[string]string{{
		"key": "zoom", "authorizationEndpoint": s.zoom + "/oauth/authorize", "tokenEndpoint": s.zoom + "/oauth/token",
		"revocationEndpoint": s.zoom + "/oauth/revoke", "apiBase": s.zoom,
	}}})
}

// made runs a command that prints JSON.
func (s *served) made(ctx context.Context, into any, args ...string) error {
	out, err := s.command(ctx, args...)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, into)
}

// command runs a subcommand to its end; the client secret is on its standard input for the one that reads it.
func (s *served) command(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.binary, args...) // #nosec G204 -- the bench's own commands
	cmd.Env = append(os.Environ(), s.settings...)
	cmd.Stdin = strings.NewReader(appSecret)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("tokenkeep %s: %w: %s", strings.Join(args, " "), err, &complaint)
	}
	return out, nil
}

// serve starts the service and waits until it is ready.
func (s *served) serve(ctx context.Context, settings ...string) (err error) {
	if s.process, err = start(ctx, s.dir, append(slices.Clone(s.settings), settings...), s.binary, "serve"); err != nil {
		return err
	}
	s.later(s.process.stop)
	slow := time.NewTimer(startTime)
	defer slow.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for !s.ready(ctx) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-slow.C:
			return errors.Join(fmt.Errorf("tokenkeep serve did not become ready: %s", s.process.said()), s.process.stop())
		case <-again.C:
		}
	}
	return nil
}

// startAgain is service.restart.
func (s *served) startAgain(ctx context.Context, settings ...string) error {
	if err := s.process.stop(); err != nil {
		return err
	}
	s.client.CloseIdleConnections()
	return s.serve(ctx, settings...)
}

func (s *served) ready(ctx context.Context) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/readyz", nil)
	if err != nil {
		return false
	}
	response, err := s.client.Do(r)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// freeAddress is an address on loopback that was free a moment ago. The app's redirect URI names it before the service
// listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to cancel: the address is free or it is not
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
