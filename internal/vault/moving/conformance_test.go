package moving_test

import (
	"context"
	"sync"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/moving"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest"
)

// TestConformance asks of a vault that is being moved what is asked of any, rotation excepted.
func TestConformance(t *testing.T) {
	each(t, func(t *testing.T, d direction) {
		vaulttest.Run(t, func(t *testing.T) vaulttest.Instance {
			d.embeddedFolder = t.TempDir()
			b := &bench{direction: d, altered: &altered{slots: map[vault.Ref]vault.Slot{}}}
			b.reopen(t)
			return vaulttest.Instance{
				Vault: func() vault.Vault { return b.vault }, Reopen: b.reopen, NoRotation: vault.ErrMoving,
				Tamper: b.tamper, Copy: b.copySlot, Save: b.save,
			}
		})
	})
}

// bench is a vault under test. Beneath it the target's storage is altered.
type bench struct {
	direction
	altered *altered
	vault   *moving.Vault
}

func (b *bench) reopen(t *testing.T) {
	t.Helper()
	if b.vault != nil {
		if err := b.vault.Close(); err != nil {
			t.Fatal(err)
		}
	}
	from, to := b.open(t)
	b.altered.Movable = to
	b.vault = moving.New(from, b.altered)
}

// slot reads what the target has.
func (b *bench) slot(t *testing.T, ref vault.Ref) vault.Slot {
	t.Helper()
	s, _, err := b.altered.Movable.ReadSlot(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (b *bench) tamper(t *testing.T, ref vault.Ref, change func(vault.Record) vault.Record) {
	t.Helper()
	s := b.slot(t, ref)
	s.Record = change(s.Record)
	b.altered.put(ref, s)
}

func (b *bench) copySlot(t *testing.T, from, to vault.Ref) {
	t.Helper()
	if _, err := b.altered.Movable.WriteSlot(t.Context(), to, b.slot(t, from), 0); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) save(t *testing.T, ref vault.Ref) func() {
	t.Helper()
	s := b.slot(t, ref)
	return func() { b.altered.put(ref, s) }
}

// altered is a vault whose storage somebody altered: other content under the same number, until it is written over. The two
// vaults' own suites alter the bytes themselves.
type altered struct {
	vault.Movable
	mu    sync.Mutex
	slots map[vault.Ref]vault.Slot
}

func (a *altered) put(ref vault.Ref, s vault.Slot) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.slots[ref] = s
}

func (a *altered) drop(ref vault.Ref, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		delete(a.slots, ref)
	}
}

// ReadSlot implements vault.Movable.
func (a *altered) ReadSlot(ctx context.Context, ref vault.Ref) (vault.Slot, vault.CAS, error) {
	s, n, err := a.Movable.ReadSlot(ctx, ref)
	a.mu.Lock()
	defer a.mu.Unlock()
	if other, ok := a.slots[ref]; ok && err == nil {
		s = other
	}
	return s, n, err
}

// WriteSlot implements vault.Movable.
func (a *altered) WriteSlot(ctx context.Context, ref vault.Ref, s vault.Slot, cas vault.CAS) (vault.CAS, error) {
	next, err := a.Movable.WriteSlot(ctx, ref, s, cas)
	a.drop(ref, err)
	return next, err
}

// WriteRecord implements vault.Records.
func (a *altered) WriteRecord(ctx context.Context, ref vault.Ref, r vault.Record, cas vault.CAS) (vault.CAS, error) {
	next, err := a.Movable.WriteRecord(ctx, ref, r, cas)
	a.drop(ref, err)
	return next, err
}
