package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// ErrInUse says that another process has the vault open: it would go on sealing keysets under the old root key.
var ErrInUse = fmt.Errorf("%w: another process has the vault open", vault.ErrUnavailable)

// Rekey puts the vault under another root key: every keyset, the pepper and the key of the rows' MACs are encrypted anew,
// in one transaction. A crash leaves a vault that opens with the old key or with the new one. changed is false where the
// vault was under the new key already, as after a crash right behind the commit. Records are not touched.
// Nobody else may have the vault open. Copies of the file from before still open with the old key.
// Errors: ErrInUse, those of Open (ErrRootKey where neither key is the vault's), vault.ErrInvalid.
func Rekey(ctx context.Context, path string, older, newer secret.Bytes) (changed bool, err error) {
	changed, err = rekey(ctx, path, older, newer)
	if err != nil {
		return false, fmt.Errorf("changing the root key of the vault %s: %w", path, err)
	}
	return changed, nil
}

func rekey(ctx context.Context, path string, older, newer secret.Bytes) (bool, error) {
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return false, fmt.Errorf("%w: there is no vault", vault.ErrInvalid)
	}
	if older.Equal(newer) {
		return false, fmt.Errorf("%w: the new root key is the old one", vault.ErrInvalid)
	}
	next, err := deriveKeys(newer)
	if err != nil {
		return false, err
	}
	v, err := open(ctx, Options{Path: path, RootKey: older})
	if errors.Is(err, ErrRootKey) {
		return false, opensWith(ctx, path, newer, err)
	}
	if err != nil {
		return false, err
	}
	defer v.release()
	if err := v.mark.lock(true); err != nil {
		return false, err
	}
	if err := v.write(ctx, "encrypting everything anew", func(c *change) error { return v.reencrypt(c, next) }); err != nil {
		return false, err
	}
	v.scrub(ctx)
	return true, nil
}

// opensWith returns nil where the vault opens with the key, and otherwise the error that was there before.
func opensWith(ctx context.Context, path string, key secret.Bytes, before error) error {
	v, err := open(ctx, Options{Path: path, RootKey: key})
	if errors.Is(err, ErrRootKey) {
		return before
	}
	if err != nil {
		return err
	}
	v.release()
	return nil
}

// reencrypt writes all that rests under the root key anew. The key of the MACs stays, so that only the rows whose bytes
// change get another MAC.
func (v *Vault) reencrypt(c *change, next rootKeys) error {
	tenants, err := keysetTenants(c)
	if err != nil {
		return err
	}
	for _, tenant := range tenants {
		if err := v.reencryptKeyset(c, tenant, next); err != nil {
			return err
		}
	}
	plain := append(v.pepper.Load().Reveal()[:secretSize:secretSize], v.auth.key.Reveal()...)
	sealed, err := next.wrap.Encrypt(plain, []byte(secretsData))
	if err != nil {
		return err
	}
	check := (&Vault{keys: next}).rootCheck()
	_, err = c.tx.Exec(`UPDATE meta SET root_check = ?, secrets = ? WHERE id = 1`, check, sealed)
	c.dirty = true
	return err
}

// keysetTenants lists the tenants whose key was not destroyed.
func keysetTenants(c *change) ([]uuid.UUID, error) {
	rows, err := c.tx.Query(`SELECT tenant FROM keysets WHERE keyset IS NOT NULL ORDER BY tenant`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []uuid.UUID
	for rows.Next() {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			return nil, err
		}
		tenant, err := uuid.FromBytes(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: a tenant id of %d bytes", ErrDamaged, len(raw))
		}
		all = append(all, tenant)
	}
	return all, rows.Err()
}

func (v *Vault) reencryptKeyset(c *change, tenant uuid.UUID, next rootKeys) error {
	row, err := v.liveKeyset(context.Background(), c.tx, tenant)
	if err != nil {
		return fmt.Errorf("the key of tenant %s: %w", tenant, err)
	}
	ring, err := openKeyring(v.keys.wrap, tenant, row.info, row.sealed)
	if err != nil {
		return fmt.Errorf("the key of tenant %s: %w", tenant, err)
	}
	sealed, err := ring.seal(next.wrap)
	if err != nil {
		return err
	}
	return v.saveKeyset(c, tenant, row.mac, row.info, sealed)
}

// checkRoot sees that the vault still is under the root key that it was opened with, now that nobody can change it.
func (v *Vault) checkRoot(ctx context.Context) error {
	tx, err := v.readers.BeginTx(ctx, nil)
	if err != nil {
		return storeError(err)
	}
	defer tx.Rollback()
	return v.readSecrets(ctx, tx)
}

// lock holds the mark's file against Rekey, or for it (exclusive); it ends with the process, or when the file is closed.
// Errors: ErrInUse.
func (m *mark) lock(exclusive bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	how := syscall.LOCK_SH
	if exclusive {
		how = syscall.LOCK_EX
	}
	if err := syscall.Flock(int(m.file.Fd()), how|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("%w (%w)", ErrInUse, err)
	}
	return nil
}
