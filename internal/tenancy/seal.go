package tenancy

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// sealDomain keeps the seals of rows apart from the hashes of keys. It is part of every seal in the database and never
// changes.
const sealDomain = "tokenkeep.apikey.row.1\x00"

// sealRoom is enough for the rights of nearly every key, in bytes.
const sealRoom = 256

// rights are what a key's row says the key may do. The hash binds the row to the key; the seal, a second HMAC under the
// vault's pepper, binds the rights to both. Without it whoever can write the database could move his own key's row into
// another tenant, or give it scopes or time.
type rights struct {
	id, tenant uuid.UUID
	scopes     []string
	expiresAt  *time.Time
	hash       []byte
}

func rightsOf(k *ent.APIKey) rights {
	return rights{id: k.ID, tenant: k.TenantID, scopes: k.Scopes, expiresAt: k.ExpiresAt, hash: k.Hash}
}

// encode writes the rights so that no two of them have the same bytes.
func (r rights) encode() []byte {
	out := append(make([]byte, 0, sealRoom), sealDomain...)
	out = append(append(out, r.id[:]...), r.tenant[:]...)
	expires := int64(0) // 1970 stands for never: no key is made that has expired
	if r.expiresAt != nil {
		expires = r.expiresAt.UnixMicro()
	}
	out = binary.BigEndian.AppendUint64(out, uint64(expires)) // #nosec G115 -- only its bits matter
	fields := append(make([]string, 0, len(r.scopes)+1), r.scopes...)
	slices.Sort(fields)
	for _, field := range append(fields, string(r.hash)) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(field))) // #nosec G115 -- a scope, or 32 bytes
		out = append(out, field...)
	}
	return out
}

// seal returns the seal of the rights. Errors: VAULT_UNAVAILABLE.
func (h *hasher) seal(ctx context.Context, r rights) ([]byte, error) {
	seal, err := h.vault.MAC(ctx, r.encode())
	if err != nil {
		return nil, fromVault("sealing an API key's rights", err)
	}
	return seal, nil
}

// intact reports whether the row says what was sealed. What proved intact once is remembered with the key, as a digest
// of row and seal: only a row that changed asks the vault again. Errors: VAULT_UNAVAILABLE.
func (h *hasher) intact(ctx context.Context, key secret.Text, row *ent.APIKey) (bool, [sha256.Size]byte, error) {
	r := rightsOf(row)
	proof := sha256.Sum256(append(r.encode(), row.Seal...))
	if h.proved(key, proof) {
		return true, proof, nil
	}
	want, err := h.seal(ctx, r)
	if err != nil {
		return false, proof, err
	}
	return hmac.Equal(want, row.Seal), proof, nil
}
