package embedded

import (
	"context"
	"crypto/hmac"
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

var _ vault.Movable = (*Vault)(nil)

// ReadSlot implements vault.Movable.
func (v *Vault) ReadSlot(ctx context.Context, ref vault.Ref) (vault.Slot, vault.CAS, error) {
	s, cas, err := v.readSlot(ctx, ref)
	if err != nil {
		return vault.Slot{}, cas, fmt.Errorf("reading a slot: %w", err)
	}
	return s, cas, nil
}

// WriteSlot implements vault.Movable. What it replaces is overwritten in the file, as by EraseRecord.
func (v *Vault) WriteSlot(ctx context.Context, ref vault.Ref, s vault.Slot, cas vault.CAS) (vault.CAS, error) {
	err := checkRef(ref)
	var encoded []byte
	if err == nil && !s.Bare() {
		encoded, err = s.MarshalBinary()
	}
	if err != nil {
		return 0, fmt.Errorf("writing a slot: %w", err)
	}
	return v.replace(ctx, ref, encoded, cas)
}

// ListSlots implements vault.Movable.
func (v *Vault) ListSlots(ctx context.Context, tenant, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	ids, err := v.listRecords(ctx, true, tenant, after, max(limit, 0))
	if err != nil {
		return nil, fmt.Errorf("listing slots: %w", storeError(err))
	}
	return ids, nil
}

// wrappedSize is the length of a wrapped data key in bytes: Tink's prefix (1 and the key's id), nonce, data key, tag.
const wrappedSize = 1 + 4 + 12 + 32 + 16

// transitPrefix is how the wrapped keys of HashiCorp Vault begin.
const transitPrefix = "vault:v"

// Wraps implements vault.Movable: Tink's prefix is a byte of 1 and the id of the key, which is the version. Transit's
// wrapped keys are text.
func (v *Vault) Wraps(w vault.WrappedKey) bool {
	return len(w.Bytes) == wrappedSize && w.Bytes[0] == 1 && w.Version > 0 && int64(binary.BigEndian.Uint32(w.Bytes[1:5])) == int64(w.Version)
}

// WrapDataKeys implements vault.Movable.
func (v *Vault) WrapDataKeys(ctx context.Context, tenant uuid.UUID, plain []secret.Bytes) ([]vault.WrappedKey, error) {
	ring, err := v.ring(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("wrapping data keys: %w", err)
	}
	out := make([]vault.WrappedKey, len(plain))
	for i, key := range plain {
		if key.Len() != secretSize {
			return nil, fmt.Errorf("wrapping data keys: %w: a data key of %d bytes", vault.ErrInvalid, key.Len())
		}
		if out[i], err = ring.wrap(key); err != nil {
			return nil, fmt.Errorf("wrapping data keys: %w", err)
		}
	}
	return out, nil
}

// ExportPepper implements vault.Movable.
func (v *Vault) ExportPepper(context.Context) (secret.Bytes, error) { return *v.pepper.Load(), nil }

// ImportPepper implements vault.Movable. A new vault has a pepper of its own, which is replaced as long as the vault has no
// tenant: nothing was hashed with it then. Another process that has the file open keeps the old one until it opens it anew.
func (v *Vault) ImportPepper(ctx context.Context, pepper secret.Bytes) error {
	if pepper.Len() != secretSize {
		return fmt.Errorf("importing a pepper: %w: it has %d bytes, and an embedded vault's has %d", vault.ErrInvalid, pepper.Len(), secretSize)
	}
	err := v.write(ctx, "importing a pepper", func(c *change) error {
		own, err := v.openSecrets(ctx, c.tx)
		if err != nil || hmac.Equal(own[:secretSize], pepper.Reveal()) {
			return err
		}
		var used bool
		if err := c.tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM keysets)`).Scan(&used); err != nil {
			return err
		}
		if used {
			return fmt.Errorf("%w: %s has tenants already, whose API keys it would lock out: name a file that does not exist yet", vault.ErrPepper, v.path)
		}
		sealed, err := v.keys.wrap.Encrypt(append(pepper.Reveal()[:secretSize:secretSize], v.auth.key.Reveal()...), []byte(secretsData))
		if err != nil {
			return err
		}
		_, err = c.tx.Exec(`UPDATE meta SET secrets = ? WHERE id = 1`, sealed)
		c.dirty = true
		return err
	})
	if err == nil {
		v.pepper.Store(&pepper)
		v.scrub(ctx)
	}
	return err
}
