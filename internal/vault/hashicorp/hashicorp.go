// Package hashicorp is the vault on HashiCorp Vault: transit wraps the data keys, KV v2 keeps the records.
//
// Mechanism: each tenant has a transit key "tokenkeep-<tenant>"; data keys come from transit/datakey, are unwrapped by
// transit/decrypt and re-wrapped by transit/rewrap, many in one request. A record is one value at
// <kv>/tokenkeep/tenants/<tenant>/connections/<connection>, written by check-and-set only, one version kept. An erased
// record is a value that says so. A tenant has a mark at <kv>/tokenkeep/tenants/<tenant>, which says whether its key lives
// or was destroyed, so that a destroyed one is never made again. API keys are hashed by transit/hmac under
// "tokenkeep-pepper", always with its first version: rotating the pepper must not lock everybody out.
//
// Requests are repeated by this package alone, with growing random pauses, and only where repeating does no harm. A write
// by check-and-set is sent once: it is sent again only where it certainly was not carried out (no connection, too many
// requests, our token refused). Once sent it is waited for, whoever cancels, up to the caller's deadline: what lands late
// is worse than what is late. The head is read with X-Vault-Forward, so that an Enterprise performance standby, which may
// lag behind, does not answer; a Vault that refuses the header is read without.
//
// Once Vault is found sealed, or nobody there, a gate keeps requests from it and they fail at once; one probe after another,
// with growing random pauses, finds out that it is back. What insists (vault.Insist) passes all the same.
//
// Tokens are renewed when two thirds of their life are over; where they cannot be, a new login replaces them while the old
// one still serves. A request whose token was refused all the same logs in anew and is sent again.
//
// Reason: a cluster does what one machine cannot, and operators know how to run it, back it up and audit it.
//
// Limit: unwrapped data keys stay in memory for some minutes; a tenant key that another process destroys is noticed for
// those only when they expire (the records are gone before). KV lists all names under a path at once, so ListRecords of a
// tenant with a million connections moves tens of megabytes. A create and a destroy of one tenant key at the same moment
// may leave a key without data behind, where the creating process dies in between; destroying again removes it.
// Environment variables that Vault's client library knows (VAULT_HEADERS) reach it; what Options say wins.
package hashicorp

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

var _ vault.Vault = (*Vault)(nil)

// Vault is a vault on HashiCorp Vault. It is safe for concurrent use.
type Vault struct {
	options   Options
	transport *http.Transport
	// service does everything but create and destroy tenant keys, which keeper does; they are one where there is one login.
	service, keeper *identity
	keys            *keyCache
	gate            *gate
	listing         listing
	// headless is true once Vault has refused X-Vault-Forward.
	headless atomic.Bool
	// versions is what is known of the KV mount: versionsUnknown, versionsOne, versionsMany.
	versions atomic.Int32
	closing  sync.Once
}

// Open logs in and begins to renew what it logged in with. Errors: vault.ErrInvalid (options that make no sense),
// vault.ErrDenied (Vault refused the login), vault.ErrUnavailable (unless Options.StartAway says to wait).
func Open(ctx context.Context, o Options) (*Vault, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("opening HashiCorp Vault: %w", err)
	}
	v := &Vault{options: o}
	if v.transport, err = newTransport(o); err != nil {
		return nil, fmt.Errorf("opening HashiCorp Vault: %w: %v", vault.ErrInvalid, err)
	}
	v.gate = newGate(v.probe, v.forgive, o.Logger)
	if err := v.start(ctx); err != nil {
		_ = v.Close()
		return nil, fmt.Errorf("opening HashiCorp Vault at %s: %w", o.Address, err)
	}
	return v, nil
}

// start makes what the vault consists of and logs in.
func (v *Vault) start(ctx context.Context) error {
	var err error
	if v.keys, err = newKeyCache(v.options.KeyCache, v.options.KeyLife); err != nil {
		return err
	}
	if v.service, err = v.newIdentity("service", v.options.Login); err != nil {
		return err
	}
	v.keeper = v.service
	if v.options.KeyLogin != (Login{}) {
		if v.keeper, err = v.newIdentity("keys", v.options.KeyLogin); err != nil {
			return err
		}
	}
	for _, id := range v.identities() {
		if err := id.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// identities are those there are, each once.
func (v *Vault) identities() []*identity {
	var ids []*identity
	for _, id := range []*identity{v.service, v.keeper} {
		if id != nil && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Close stops the renewals, gives back the tokens that this process logged in for, and closes its connections.
func (v *Vault) Close() error {
	v.closing.Do(func() {
		for _, id := range v.identities() {
			id.stop()
		}
		v.gate.close()
		if v.keys != nil {
			v.keys.close()
		}
		v.transport.CloseIdleConnections()
	})
	return nil
}

func (v *Vault) logger() *slog.Logger { return v.options.Logger }
