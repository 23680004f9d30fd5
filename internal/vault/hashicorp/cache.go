package hashicorp

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// keyCache holds unwrapped data keys by tenant and wrapped key. What makes wrapped keys unusable (a key destroyed, a
// minimum raised) forgets the tenant's, and also those that were under way to the cache meanwhile.
type keyCache struct {
	// entries is nil where nothing is kept.
	entries *otter.Cache[keyCacheKey, secret.Bytes]

	mu sync.Mutex
	// forgotten counts the calls of forget.
	forgotten uint64
}

type keyCacheKey struct {
	tenant  uuid.UUID
	wrapped [sha256.Size]byte
}

func newKeyCache(size int, life time.Duration) (*keyCache, error) {
	if size == 0 || life == 0 {
		return &keyCache{}, nil
	}
	entries, err := otter.New(&otter.Options[keyCacheKey, secret.Bytes]{
		MaximumSize: size, ExpiryCalculator: otter.ExpiryCreating[keyCacheKey, secret.Bytes](life),
	})
	return &keyCache{entries: entries}, err
}

func cacheKey(tenant uuid.UUID, w vault.WrappedKey) keyCacheKey {
	return keyCacheKey{tenant: tenant, wrapped: sha256.Sum256(w.Bytes)}
}

// get returns a key that was put. The version is part of the wrapped bytes, which the caller has checked.
func (c *keyCache) get(tenant uuid.UUID, w vault.WrappedKey) (secret.Bytes, bool) {
	if c.entries == nil {
		return secret.Bytes{}, false
	}
	return c.entries.GetIfPresent(cacheKey(tenant, w))
}

// moment is what put wants to know: it is taken before Vault is asked.
func (c *keyCache) moment() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forgotten
}

// put keeps a key, unless some were forgotten since the moment.
func (c *keyCache) put(moment uint64, tenant uuid.UUID, w vault.WrappedKey, plain secret.Bytes) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries != nil && c.forgotten == moment {
		c.entries.Set(cacheKey(tenant, w), plain)
	}
}

// forget drops a tenant's keys. It looks at all of them: it happens once in a tenant's life.
func (c *keyCache) forget(tenant uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgotten++
	if c.entries == nil {
		return
	}
	for key := range c.entries.Keys() {
		if key.tenant == tenant {
			c.entries.Invalidate(key)
		}
	}
}

func (c *keyCache) close() {
	if c.entries != nil {
		c.entries.InvalidateAll()
		c.entries.StopAllGoroutines()
	}
}
