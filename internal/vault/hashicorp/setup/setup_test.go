package setup_test

import (
	"context"
	"encoding/base64"
	"maps"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp/setup"
)

func newID() uuid.UUID { return uuid.New() }

// decodeRoot undoes the one-time pad.
func decodeRoot(t *testing.T, encoded, otp string) []byte {
	t.Helper()
	token, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	for i := range token {
		token[i] ^= otp[i]
	}
	return token
}

// TestRun sets a new server up: the service works with what it wrote, no root token works, and later runs unseal and
// change nothing.
func TestRun(t *testing.T) {
	b := newBench(t)
	b.run(setup.Done{Initialised: true, Unsealed: true, Configured: true})
	b.wantServes()
	b.wantNoRoot()
	before := b.files()
	if len(before) != 3 {
		t.Errorf("got files %v, want the key and two secret ids", maps.Keys(before))
	}
	b.run(setup.Done{})
	b.server.Stop(t)
	b.server.Boot(t)
	b.run(setup.Done{Unsealed: true})
	b.wantServes()
	if !maps.Equal(b.files(), before) {
		t.Error("a later run changed a file")
	}
	b.wantNoRoot()
}

// TestRunAgain loses a secret id: the next run makes another, and the old ones are not valid any more.
func TestRunAgain(t *testing.T) {
	b := newBench(t)
	b.run(setup.Done{Initialised: true, Unsealed: true, Configured: true})
	path := b.options.LoginDir + "/" + setup.ServiceSecretID
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	b.run(setup.Done{Configured: true})
	b.wantServes()
	b.wantNoRoot()
	_, err = b.options.Client.Logical().WriteWithContext(t.Context(), "auth/approle/login",
		map[string]any{"role_id": setup.ServiceRole, "secret_id": string(old)})
	if err == nil {
		t.Error("the secret id that was lost still opens")
	}
}

// TestRunInterrupted loses the answer to each request in turn; the next run finishes, and no root token is left by either.
func TestRunInterrupted(t *testing.T) {
	whole := newBench(t)
	whole.run(setup.Done{Initialised: true, Unsealed: true, Configured: true})
	steps := len(whole.passed)
	t.Logf("%d requests", steps)
	for at := 1; at <= steps; at++ {
		b := newBench(t)
		b.cutAt = at
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		_, first := setup.Run(ctx, b.options)
		cancel()
		b.cutAt = 0
		what := b.passed[at-1]
		_, err := setup.Run(t.Context(), b.options)
		if strings.HasSuffix(what, "PUT /v1/sys/init") {
			// The one answer that holds the key: a server without it is of no use, and holds nothing yet.
			if err == nil || !strings.Contains(err.Error(), "holds no unseal key") {
				t.Errorf("%s: got %v", what, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: got %v, and then %v", what, first, err)
			continue
		}
		b.wantServes()
		b.wantNoRoot()
	}
}

// TestRunBeside runs a second time while the first is about to write a secret id down: the second waits, and finds all of it
// done. Two at a time would end each other's root tokens and secret ids, and could write over the unseal key.
func TestRunBeside(t *testing.T) {
	b := newBench(t)
	inside, goOn := make(chan struct{}), make(chan struct{})
	var held atomic.Bool
	b.before = func(r *http.Request) {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/role/tokenkeep/secret-id") && !held.Swap(true) {
			inside <- struct{}{}
			<-goOn
		}
	}
	first := make(chan error, 1)
	go func() {
		_, err := setup.Run(t.Context(), b.options)
		first <- err
	}()
	<-inside
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	done, err := setup.Run(ctx, b.options)
	if err == nil || done != (setup.Done{}) || !strings.Contains(err.Error(), "another run is under way") {
		t.Errorf("beside another run: got %+v, %v", done, err)
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Errorf("the first run: %v", err)
	}
	b.run(setup.Done{})
	b.wantServes()
	b.wantNoRoot()
}

// TestRunRefuses has servers and files that do not go together: nothing is touched, and the sentence says what to do.
func TestRunRefuses(t *testing.T) {
	mine, other := newBench(t), newBench(t)
	mine.run(setup.Done{Initialised: true, Unsealed: true, Configured: true})
	for name, c := range map[string]struct {
		options func() setup.Options
		want    string
	}{
		"somebody else's server": {func() setup.Options {
			o := mine.options
			o.KeyFile = t.TempDir() + "/none"
			return o
		}, "initialised before"},
		"another server's key": {func() setup.Options {
			o := other.options
			o.KeyFile = mine.options.KeyFile
			return o
		}, "unseal key of another"},
		"a damaged file": {func() setup.Options {
			o := mine.options
			o.KeyFile = t.TempDir() + "/damaged"
			if err := os.WriteFile(o.KeyFile, []byte(`{"unseal_key": "c2VjcmV0`), 0o600); err != nil {
				t.Fatal(err)
			}
			return o
		}, "is damaged"},
		"no folder for the key": {func() setup.Options {
			o := other.options
			o.KeyFile = t.TempDir() + "/none/key"
			return o
		}, "keeping the unseal key"},
	} {
		before := mine.files()
		_, err := setup.Run(t.Context(), c.options())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if !maps.Equal(mine.files(), before) {
			t.Errorf("%s: a file changed", name)
		}
	}
	if is, err := other.options.Client.Sys().InitStatusWithContext(t.Context()); err != nil || is {
		t.Errorf("a refused run initialised the server: %v, %v", is, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	o := other.options
	other.server.Stop(t)
	if _, err := setup.Run(ctx, o); err == nil || !strings.Contains(err.Error(), "waiting for Vault") {
		t.Errorf("a server that never comes: got %v", err)
	}
}

var policyBlock = regexp.MustCompile("(?s)`(tokenkeep[a-z-]*)`:\n\n```hcl\n(.*?)```")

// TestPoliciesAreDocumented compares the policies with docs/vault.md.
func TestPoliciesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/vault.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, block := range policyBlock.FindAllStringSubmatch(string(text), -1) {
		documented[block[1]] = block[2]
	}
	delete(documented, "tokenkeep-mover") // whoever moves gives it to the copy for as long as that runs
	if !maps.Equal(documented, setup.Policies("transit", "secret")) {
		t.Error("docs/vault.md and the policies of this package are not the same")
	}
	for name, rules := range setup.Policies("deep/keys", "deep/kv") {
		if strings.Contains(rules, `"transit/`) || strings.Contains(rules, `"secret/`) || !strings.Contains(rules, `"deep/keys/`) {
			t.Errorf("%s does not follow the mounts:\n%s", name, rules)
		}
	}
}
