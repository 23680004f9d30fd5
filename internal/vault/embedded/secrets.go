package embedded

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"errors"
	"fmt"

	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// secretsData is the associated data of the file's own secrets.
const secretsData = "tokenkeep embedded vault: secrets"

// secretSize is the length in bytes of the pepper and of the key that authenticates rows.
const secretSize = 32

// loadSecrets reads pepper and row key, and makes them together with the tables in a file that is new. Where expected is
// true the file must not be new. Errors: ErrRootKey, ErrDamaged, ErrRolledBack and those of the store.
func (v *Vault) loadSecrets(ctx context.Context, expected bool) error {
	tx, err := v.writer.BeginTx(ctx, nil)
	if err != nil {
		return storeError(err)
	}
	defer tx.Rollback()
	var tables int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil {
		return storeError(err)
	}
	if tables > 0 {
		return v.readSecrets(ctx, tx)
	}
	if expected {
		return fmt.Errorf("%w: it is empty, but %s says that it held data: put it back, or remove that file to begin anew", ErrRolledBack, v.mark.path)
	}
	if err := v.makeSecrets(ctx, tx); err != nil {
		return storeError(err)
	}
	return storeError(tx.Commit())
}

func (v *Vault) makeSecrets(ctx context.Context, tx *sql.Tx) error {
	plain := randomBytes(2 * secretSize)
	sealed, err := v.keys.wrap.Encrypt(plain, []byte(secretsData))
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO meta VALUES (1, ?, ?, ?)`, format, v.rootCheck(), sealed); err != nil {
		return err
	}
	v.useSecrets(plain)
	s := state{}
	_, err = tx.ExecContext(ctx, `INSERT INTO state VALUES (1, ?, ?, ?)`, s.seq, s.sum.bytes(), v.auth.state(s))
	return err
}

func (v *Vault) readSecrets(ctx context.Context, tx *sql.Tx) error {
	var version int
	var check, sealed []byte
	err := tx.QueryRowContext(ctx, `SELECT format, root_check, secrets FROM meta`).Scan(&version, &check, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: its first table is empty", ErrDamaged)
	}
	if err != nil {
		return storeError(err)
	}
	if version != format {
		return fmt.Errorf("%w: format %d, and this program knows %d", ErrDamaged, version, format)
	}
	if !hmac.Equal(check, v.rootCheck()) {
		return fmt.Errorf("%w: give the key file that was in use when the vault was made", ErrRootKey)
	}
	plain, err := v.decryptSecrets(sealed)
	if err != nil {
		return err
	}
	v.useSecrets(plain)
	return nil
}

// openSecrets reads the file's own secrets as they are now.
func (v *Vault) openSecrets(ctx context.Context, tx *sql.Tx) ([]byte, error) {
	var sealed []byte
	if err := tx.QueryRowContext(ctx, `SELECT secrets FROM meta`).Scan(&sealed); err != nil {
		return nil, storeError(err)
	}
	return v.decryptSecrets(sealed)
}

// decryptSecrets opens pepper and row key. Errors: ErrDamaged.
func (v *Vault) decryptSecrets(sealed []byte) ([]byte, error) {
	plain, err := v.keys.wrap.Decrypt(sealed, []byte(secretsData))
	if err != nil || len(plain) != 2*secretSize {
		return nil, fmt.Errorf("%w: its own secrets do not open", ErrDamaged)
	}
	return plain, nil
}

func (v *Vault) useSecrets(plain []byte) {
	pepper := secret.NewBytes(plain[:secretSize:secretSize])
	v.pepper.Store(&pepper)
	v.auth = authenticator{key: secret.NewBytes(plain[secretSize:])}
}

// rootCheck is what a file made under this root key says; it tells nothing about the key.
func (v *Vault) rootCheck() []byte {
	return hmacSHA256(v.keys.check, []byte("tokenkeep embedded vault"))
}
