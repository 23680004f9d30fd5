package app

import (
	"crypto/sha256"
	"time"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// What bounds the opened client secrets in memory unless configured: how many there are, and for how long.
const (
	defaultSecrets    = 10_000
	defaultSecretLife = 5 * time.Minute
)

// secretCache holds opened client secrets. The app's row is read first, always, and what it holds sealed is part of the
// key: a secret that was changed or removed, by whichever process, is not served from here any more.
type secretCache struct {
	// entries is nil where nothing is kept.
	entries *otter.Cache[secretKey, secret.Text]
}

// secretKey names a sealed secret: whose key opens it, of which app it is, and its digest. No two sealings are alike.
type secretKey struct {
	tenant, app uuid.UUID
	sealed      [sha256.Size]byte
}

// newSecretCache makes a cache; zero means the defaults, less than zero keeps nothing.
func newSecretCache(size int, life time.Duration) secretCache {
	if size < 0 || life < 0 {
		return secretCache{}
	}
	if size == 0 {
		size = defaultSecrets
	}
	if life == 0 {
		life = defaultSecretLife
	}
	return secretCache{entries: otter.Must(&otter.Options[secretKey, secret.Text]{
		MaximumSize: size, ExpiryCalculator: otter.ExpiryCreating[secretKey, secret.Text](life),
	})}
}

func keyOf(tenant uuid.UUID, a *ent.OAuthApp) secretKey {
	return secretKey{tenant: tenant, app: a.ID, sealed: sha256.Sum256(a.ClientSecret)}
}

func (c secretCache) get(key secretKey) (secret.Text, bool) {
	if c.entries == nil {
		return secret.Text{}, false
	}
	return c.entries.GetIfPresent(key)
}

func (c secretCache) put(key secretKey, s secret.Text) {
	if c.entries != nil {
		c.entries.Set(key, s)
	}
}

// close ends what the cache does beside its callers.
func (c secretCache) close() {
	if c.entries != nil {
		c.entries.InvalidateAll()
		c.entries.StopAllGoroutines()
	}
}

// forget drops a tenant's secrets. It looks at all of them: it happens once in a tenant's life.
func (c secretCache) forget(tenant uuid.UUID) {
	if c.entries == nil {
		return
	}
	for key := range c.entries.Keys() {
		if key.tenant == tenant {
			c.entries.Invalidate(key)
		}
	}
}
