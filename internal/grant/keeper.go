package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/hold"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// Provider is the part of the OAuth client that spends and revokes; *oauth.Client is one.
type Provider interface {
	Exchange(ctx context.Context, app oauth.App, g oauth.Code) (oauth.TokenSet, error)
	Refresh(ctx context.Context, app oauth.App, refreshToken secret.Text) (oauth.TokenSet, error)
	Revoke(ctx context.Context, app oauth.App, token secret.Text, kind provider.TokenKind) error
}

// Domain is what this package asks of the domain, which alone writes connection rows. Methods that take a transaction
// run inside the settlement; whatever they return rolls it back.
type Domain interface {
	// Identify asks the provider whose tokens these are; a provider without identities gives the zero Identity.
	Identify(ctx context.Context, app oauth.App, set TokenSet) (oauth.Identity, error)
	// App opens the credentials of an app.
	App(ctx context.Context, app uuid.UUID) (oauth.App, error)
	// HoldApp keeps the app from being deleted while tx is open. Errors: NOT_FOUND.
	HoldApp(ctx context.Context, tx *ent.Tx, app uuid.UUID) error
	// Existing returns the connection of this app and external user in the caller's tenant, or nil.
	Existing(ctx context.Context, app uuid.UUID, externalUserID string) (*ent.Connection, error)
	// Accept says what is wrong with a consent that was given, nil where nothing is. An error means that it could not be
	// found out, which is no reason to end a grant.
	Accept(ctx context.Context, input json.RawMessage, app uuid.UUID, who oauth.Identity, scopes []string) (*errs.Error, error)
	// Authorized creates or renews the connection and marks others of the same grant as superseded.
	Authorized(ctx context.Context, tx *ent.Tx, a Authorized) error
	// Superseded tells the other connections of a grant that a newer consent, which was not accepted, ended them.
	Superseded(ctx context.Context, tx *ent.Tx, key Key, except uuid.UUID, consentedAt time.Time) error
	// Refreshed brings the row to a stored set; it does nothing where the row has it. Errors: ErrGone.
	Refreshed(ctx context.Context, tx *ent.Tx, connection uuid.UUID, l Landed) error
	// Failed writes a verdict, unless the connection is over or has a higher generation than was judged. Errors: ErrGone.
	Failed(ctx context.Context, tx *ent.Tx, connection uuid.UUID, v Verdict) error
	// Unescrowed notes that the vault has what was in escrow.
	Unescrowed(ctx context.Context, tx *ent.Tx, connection uuid.UUID) error
}

// Landed is a token set that is durable.
type Landed struct {
	Set        TokenSet
	Generation int64
	// Escrowed is true where it waits in the escrow table for the vault.
	Escrowed bool
}

// Budgets are the deadlines of a spend, each counted for itself. The zero value means the defaults.
type Budgets struct {
	// Provider caps one call of the provider; 20 s.
	Provider time.Duration
	// Commit is how long the vault is tried before the record goes into escrow; 3 s. Until then it exists in memory only.
	Commit time.Duration
	// Write caps one call of the vault in that time; 2 s. A vault that hangs must not keep the record from the escrow.
	Write time.Duration
	// Lock is the life of a lock that is not extended; 60 s. Provider and Commit must fit into it.
	Lock time.Duration
	// Claim is how long an authorization waits for a lock that somebody else holds; 30 s.
	Claim time.Duration
	// Store caps one call of the vault or the database after the provider has answered; 5 s.
	Store time.Duration
}

func (b Budgets) withDefaults() Budgets {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&b.Provider, 20*time.Second)
	def(&b.Commit, 3*time.Second)
	def(&b.Write, 2*time.Second)
	def(&b.Lock, 60*time.Second)
	def(&b.Claim, 30*time.Second)
	def(&b.Store, 5*time.Second)
	return b
}

// Options configure a Keeper.
type Options struct {
	DB        *database.DB
	Vault     vault.Vault
	Provider  Provider
	Domain    Domain
	Catalogue *provider.Catalogue
	// Holds keeps connections from ending while that looks like an incident.
	Holds   *hold.Service
	Budgets Budgets
	// Now is the clock for expiries and verdicts; nil means time.Now. Locks use the database's clock.
	Now func() time.Time
	// Durable, where not nil, is told how long a provider's answer was in memory only; see window.go.
	Durable func(what string, after time.Duration)
	// Jitter returns a random number in [0,1); nil means math/rand.
	Jitter func() float64
	// Logger may be nil.
	Logger *slog.Logger
}

// Keeper runs the protocol. It is safe for concurrent use.
type Keeper struct {
	db        *database.DB
	vault     vault.Vault
	provider  Provider
	domain    Domain
	catalogue *provider.Catalogue
	holds     *hold.Service
	budgets   Budgets
	now       func() time.Time
	jitter    func() float64
	onDurable func(what string, after time.Duration)
	log       *slog.Logger
	locks     *locks
	wake      chan struct{}

	mu       sync.Mutex
	draining bool
	inFlight sync.WaitGroup
}

// New returns a Keeper.
func New(o Options) *Keeper {
	k := &Keeper{
		db: o.DB, vault: o.Vault, provider: o.Provider, domain: o.Domain, catalogue: o.Catalogue, holds: o.Holds,
		budgets: o.Budgets.withDefaults(), now: o.Now, jitter: o.Jitter, onDurable: o.Durable, log: o.Logger, wake: make(chan struct{}, 1),
	}
	if k.now == nil {
		k.now = func() time.Time { return time.Now().UTC() }
	}
	if k.jitter == nil {
		k.jitter = rand.Float64
	}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	k.locks = &locks{db: o.DB, ttl: k.budgets.Lock, log: k.log}
	return k
}

// Wake makes the sweeper look for work now.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Drain stops new spends and waits for those under way: nothing is cut between spending and storing. It returns early
// with ctx's error when ctx ends; what is under way then goes on until the process ends.
func (k *Keeper) Drain(ctx context.Context) error {
	k.mu.Lock()
	k.draining = true
	k.mu.Unlock()
	done := make(chan struct{})
	go func() {
		k.inFlight.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// detach runs f in a goroutine that no caller can cancel and that Drain waits for. The caller waits for f or for its own
// context, whichever ends first.
func detach[T any](ctx context.Context, k *Keeper, f func(ctx context.Context) (T, error)) (T, error) {
	var zero T
	k.mu.Lock()
	if k.draining {
		k.mu.Unlock()
		return zero, unavailable(ErrDraining)
	}
	k.inFlight.Add(1)
	k.mu.Unlock()

	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		defer k.inFlight.Done()
		value, err := runSafely(context.WithoutCancel(ctx), k, f)
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		return zero, ctx.Err()
	}
}

// runSafely turns a panic into an error: one bad record must not take the process and every other spend with it.
func runSafely[T any](ctx context.Context, k *Keeper, f func(ctx context.Context) (T, error)) (value T, err error) {
	defer func() {
		if r := recover(); r != nil {
			// The value may quote what was at hand; the stack names functions and places only.
			k.log.ErrorContext(ctx, "panic in a detached step", "type", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
			err = errors.New("panic in a detached step")
		}
	}()
	return f(ctx)
}

// callerTenant is the tenant whose key opens and seals: the viewer's, never a row's.
func callerTenant(ctx context.Context) (uuid.UUID, error) {
	v := tenant.FromContext(ctx)
	if v == nil || v.Tenant == uuid.Nil {
		return uuid.Nil, errs.New(errs.Unauthenticated, "no tenant is acting")
	}
	return v.Tenant, nil
}
