// Package embedded is the vault on one machine: a SQLite file of its own under a root key.
//
// Mechanism: each tenant has a keyset (Tink, AES-256-GCM, one key for each version) that rests encrypted under the root
// key and bound to the tenant; data keys are wrapped with it in this process. Records rest beside the keysets. One
// writer with immediate transactions and synchronous=FULL, four query-only readers. Every row carries a MAC, and each
// commit updates a number and a sum over all rows, so that what a torn or patched file lost is noticed at Open; a small
// mark file beside the vault remembers the commit before the last, so that an older copy is noticed too.
//
// Reason: the promises of the seam (check-and-set, rotation, destruction, durability) without a second server.
//
// Limit: whoever holds the root key and the file holds everything, and both the file and its mark can be put back
// together unnoticed. What is damaged while the vault is open is noticed row by row, and as a whole at the next Open.
// Open reads the whole file once (about a second for a gigabyte). Several processes may share a file; they wait for each
// other at most five seconds.
package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

var _ vault.Vault = (*Vault)(nil)

// Options say where the vault is and what opens it.
type Options struct {
	// Path is the vault's file; it is made where it is missing, with mode 0600. Beside it lie Path-wal and Path-shm
	// (SQLite's) and Path-mark (the number of the commit before the last).
	Path string
	// RootKey is 32 bytes; see LoadRootKey.
	RootKey secret.Bytes
	// MaxBytes bounds the file; zero means that only the disk does. A write beyond it fails with vault.ErrFull.
	MaxBytes int64
	// Accept takes the file as it is where its sum or its mark says that something is missing or older, and writes both
	// anew: for an operator who has put an older copy back on purpose. A file that SQLite cannot read is still refused.
	Accept bool
}

// Vault is the embedded vault. It is safe for concurrent use, and beside other processes on the same file.
//
// A context that ends while an operation waits for its turn ends the operation, and nothing was done; once a write has
// begun it is carried through, so that its outcome is always known.
type Vault struct {
	path            string
	writer, readers *sql.DB
	turn            chan struct{} // holds one value while a write is under way
	mark            *mark
	keys            rootKeys
	auth            authenticator
	pepper          atomic.Pointer[secret.Bytes]
	rings           *ringCache
	closing         sync.Once
}

// Open opens the vault, makes it where there is none, and verifies it. Errors: ErrRootKey, ErrDamaged, ErrRolledBack,
// vault.ErrInvalid, vault.ErrFull, vault.ErrUnavailable.
func Open(ctx context.Context, o Options) (*Vault, error) {
	v, err := open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("opening the vault %s: %w", o.Path, err)
	}
	return v, nil
}

func open(ctx context.Context, o Options) (*Vault, error) {
	keys, err := deriveKeys(o.RootKey)
	if err != nil {
		return nil, err
	}
	path, err := filepath.Abs(o.Path)
	if o.Path == "" || err != nil {
		return nil, fmt.Errorf("%w: no path", vault.ErrInvalid)
	}
	m, err := prepareFiles(path, o.Accept)
	if err != nil {
		return nil, err
	}
	v := &Vault{path: path, turn: make(chan struct{}, 1), mark: m, keys: keys, rings: newRingCache()}
	v.writer, v.readers = openPools(path, o.MaxBytes)
	if err := v.start(ctx, o.Accept); err != nil {
		v.release()
		return nil, err
	}
	return v, nil
}

// start makes or reads the file's own secrets and verifies everything else against them.
func (v *Vault) start(ctx context.Context, accept bool) error {
	acknowledged, marked, err := v.mark.read()
	if err != nil && !accept {
		return err
	}
	if err := v.checkDurable(ctx); err != nil {
		return err
	}
	if err := v.loadSecrets(ctx, marked && !accept); err != nil {
		return err
	}
	if accept {
		err = v.acceptFile(ctx)
	} else {
		err = v.verify(ctx, acknowledged)
	}
	if err != nil {
		return err
	}
	if err := v.mark.create(); err != nil {
		return err
	}
	if err := v.mark.lock(false); err != nil {
		return err
	}
	return v.checkRoot(ctx)
}

// MAC implements vault.Vault; the pepper rests in the file under the root key.
func (v *Vault) MAC(_ context.Context, data []byte) ([]byte, error) {
	return hmacSHA256(v.pepper.Load().Reveal(), data), nil
}

// Health implements vault.Vault: it takes the write lock, reads the state and writes the mark.
func (v *Vault) Health(ctx context.Context) error {
	return v.write(ctx, "checking the vault", func(*change) error { return nil })
}

// Close waits for the write under way, records the last commit in the mark and frees the file.
func (v *Vault) Close() error {
	var err error
	v.closing.Do(func() {
		err = v.write(context.Background(), "closing the vault", func(*change) error { return nil })
		v.release()
	})
	return err
}

// release closes what is open, without a word: it serves failed starts too.
func (v *Vault) release() {
	_ = v.readers.Close()
	_ = v.writer.Close()
	v.mark.close()
}

// rootKeys are what is derived from the root key.
type rootKeys struct {
	// wrap encrypts keysets and the file's own secrets.
	wrap tink.AEAD
	// check tells whether a file was made under this root key.
	check []byte
}

// prepareFiles makes sure that the file is there and private, before SQLite touches it: SQLite would take a missing or
// empty file for a new vault, and would delete the log that still holds its content.
func prepareFiles(path string, accept bool) (*mark, error) {
	m := &mark{path: path + "-mark"}
	info, err := os.Stat(path) // nil where there is none
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("%w: %w", vault.ErrUnavailable, err)
	}
	missing := info == nil || info.Size() == 0
	if missing && m.exists() && !accept {
		return nil, fmt.Errorf("%w: the file is missing or empty, but %s says that it held data: put it back, or remove that file to begin anew", ErrRolledBack, m.path)
	}
	if err := makePrivate(path, info); err != nil {
		return nil, fmt.Errorf("%w: making the file: %w", vault.ErrUnavailable, err)
	}
	return m, nil
}

// makePrivate makes the file with mode 0600, or narrows the mode of the one that is there (info is nil where there is
// none). It never opens and closes the file under its own name: that would drop the locks which SQLite may hold on it
// in this process.
func makePrivate(path string, info os.FileInfo) error {
	if info != nil {
		if info.Mode().Perm()&0o077 == 0 {
			return nil
		}
		return os.Chmod(path, 0o600)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncFolder(path)
}

// syncFolder makes the names in path's folder durable.
func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
