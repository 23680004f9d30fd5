package embedded

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// markWidth is the length of a mark in bytes: 19 digits and a line feed, overwritten in place.
const markWidth = 20

// mark is a small file beside the vault that holds the number of a commit which is durable for certain: each write
// puts down the commit it builds upon, under the vault's write lock, so that the number never goes down. A vault file
// that ends before it has lost commits, whatever its own log says. It is not synced: a power cut may leave it behind,
// never ahead.
type mark struct {
	path string
	mu   sync.Mutex
	file *os.File // nil until create
	last int64
}

func (m *mark) exists() bool {
	info, err := os.Stat(m.path)
	return err == nil && info.Size() > 0
}

// read returns the commit; false where there is none (a power cut may leave the file empty). Errors: ErrDamaged.
func (m *mark) read() (int64, bool, error) {
	text, err := os.ReadFile(m.path)
	if os.IsNotExist(err) || (err == nil && len(text) == 0) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("%w: %w", vault.ErrUnavailable, err)
	}
	if len(text) == markWidth && text[markWidth-1] == '\n' {
		if seq, err := strconv.ParseUint(string(text[:markWidth-1]), 10, 63); err == nil {
			return int64(seq), true, nil
		}
	}
	return 0, false, fmt.Errorf("%w: %s does not hold a number; remove it where the vault file is known to be the newest", ErrDamaged, m.path)
}

// create opens the file, and makes it durable where it is new.
func (m *mark) create() error {
	fresh := !m.exists()
	file, err := os.OpenFile(m.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", vault.ErrUnavailable, err)
	}
	m.mu.Lock()
	m.file = file
	m.mu.Unlock()
	if !fresh {
		return nil
	}
	if err := m.put(0); err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), syncFolder(m.path)); err != nil {
		return fmt.Errorf("%w: %w", vault.ErrUnavailable, err)
	}
	return nil
}

// raise puts seq down. The caller holds the vault's write lock and has read seq under it.
func (m *mark) raise(seq int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file == nil || seq == m.last {
		return nil
	}
	return m.put(seq)
}

// put writes the number; the caller sees to the order.
func (m *mark) put(seq int64) error {
	if _, err := m.file.WriteAt(fmt.Appendf(nil, "%0*d\n", markWidth-1, seq), 0); err != nil {
		return fmt.Errorf("%w: writing the mark: %w", vault.ErrUnavailable, err)
	}
	m.last = seq
	return nil
}

// forget removes the file.
func (m *mark) forget() { _ = os.Remove(m.path) }

func (m *mark) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file != nil {
		_ = m.file.Sync()
		_ = m.file.Close()
		m.file = nil
	}
}
