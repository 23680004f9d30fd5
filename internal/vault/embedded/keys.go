package embedded

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

const tableKeysets = "keysets"

// keysetRow is a row of keysets; sealed is nil where the key was destroyed.
type keysetRow struct {
	mac    []byte
	info   vault.KeyInfo
	sealed []byte
}

// CreateKey implements vault.Keys.
func (v *Vault) CreateKey(ctx context.Context, tenant uuid.UUID) error {
	if tenant == uuid.Nil {
		return fmt.Errorf("creating a tenant key: %w: no tenant", vault.ErrInvalid)
	}
	return v.write(ctx, "creating a tenant key", func(c *change) error {
		row, err := v.readKeyset(ctx, c.tx, tenant)
		if err == nil && row.sealed != nil {
			return nil
		}
		if err == nil {
			return fmt.Errorf("%w: it was destroyed", vault.ErrNoKey)
		}
		if !errors.Is(err, vault.ErrNoKey) {
			return err
		}
		m := keyset.NewManager()
		if err := addVersion(m, 1); err != nil {
			return err
		}
		return v.saveManaged(c, tenant, nil, vault.KeyInfo{Latest: 1, Min: 1}, m)
	})
}

// RotateKey implements vault.Keys.
func (v *Vault) RotateKey(ctx context.Context, tenant uuid.UUID) (int, error) {
	var version int
	err := v.changeKeyset(ctx, "rotating a tenant key", tenant, func(info vault.KeyInfo, m *keyset.Manager) (vault.KeyInfo, error) {
		info.Latest++
		version = info.Latest
		return info, addVersion(m, info.Latest)
	})
	if err != nil {
		return 0, err
	}
	return version, nil
}

// SetMinVersion implements vault.Keys: it takes the older versions out of the keyset. It does nothing where min is not
// above the present one. Errors: also vault.ErrInvalid where min is above the latest version.
func (v *Vault) SetMinVersion(ctx context.Context, tenant uuid.UUID, min int) error {
	err := v.changeKeyset(ctx, "raising a tenant key's minimum version", tenant, func(info vault.KeyInfo, m *keyset.Manager) (vault.KeyInfo, error) {
		if min > info.Latest {
			return info, fmt.Errorf("%w: version %d is above the latest, %d", vault.ErrInvalid, min, info.Latest)
		}
		for ; info.Min < min; info.Min++ {
			if err := m.Delete(uint32(info.Min)); err != nil {
				return info, err
			}
		}
		return info, nil
	})
	if err == nil {
		v.scrub(ctx)
	}
	return err
}

// KeyInfo implements vault.Keys.
func (v *Vault) KeyInfo(ctx context.Context, tenant uuid.UUID) (vault.KeyInfo, error) {
	row, err := v.liveKeyset(ctx, v.readers, tenant)
	if err != nil {
		return vault.KeyInfo{}, fmt.Errorf("reading a tenant key's versions: %w", err)
	}
	return row.info, nil
}

// DestroyKey implements vault.Keys: the row stays as a marker, its keyset goes from the file and its log.
func (v *Vault) DestroyKey(ctx context.Context, tenant uuid.UUID) error {
	err := v.write(ctx, "destroying a tenant key", func(c *change) error {
		row, err := v.readKeyset(ctx, c.tx, tenant)
		if errors.Is(err, vault.ErrNoKey) || (err == nil && row.sealed == nil) {
			return nil
		}
		// A damaged row is destroyed all the same.
		if err != nil && !errors.Is(err, vault.ErrCorrupt) {
			return err
		}
		return v.saveKeyset(c, tenant, row.mac, row.info, nil)
	})
	if err == nil {
		v.rings.drop(tenant)
		v.scrub(ctx)
	}
	return err
}

// NewDataKey implements vault.Keys.
func (v *Vault) NewDataKey(ctx context.Context, tenant uuid.UUID) (vault.DataKey, error) {
	ring, err := v.ring(ctx, tenant)
	if err != nil {
		return vault.DataKey{}, fmt.Errorf("making a data key: %w", err)
	}
	plain := secret.NewBytes(randomBytes(32))
	wrapped, err := ring.wrap(plain)
	if err != nil {
		return vault.DataKey{}, fmt.Errorf("making a data key: %w", err)
	}
	return vault.DataKey{Plain: plain, Wrapped: wrapped}, nil
}

// UnwrapDataKeys implements vault.Keys.
func (v *Vault) UnwrapDataKeys(ctx context.Context, tenant uuid.UUID, wrapped []vault.WrappedKey) ([]secret.Bytes, error) {
	ring, err := v.ring(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("unwrapping data keys: %w", err)
	}
	out := make([]secret.Bytes, len(wrapped))
	for i, w := range wrapped {
		if out[i], err = ring.unwrap(w); err != nil {
			return nil, fmt.Errorf("unwrapping data key %d of %d: %w", i+1, len(wrapped), err)
		}
	}
	return out, nil
}

// RewrapDataKeys implements vault.Keys.
func (v *Vault) RewrapDataKeys(ctx context.Context, tenant uuid.UUID, wrapped []vault.WrappedKey) ([]vault.WrappedKey, error) {
	ring, err := v.ring(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("re-wrapping data keys: %w", err)
	}
	out := make([]vault.WrappedKey, len(wrapped))
	for i, w := range wrapped {
		plain, err := ring.unwrap(w)
		if err != nil {
			return nil, fmt.Errorf("re-wrapping data key %d of %d: %w", i+1, len(wrapped), err)
		}
		if out[i], err = ring.wrap(plain); err != nil {
			return nil, fmt.Errorf("re-wrapping data key %d of %d: %w", i+1, len(wrapped), err)
		}
	}
	return out, nil
}

// ring returns the tenant's keyring as the file has it now. Errors: vault.ErrNoKey, vault.ErrCorrupt.
func (v *Vault) ring(ctx context.Context, tenant uuid.UUID) (*keyring, error) {
	row, err := v.liveKeyset(ctx, v.readers, tenant)
	if err != nil {
		v.rings.drop(tenant)
		return nil, err
	}
	if ring := v.rings.get(tenant, row.mac); ring != nil {
		return ring, nil
	}
	ring, err := openKeyring(v.keys.wrap, tenant, row.info, row.sealed)
	if err != nil {
		return nil, err
	}
	v.rings.put(tenant, row.mac, ring)
	return ring, nil
}

// changeKeyset runs fn on the versions and the keyset of a tenant and saves what it returns, unless that is the same.
func (v *Vault) changeKeyset(ctx context.Context, what string, tenant uuid.UUID,
	fn func(vault.KeyInfo, *keyset.Manager) (vault.KeyInfo, error),
) error {
	return v.write(ctx, what, func(c *change) error {
		row, err := v.liveKeyset(ctx, c.tx, tenant)
		if err != nil {
			return err
		}
		ring, err := openKeyring(v.keys.wrap, tenant, row.info, row.sealed)
		if err != nil {
			return err
		}
		m := keyset.NewManagerFromHandle(ring.handle)
		info, err := fn(row.info, m)
		if err != nil || info == row.info {
			return err
		}
		return v.saveManaged(c, tenant, row.mac, info, m)
	})
}

// saveManaged encrypts and writes a keyset.
func (v *Vault) saveManaged(c *change, tenant uuid.UUID, old []byte, info vault.KeyInfo, m *keyset.Manager) error {
	handle, err := m.Handle()
	if err != nil {
		return err
	}
	ring, err := newKeyring(tenant, info, handle)
	if err != nil {
		return err
	}
	sealed, err := ring.seal(v.keys.wrap)
	if err != nil {
		return err
	}
	return v.saveKeyset(c, tenant, old, info, sealed)
}

// saveKeyset writes a row of keysets; sealed nil marks the key as destroyed.
func (v *Vault) saveKeyset(c *change, tenant uuid.UUID, old []byte, info vault.KeyInfo, sealed []byte) error {
	mac := v.keysetMAC(tenant, info, sealed)
	_, err := c.tx.Exec(`INSERT INTO keysets (tenant, mac, latest, min, keyset) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (tenant) DO UPDATE SET mac = excluded.mac, latest = excluded.latest, min = excluded.min, keyset = excluded.keyset`,
		tenant[:], mac, info.Latest, info.Min, sealed)
	c.put(tableKeysets, tenant[:], old, mac)
	return err
}

// liveKeyset reads a keyset that was not destroyed. Errors: vault.ErrNoKey, vault.ErrCorrupt.
func (v *Vault) liveKeyset(ctx context.Context, q queryer, tenant uuid.UUID) (keysetRow, error) {
	row, err := v.readKeyset(ctx, q, tenant)
	if err == nil && row.sealed == nil {
		err = fmt.Errorf("%w: it was destroyed", vault.ErrNoKey)
	}
	return row, err
}

// readKeyset reads and authenticates a row of keysets. Errors: vault.ErrNoKey (no row), vault.ErrCorrupt (with the row).
func (v *Vault) readKeyset(ctx context.Context, q queryer, tenant uuid.UUID) (keysetRow, error) {
	var r keysetRow
	err := q.QueryRowContext(ctx, `SELECT mac, latest, min, keyset FROM keysets WHERE tenant = ?`, tenant[:]).
		Scan(&r.mac, &r.info.Latest, &r.info.Min, &r.sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return keysetRow{}, vault.ErrNoKey
	}
	if err != nil {
		return keysetRow{}, storeError(err)
	}
	if !hmac.Equal(r.mac, v.keysetMAC(tenant, r.info, r.sealed)) {
		return r, fmt.Errorf("%w: the tenant's keyset was altered", vault.ErrCorrupt)
	}
	return r, nil
}

func (v *Vault) keysetMAC(tenant uuid.UUID, info vault.KeyInfo, sealed []byte) []byte {
	return v.auth.mac(tableKeysets, tenant[:], number(int64(info.Latest)), number(int64(info.Min)), optional(sealed))
}
