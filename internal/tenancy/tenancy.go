// Package tenancy keeps the tenants and their API keys and says who is calling.
//
// Mechanism: a key is 256 random bits, shown once; the database keeps its HMAC under a pepper that only the vault holds.
// Authenticate computes the HMAC and makes one indexed read, which carries everything that can end a key: revocation,
// expiry, the tenant's suspension. Nothing about validity is cached, so that each of them works at once. A second HMAC,
// the seal, binds tenant, scopes and expiry to the key.
//
// Reason: a stolen database holds nothing to log in with, and writing into it neither makes a key nor widens one.
//
// Limit: a key is a bearer secret: whoever has it is its tenant, until it is revoked. Who can write the database can put
// a row back as it once was, a revoked one included, if he kept a copy.
package tenancy

import (
	"log/slog"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// Options are what the service needs.
type Options struct {
	DB    *database.DB
	Vault vault.Vault
	// Operator recognizes the operator. The zero value recognizes nobody.
	Operator OperatorKey
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger may be nil.
	Logger *slog.Logger
}

// Service has the operations on tenants and keys. It is safe for concurrent use.
type Service struct {
	db       *database.DB
	vault    vault.Vault
	operator OperatorKey
	clock    func() time.Time
	hasher   hasher
	uses     uses
	log      *slog.Logger
}

// New returns a service; Close ends it.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{db: o.DB, vault: o.Vault, operator: o.Operator, clock: o.Now, hasher: hasher{vault: o.Vault}, log: o.Logger}
}

// Close waits for what was under way beside the requests (the times of last use).
func (s *Service) Close() { s.uses.close() }

// now is the time as the database keeps it: UTC, microseconds.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }
