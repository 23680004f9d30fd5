// Package connection is the domain: it makes, renews, reads, changes and deletes connections, and is the only writer of
// connection rows.
//
// Mechanism: every operation begins with audit.Require, decides with the state machine in row.go, and writes row, event
// and audit entry in one short transaction. Tokens are spent, stored and revoked by package grant, which calls back here
// (domain.go) inside its settlements; no transaction is open while a provider is called.
//
// Reason: resolvers, loops and browser flows are callers of this package, never a second way to do its work.
//
// Limit: a credential that was handed out cannot be called back; RevalidateAfter says for how long a cache may use it.
package connection

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/hold"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/zoom"
)

// CreateInput asks for a connection. Exactly one of Code and APIKey is set; nil fields were left out.
type CreateInput struct {
	App                      *uuid.UUID
	Code                     *CodeGrant
	APIKey                   *APIKeyGrant
	Kind                     *string
	Subject                  *string
	Metadata                 *map[string]string
	LocalRecording, OnBehalf *bool
}

// CodeGrant is an authorization code as it came to the redirect URI.
type CodeGrant struct {
	Code        secret.Text
	RedirectURI string
	// Verifier is the PKCE verifier; empty where none was used.
	Verifier secret.Text
}

// APIKeyGrant is a secret that was obtained elsewhere.
type APIKeyGrant struct {
	APIKey   secret.Text
	Username string
}

// UpdateInput changes a connection; what is nil stays as it is.
type UpdateInput struct {
	ID uuid.UUID
	// Metadata replaces the whole; MetadataNull clears it.
	Metadata     *map[string]string
	MetadataNull bool
	// Merge and RemoveKeys change single keys.
	Merge                    map[string]string
	RemoveKeys               []string
	Subject                  *string
	ClearSubject             bool
	LocalRecording, OnBehalf *bool
}

// Selector names the connection whose credential is asked for; exactly one of Connection and Lookup is set.
type Selector struct {
	Connection *uuid.UUID
	Lookup     *Lookup
	// Bare says that of a credential's row nothing but the id will be looked at: the rest is then not read.
	Bare bool
}

// Lookup finds a connection by what the caller knows of it.
type Lookup struct {
	Provider                string
	App                     *uuid.UUID
	Kind                    string
	Subject, ExternalUserID *string
}

// Credential is a token that is valid now.
type Credential struct {
	Version int64
	// TokenType is "bearer", or "basic" for an API key with a user name; AccessToken is then base64(user:key).
	TokenType   string
	AccessToken secret.Text
	ExpiresAt   *time.Time
	Scopes      []string
	APIURL      string
	// RevalidateAfter is until when a cache may answer from this credential.
	RevalidateAfter time.Time
}

// Result is the answer for one connection; exactly one of the last four is set.
type Result struct {
	Connection      *ent.Connection
	Credential      *Credential
	Reauthorization *Failure
	Unavailable     *Unavailable
	NotConnected    string
}

// Unavailable says why there is no credential for now.
type Unavailable struct {
	Code, Message string
	RetryAfter    time.Duration
}

// Options configure a Service.
type Options struct {
	DB        *database.DB
	Vault     vault.Vault
	Apps      *app.Service
	OAuth     OAuth
	Zoom      Zoom
	Catalogue *provider.Catalogue
	// Holds keeps connections from ending while that looks like an incident; nil means the default policy.
	Holds *hold.Service
	// Budgets of the spend protocol; zero values are the defaults.
	Budgets grant.Budgets
	// ReaderWait is how long a reader waits for a refresh; zero means 10 s. It is below the provider's cap.
	ReaderWait time.Duration
	// ReportInterval is how old a token must be before a reported 401 has it refreshed; zero means 60 s.
	ReportInterval time.Duration
	// Durable, where not nil, is told how long the answer to a "refresh" or an "exchange" was in memory only: from when it
	// was read until a store acknowledged it. A crash in that time loses it.
	Durable func(what string, after time.Duration)
	// CacheBytes bounds the access tokens kept in memory; zero means 64 MiB.
	CacheBytes uint64
	// Pace says when tokens are renewed ahead of need.
	Pace Pace
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Jitter returns a random number in [0,1), which spreads what would be due at once; nil means math/rand.
	Jitter func() float64
	// Logger may be nil.
	Logger *slog.Logger
}

// OAuth is what this package needs of the OAuth client; *oauth.Client is one.
type OAuth interface {
	grant.Provider
	UserInfo(ctx context.Context, p provider.Provider, accessToken secret.Text) (oauth.Identity, error)
}

// Zoom is what this package needs of Zoom's REST API; *zoom.Client is one.
type Zoom interface {
	Me(ctx context.Context, apiBase string, accessToken secret.Text) (zoom.User, error)
}

// Service runs the operations. It is safe for concurrent use.
type Service struct {
	db         *database.DB
	apps       *app.Service
	oauth      OAuth
	zoom       Zoom
	catalogue  *provider.Catalogue
	keeper     *grant.Keeper
	cache      *tokenCache
	readerWait time.Duration
	// reportInterval is Options.ReportInterval.
	reportInterval time.Duration
	pace           Pace
	clock          func() time.Time
	jitter         func() float64
	log            *slog.Logger

	refreshes  singleflight.Group
	background background
}

// New returns a Service.
func New(o Options) (*Service, error) {
	s := &Service{db: o.DB, apps: o.Apps, oauth: o.OAuth, zoom: o.Zoom, catalogue: o.Catalogue,
		readerWait: o.ReaderWait, reportInterval: cmp.Or(o.ReportInterval, reportInterval),
		pace: o.Pace, clock: o.Now, jitter: o.Jitter, log: o.Logger}
	if s.jitter == nil {
		s.jitter = rand.Float64
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.readerWait <= 0 {
		s.readerWait = 10 * time.Second
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if o.Holds == nil {
		o.Holds = hold.New(hold.Options{DB: o.DB, Now: o.Now, Logger: s.log})
	}
	var err error
	if s.cache, err = newTokenCache(o.CacheBytes); err != nil {
		return nil, err
	}
	s.keeper = grant.New(grant.Options{DB: o.DB, Vault: o.Vault, Provider: o.OAuth, Domain: domain{s}, Catalogue: o.Catalogue,
		Holds:   o.Holds,
		Budgets: o.Budgets, Durable: o.Durable, Now: s.now, Logger: s.log})
	return s, nil
}

// Keeper returns the keeper, for the sweeper that cmd starts.
func (s *Service) Keeper() *grant.Keeper { return s.keeper }

// Drain waits for what is under way; see grant.Keeper.Drain.
func (s *Service) Drain(ctx context.Context) error {
	err := s.keeper.Drain(ctx)
	s.background.end()
	return err
}

// background is what runs beside the callers; the zero value is ready.
type background struct {
	mu      sync.Mutex
	running sync.WaitGroup
	ended   bool
}

// start runs f, unless the service is stopping.
func (b *background) start(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended {
		b.running.Go(f)
	}
}

// end starts nothing any more and waits for what runs.
func (b *background) end() {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	b.running.Wait()
}

// now is the clock in the resolution that databases keep.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }
