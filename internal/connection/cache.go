package connection

import (
	"time"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"

	"github.com/tokenkeep/tokenkeep/internal/grant"
)

// defaultCacheBytes bounds the tokens in memory unless configured.
const defaultCacheBytes = 64 << 20

// maxUses bounds how many connections' uses are remembered.
const maxUses = 100_000

// entryOverhead is what an entry costs beside its texts, roughly, in bytes.
const entryOverhead = 512

// cacheKey holds the caller's tenant, so that a row that slipped through a filter finds nothing here, as it opens
// nothing in the vault.
type cacheKey struct{ tenant, connection uuid.UUID }

// cached is the part of a token set that readers get; the refresh token is never kept in memory.
type cached struct {
	set        grant.TokenSet
	generation int64
}

// tokenCache keeps access tokens by generation. The row is read first, always, and names the generation: an entry of
// another one is not served, so that nothing outlives a deletion, a disconnection or a refresh.
type tokenCache struct {
	entries *otter.Cache[cacheKey, cached]
	// uses remembers when a use was last written, so that readers of a row that is not written yet do not all write it.
	uses *otter.Cache[cacheKey, time.Time]
}

func newTokenCache(bytes uint64) (*tokenCache, error) {
	if bytes == 0 {
		bytes = defaultCacheBytes
	}
	entries, err := otter.New(&otter.Options[cacheKey, cached]{MaximumWeight: bytes, Weigher: weigh})
	if err != nil {
		return nil, err
	}
	uses, err := otter.New(&otter.Options[cacheKey, time.Time]{MaximumSize: maxUses})
	if err != nil {
		return nil, err
	}
	return &tokenCache{entries: entries, uses: uses}, nil
}

// noteUse reports whether a use is worth writing: none was within usedEvery.
func (t *tokenCache) noteUse(tenant, connection uuid.UUID, now time.Time) bool {
	key := cacheKey{tenant, connection}
	if last, ok := t.uses.GetIfPresent(key); ok && now.Sub(last) < usedEvery {
		return false
	}
	t.uses.Set(key, now)
	return true
}

// weigh estimates an entry's size in bytes.
func weigh(_ cacheKey, c cached) uint32 {
	n := entryOverhead + len(c.set.AccessToken.Reveal()) + len(c.set.Username) + len(c.set.APIURL)
	for _, s := range c.set.Scopes {
		n += len(s) + 16
	}
	return uint32(min(n, 1<<30)) // #nosec G115 -- bounded above
}

func (t *tokenCache) get(tenant, connection uuid.UUID, generation int64) (grant.TokenSet, bool) {
	c, ok := t.entries.GetIfPresent(cacheKey{tenant, connection})
	if !ok || c.generation != generation {
		return grant.TokenSet{}, false
	}
	return c.set, true
}

// put keeps what readers need of an opened set.
func (t *tokenCache) put(tenant, connection uuid.UUID, o grant.Opened) {
	t.entries.Set(cacheKey{tenant, connection}, cached{generation: o.Generation, set: grant.TokenSet{
		AccessToken: o.Set.AccessToken, TokenType: o.Set.TokenType, Username: o.Set.Username,
		ObtainedAt: o.Set.ObtainedAt, ExpiresAt: o.Set.ExpiresAt, Scopes: o.Set.Scopes, APIURL: o.Set.APIURL,
	}})
}

func (t *tokenCache) drop(tenant, connection uuid.UUID) {
	t.entries.Invalidate(cacheKey{tenant, connection})
}
