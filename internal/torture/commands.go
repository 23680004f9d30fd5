package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

const sigkill = syscall.SIGKILL

// build builds the service, unless there is one already.
func (w *world) build(ctx context.Context) error {
	w.binary = w.options.binary
	if w.binary != "" {
		return nil
	}
	w.binary = w.file("tokenkeep")
	args := []string{"build", "-o", w.binary}
	if w.options.race {
		args = append(args, "-race")
	}
	clock, err := w.clockOverlay(ctx)
	if err != nil {
		return err
	}
	args = append(append(args, clock...), "github.com/tokenkeep/tokenkeep/cmd/tokenkeep")
	w.say("building the service: go %s", strings.Join(args, " "))
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput() // #nosec G204 -- a path of its own
	if err != nil {
		return fmt.Errorf("building the service: %w: %s", err, out)
	}
	return nil
}

// prepare makes keys, tables, tenants and apps, with the program's own commands.
func (w *world) prepare(ctx context.Context) error {
	w.settings = []string{"TOKENKEEP_DATABASE_URL=" + w.database, "TOKENKEEP_OPERATOR_KEY_FILE=" + w.file("operator.key")}
	steps := [][]string{{"operatorkey", "create", w.file("operator.key")}, {"migrate", "up"}}
	if w.mode == modeSQLite {
		w.settings = append(w.settings, "TOKENKEEP_VAULT=embedded", "TOKENKEEP_VAULT_FILE="+w.file("vault.db"), "TOKENKEEP_ROOT_KEY_FILE="+w.file("root.key"))
		steps = append(steps, []string{"rootkey", "create", w.file("root.key")})
	} else {
		w.settings = append(w.settings, "TOKENKEEP_VAULT=hashicorp", "VAULT_ADDR="+w.vault.Address(), "VAULT_TOKEN="+w.vault.Token())
	}
	for _, step := range steps {
		if _, err := w.command(ctx, "", step...); err != nil {
			return err
		}
	}
	if err := w.keyFiles(); err != nil {
		return err
	}
	for n := range w.options.tenants {
		if err := w.newTenant(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// keyFiles reads the keys that were made, to look for them in logs.
func (w *world) keyFiles() error {
	for _, name := range []string{"operator.key", "root.key"} {
		key, err := os.ReadFile(w.file(name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		text := strings.TrimSpace(string(key))
		w.ledger.secret(name, text)
		if name == "operator.key" {
			w.operator = text
		}
	}
	return nil
}

// newTenant makes a tenant with an app that the emulator knows.
func (w *world) newTenant(ctx context.Context, n int) error {
	t := &tenantOf{n: n, clientID: fmt.Sprintf("torture-client-%d", n)}
	secret := randomText()
	err := w.sim.PutClient(zoomsim.Client{ID: t.clientID, Secret: secret, RedirectURIs: []string{redirectURI}, Scopes: []string{"user:read:user"}})
	if err != nil {
		return err
	}
	var made struct{ Tenant, APIKey, App string }
	if err := w.made(ctx, &made, "", "tenant", "create", "--json", fmt.Sprintf("Tenant %d", n)); err != nil {
		return err
	}
	t.id, t.key = made.Tenant, made.APIKey
	err = w.made(ctx, &made, secret, "app", "create", "--json", "--tenant", t.id, "--provider", "zoom", "--client-id", t.clientID,
		"--client-secret-file", "-", "--redirect-uri", redirectURI, "--scope", "user:read:user")
	t.app = made.App
	w.ledger.secret("client secret", secret)
	w.ledger.secret("API key", t.key)
	w.tenants = append(w.tenants, t)
	return err
}

// redirectURI is where consents lead; nobody listens there, the harness reads the code off the redirect.
const redirectURI = "http://127.0.0.1:1/callback"

func randomText() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// providers points the built-in Zoom at a proxy.
func (w *world) providers(file, zoom string) error {
	data, err := json.Marshal(map[string]any{"providers": []map[string]string{{
		"key": "zoom", "authorizationEndpoint": w.simURL + "/oauth/authorize", "tokenEndpoint": zoom + "/oauth/token",
		"revocationEndpoint": zoom + "/oauth/revoke", "apiBase": zoom,
	}}})
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}

// made runs a command that prints JSON.
func (w *world) made(ctx context.Context, into any, input string, args ...string) error {
	out, err := w.command(ctx, input, args...)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, into)
}

// command runs a subcommand to its end, past the proxies.
func (w *world) command(ctx context.Context, input string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, w.binary, args...) // #nosec G204 -- the harness's own program
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "TMPDIR=" + w.dir}, w.settings...)
	cmd.Stdin = strings.NewReader(input)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("tokenkeep %s: %w: %s", strings.Join(args, " "), err, &complaint)
	}
	return out, nil
}
