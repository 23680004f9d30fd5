package embedded

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/google/uuid"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// keyring is a tenant's decrypted keyset. The id of a key in the keyset is its version.
type keyring struct {
	tenant uuid.UUID
	info   vault.KeyInfo
	handle *keyset.Handle
	aead   tink.AEAD
}

// newKeyring makes a keyring from a keyset whose highest version is its primary key.
func newKeyring(tenant uuid.UUID, info vault.KeyInfo, handle *keyset.Handle) (*keyring, error) {
	a, err := aead.New(handle)
	if err != nil {
		return nil, err
	}
	return &keyring{tenant: tenant, info: info, handle: handle, aead: a}, nil
}

// addVersion adds a random key under the version as its id and makes it the primary one.
func addVersion(m *keyset.Manager, version int) error {
	params, err := aesgcm.NewParameters(aesgcm.ParametersOpts{
		KeySizeInBytes: 32, IVSizeInBytes: 12, TagSizeInBytes: 16, Variant: aesgcm.VariantTink,
	})
	if err != nil {
		return err
	}
	material := secretdata.NewBytesFromData(randomBytes(32), insecuresecretdataaccess.Token{})
	key, err := aesgcm.NewKey(material, uint32(version), params)
	if err != nil {
		return err
	}
	if _, err := m.AddKey(key); err != nil {
		return err
	}
	return m.SetPrimary(uint32(version))
}

// wrap wraps a data key under the latest version.
func (r *keyring) wrap(plain secret.Bytes) (vault.WrappedKey, error) {
	version := r.info.Latest
	wrapped, err := r.aead.Encrypt(plain.Reveal(), wrapData(r.tenant, version))
	if err != nil {
		return vault.WrappedKey{}, fmt.Errorf("%w: %w", vault.ErrUnavailable, err)
	}
	return vault.WrappedKey{Version: version, Bytes: wrapped}, nil
}

// unwrap undoes wrap. Errors: vault.ErrCorrupt, vault.ErrForeign.
func (r *keyring) unwrap(w vault.WrappedKey) (secret.Bytes, error) {
	if bytes.HasPrefix(w.Bytes, []byte(transitPrefix)) {
		return secret.Bytes{}, vault.ErrForeign
	}
	if w.Version < r.info.Min || w.Version > r.info.Latest {
		return secret.Bytes{}, fmt.Errorf("%w: key version %d is not among %d to %d", vault.ErrCorrupt, w.Version, r.info.Min, r.info.Latest)
	}
	plain, err := r.aead.Decrypt(w.Bytes, wrapData(r.tenant, w.Version))
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("%w: the wrapped data key was altered or is another tenant's", vault.ErrCorrupt)
	}
	return secret.NewBytes(plain), nil
}

// wrapData is the associated data of a wrapped data key.
func wrapData(tenant uuid.UUID, version int) []byte {
	out := append([]byte("tokenkeep embedded vault: data key "), tenant[:]...)
	return binary.BigEndian.AppendUint64(out, uint64(version))
}

// seal encrypts the keyset under the root key, bound to the tenant.
func (r *keyring) seal(root tink.AEAD) ([]byte, error) {
	var out bytes.Buffer
	err := r.handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&out), root, keysetData(r.tenant))
	return out.Bytes(), err
}

// openKeyring undoes seal. Errors: vault.ErrCorrupt.
func openKeyring(root tink.AEAD, tenant uuid.UUID, info vault.KeyInfo, sealed []byte) (*keyring, error) {
	handle, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(sealed)), root, keysetData(tenant))
	if err != nil {
		return nil, fmt.Errorf("%w: the tenant's keyset does not open", vault.ErrCorrupt)
	}
	return newKeyring(tenant, info, handle)
}

// keysetData is the associated data of a keyset.
func keysetData(tenant uuid.UUID) []byte {
	return append([]byte("tokenkeep embedded vault: keyset "), tenant[:]...)
}

// ringCacheSize bounds the decrypted keysets in memory; one takes a few kilobytes.
const ringCacheSize = 1024

// ringCache holds decrypted keysets by tenant. An entry counts only beside the MAC of the row it came from, which every
// use reads anew: what another process rotates or destroys is noticed at once.
type ringCache struct {
	mu    sync.Mutex
	rings map[uuid.UUID]cachedRing
}

type cachedRing struct {
	mac  []byte
	ring *keyring
}

func newRingCache() *ringCache { return &ringCache{rings: map[uuid.UUID]cachedRing{}} }

// get returns the keyring that came from the row with this MAC, or nil; an outdated one is dropped.
func (c *ringCache) get(tenant uuid.UUID, mac []byte) *keyring {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.rings[tenant]
	if !ok || hmac.Equal(entry.mac, mac) {
		return entry.ring
	}
	delete(c.rings, tenant)
	return nil
}

// put keeps a keyring, in place of any other where there is no room.
func (c *ringCache) put(tenant uuid.UUID, mac []byte, ring *keyring) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.rings[tenant]; !ok && len(c.rings) >= ringCacheSize {
		for other := range c.rings {
			delete(c.rings, other)
			break
		}
	}
	c.rings[tenant] = cachedRing{mac: mac, ring: ring}
}

func (c *ringCache) drop(tenant uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.rings, tenant)
}
