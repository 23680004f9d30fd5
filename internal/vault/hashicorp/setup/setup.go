// Package setup makes a new HashiCorp Vault ready for Tokenkeep, unattended, and leaves no root token behind.
//
// Mechanism: Run initialises a server that is new, unseals it, mounts both engines, makes the pepper, the policies of
// docs/vault.md and an AppRole for each of the two roles, writes their secret ids where the service reads them, and revokes
// the root token, its own and any that an interrupted run left. What a crash interrupted is done again by the next run,
// which has Vault generate a root token from the unseal key. A run that finds all of it done only unseals.
//
// Reason: a compose file that begins with "now type in these twelve commands" is one that people run with the root token.
//
// Limit: there is one unseal key, in a file beside the server that it unseals: whoever has both volumes has everything, as
// with a root key beside an embedded vault. In production let Vault unseal itself (auto-unseal by a KMS or HSM), and keep
// the recovery keys with people; then docs/vault.md is followed by hand or by Terraform, and not this package.
package setup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/vault/api"
)

// The files in Options.LoginDir.
const (
	ServiceSecretID = "service-secret-id"
	KeysSecretID    = "keys-secret-id"
)

// Options say which Vault, and where what it gives away is kept.
type Options struct {
	// Client reaches Vault and carries no token.
	Client *api.Client
	// TransitMount and KVMount are where the engines go.
	TransitMount, KVMount string
	// KeyFile holds the unseal key, and whether everything is done. Nobody else but Run needs to read it.
	KeyFile string
	// LoginDir is where the service finds its secret ids. The role ids are ServiceRole and KeysRole.
	LoginDir string
	// Logger is told what is done; nil discards.
	Logger *slog.Logger
}

// Done is what a run did.
type Done struct{ Initialised, Unsealed, Configured bool }

// tick is the pause between looks at a server that is not ready yet.
const tick = 100 * time.Millisecond

// Run brings Vault to where the service can log in. It waits for the server, and for another run with the same key file, as
// long as ctx lasts, and may be repeated at any time.
func Run(ctx context.Context, o Options) (Done, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &run{Options: o}
	release, err := r.lock(ctx)
	if err != nil {
		return r.done, err
	}
	err = r.everything(ctx)
	return r.done, errors.Join(err, release())
}

// run is one run.
type run struct {
	Options
	state state
	done  Done
}

func (r *run) everything(ctx context.Context) error {
	health, err := r.await(ctx, func(h *api.HealthResponse) bool { return true })
	if err != nil {
		return err
	}
	if r.state, err = loadState(r.KeyFile); err != nil {
		return err
	}
	var root string
	if root, err = r.initialise(ctx, health.Initialized); err != nil {
		return err
	}
	if err := r.unseal(ctx); err != nil {
		return err
	}
	if r.state.Configured && r.loginsExist() {
		return nil
	}
	if root == "" {
		if root, err = r.generateRoot(ctx); err != nil {
			return fmt.Errorf("generating a root token: %w", err)
		}
	}
	return r.configureAs(ctx, root)
}

// initialise initialises a server that is new, keeps its key and returns its root token; "" where it was initialised before.
func (r *run) initialise(ctx context.Context, before bool) (root string, err error) {
	switch known := r.state.UnsealKey != ""; {
	case before && known:
		return "", nil
	case before:
		return "", fmt.Errorf("the server was initialised before, and %s holds no unseal key: put the file back, or set Vault up by hand as docs/vault.md says", r.KeyFile)
	case known:
		return "", fmt.Errorf("the server is new, but %s holds the unseal key of another: bring that server's storage back, or move the file away", r.KeyFile)
	}
	// That the key can be kept is proved before there is one: without it nobody ever opens the server again.
	if err := r.state.save(r.KeyFile); err != nil {
		return "", err
	}
	if err := r.proveLogins(); err != nil {
		return "", err
	}
	got, err := r.Client.Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return "", fmt.Errorf("initialising: %w", err)
	}
	if len(got.KeysB64) != 1 {
		return "", errors.New("the server seals itself by other means (auto-unseal): set it up by hand as docs/vault.md says")
	}
	r.state.UnsealKey = got.KeysB64[0]
	if err := r.state.save(r.KeyFile); err != nil {
		return "", err
	}
	r.done.Initialised = true
	r.Logger.InfoContext(ctx, "initialised the server; its unseal key is kept", "file", r.KeyFile)
	return got.RootToken, nil
}

// unseal unseals the server, if it is sealed, and waits until it works.
func (r *run) unseal(ctx context.Context) error {
	status, err := r.Client.Sys().SealStatusWithContext(ctx)
	if err != nil {
		return fmt.Errorf("asking whether the server is sealed: %w", err)
	}
	if status.Sealed {
		if status, err = r.Client.Sys().UnsealWithContext(ctx, r.state.UnsealKey); err != nil {
			return fmt.Errorf("unsealing with the key in %s: %w", r.KeyFile, err)
		}
		if status.Sealed {
			return fmt.Errorf("the key in %s does not unseal the server alone", r.KeyFile)
		}
		r.done.Unsealed = true
		r.Logger.InfoContext(ctx, "unsealed the server")
	}
	_, err = r.await(ctx, func(h *api.HealthResponse) bool { return h.Initialized && !h.Sealed && !h.Standby })
	return err
}

// await waits for a server that is as wanted. Errors: the last look's, once ctx ends.
func (r *run) await(ctx context.Context, wanted func(*api.HealthResponse) bool) (*api.HealthResponse, error) {
	for {
		health, err := r.Client.Sys().HealthWithContext(ctx)
		if err == nil && wanted(health) {
			return health, nil
		}
		if pause(ctx) != nil {
			return nil, fmt.Errorf("waiting for Vault at %s: %w: correct VAULT_ADDR, or start it", r.Client.Address(), errors.Join(ctx.Err(), err))
		}
	}
}

// pause waits for the next look. Errors: the context's.
func pause(ctx context.Context) error {
	timer := time.NewTimer(tick)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// proveLogins sees that secret ids can be kept, before anything is made.
func (r *run) proveLogins() error {
	f, err := os.CreateTemp(r.LoginDir, ".probe-*")
	if err != nil {
		return fmt.Errorf("keeping the secret ids: %w: make the folder, and let this command's user write to it", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// loginsExist reports whether the service has what it logs in with.
func (r *run) loginsExist() bool {
	for _, name := range []string{ServiceSecretID, KeysSecretID} {
		if _, err := os.Stat(filepath.Join(r.LoginDir, name)); err != nil {
			return false
		}
	}
	return true
}
