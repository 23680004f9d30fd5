// Package app keeps OAuth apps: the clients that tenants, or the operator for all of them, registered with providers.
//
// Mechanism: an app is a row; its client secret and webhook secret rest in the same row, sealed under the tenant's key
// in the vault and bound to the app's id. Credentials opens the client secret with the tenant of the caller, not with
// the one the row names, so that a row that slipped through every filter still does not open. An opened client secret
// stays in memory for some minutes, because every refresh needs one; the row is read each time and says which it is.
//
// Reason: whatever a provider or a browser would refuse later is refused when it is typed, with the field's name and
// what to do, because the later error would meet somebody who cannot mend it.
//
// Limit: whether the provider accepts the client is known only when it is asked; then the app may become MISCONFIGURED,
// which a new client secret clears.
package app

import (
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// Options are what the service needs.
type Options struct {
	DB        *database.DB
	Keys      vault.Keys
	Providers *provider.Catalogue
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// PublicURL is where callers and providers reach this service, without a trailing slash.
	PublicURL string
	// Secrets is how many opened client secrets are kept in memory, SecretLife for how long; zero means 10,000 and five
	// minutes, less than zero keeps none.
	Secrets    int
	SecretLife time.Duration
}

// Service has the operations on apps. It is safe for concurrent use.
type Service struct {
	db        *database.DB
	keys      vault.Keys
	providers *provider.Catalogue
	clock     func() time.Time
	publicURL string
	secrets   secretCache
}

// New returns a service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Service{db: o.DB, keys: o.Keys, providers: o.Providers, clock: o.Now, publicURL: o.PublicURL,
		secrets: newSecretCache(o.Secrets, o.SecretLife)}
}

// CreateInput describes a new app.
type CreateInput struct {
	// Shared makes it the operator's, for all tenants.
	Shared   bool
	Provider string
	// Name is for people; empty means the provider's name.
	Name     string
	ClientID string
	// ClientSecret may be empty where the provider takes public clients.
	ClientSecret secret.Text
	// RedirectURIs are those registered with the provider; ReturnTo is where browsers may end up after a flow.
	RedirectURIs, ReturnTo, Scopes []string
	// WebhookSecret verifies the provider's events; empty where there is none.
	WebhookSecret secret.Text
}

// UpdateInput says what to change; nil stays as it is. An empty secret removes the one there was.
type UpdateInput struct {
	ID                             uuid.UUID
	Name                           *string
	ClientSecret, WebhookSecret    *secret.Text
	RedirectURIs, ReturnTo, Scopes *[]string
}

// WebhookURL is where the provider's events for the app go.
func (s *Service) WebhookURL(a *ent.OAuthApp) string {
	return s.publicURL + "/webhooks/" + id.App.Format(a.ID)
}

// now is the time as the database keeps it: UTC, microseconds.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }
