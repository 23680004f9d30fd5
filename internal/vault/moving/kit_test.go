package moving_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/moving"
)

// errKilled is what a process sees that was killed: nothing works any more.
var errKilled = errors.New("killed")

// steps counts what a process changes in either vault and does something ahead of one of the changes.
type steps struct {
	n, at  int
	act    func() error
	killed error
	// reads counts looks instead of changes.
	reads bool
}

// before is called ahead of each change and each look.
func (s *steps) before(look bool) error {
	if s.killed == nil && look == s.reads {
		if s.n++; s.n == s.at {
			s.killed = s.act()
		}
	}
	return s.killed
}

// stepped is a vault as one process sees it.
type stepped struct {
	vault.Movable
	steps *steps
}

func (f *stepped) WriteSlot(ctx context.Context, ref vault.Ref, s vault.Slot, cas vault.CAS) (vault.CAS, error) {
	if err := f.steps.before(false); err != nil {
		return 0, err
	}
	return f.Movable.WriteSlot(ctx, ref, s, cas)
}

func (f *stepped) WriteRecord(ctx context.Context, ref vault.Ref, r vault.Record, cas vault.CAS) (vault.CAS, error) {
	if err := f.steps.before(false); err != nil {
		return 0, err
	}
	return f.Movable.WriteRecord(ctx, ref, r, cas)
}

func (f *stepped) EraseRecord(ctx context.Context, ref vault.Ref) error {
	if err := f.steps.before(false); err != nil {
		return err
	}
	return f.Movable.EraseRecord(ctx, ref)
}

func (f *stepped) ReadSlot(ctx context.Context, ref vault.Ref) (vault.Slot, vault.CAS, error) {
	if err := f.steps.before(true); err != nil {
		return vault.Slot{}, 0, err
	}
	return f.Movable.ReadSlot(ctx, ref)
}

// world is two vaults with one tenant, and what was acknowledged of one connection.
type world struct {
	t        *testing.T
	from, to vault.Movable
	// vault knows both, and never fails.
	vault *moving.Vault
	ref   vault.Ref
	// acknowledged is the highest generation whose write was; erased is true once an erasure was.
	acknowledged int64
	erased       bool
}

func newWorld(t *testing.T, d direction) *world {
	t.Helper()
	w := &world{t: t, ref: vault.Ref{Tenant: uuid.New(), Connection: uuid.New()}}
	w.from, w.to = d.open(t)
	w.vault = moving.New(w.from, w.to)
	if err := w.vault.CreateKey(t.Context(), w.ref.Tenant); err != nil {
		t.Fatal(err)
	}
	return w
}

// fresh goes on with another connection.
func (w *world) fresh() {
	w.ref.Connection, w.acknowledged, w.erased = uuid.New(), 0, false
}

// process is one that does something ahead of its change number at.
func (w *world) process(at int, act func() error) (*moving.Vault, *steps) {
	s := &steps{at: at, act: act}
	return moving.New(&stepped{w.from, s}, &stepped{w.to, s}), s
}

func content(generation int64) secret.Bytes {
	return secret.NewBytes([]byte{'t', byte(generation)})
}

// seal seals a generation under a data key of v.
func (w *world) seal(v vault.Keys, generation int64) vault.Record {
	w.t.Helper()
	dk, err := v.NewDataKey(w.t.Context(), w.ref.Tenant)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := vault.SealRecord(dk, w.ref, vault.Header{Generation: generation, Attempt: uuid.New(), Origin: "refresh"}, content(generation))
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// at makes the record that every test begins with, at home in the source.
func (w *world) atHome() {
	w.t.Helper()
	if _, err := w.from.WriteRecord(w.t.Context(), w.ref, w.seal(w.from, 1), 0); err != nil {
		w.t.Fatal(err)
	}
	w.acknowledged = 1
}

// replace is what a refresh does in v, which seals under the keys of by; a write that somebody came before is read and tried
// again, as the protocol does.
func (w *world) replace(v vault.Vault, by vault.Keys) error {
	ctx := w.t.Context()
	for {
		if err := v.PrepareWrite(ctx, w.ref); err != nil {
			return err
		}
		r, cas, err := v.ReadRecord(ctx, w.ref)
		if err != nil && !errors.Is(err, vault.ErrNotFound) {
			return err
		}
		if err == nil {
			if _, err := vault.OpenRecord(ctx, v, w.ref, r); err != nil {
				return err
			}
		}
		_, err = v.WriteRecord(ctx, w.ref, w.seal(by, r.Generation+1), cas)
		if err == nil {
			w.acknowledged = max(w.acknowledged, r.Generation+1)
			return nil
		}
		if !errors.Is(err, vault.ErrMismatch) {
			return err
		}
	}
}

func (w *world) erase(v vault.Vault) error {
	err := v.EraseRecord(w.t.Context(), w.ref)
	w.erased = w.erased || err == nil
	return err
}

// relocate moves everything of the tenant.
func (w *world) relocate(v *moving.Vault) error {
	for after := uuid.Nil; ; {
		did, err := v.Relocate(w.t.Context(), w.ref.Tenant, after, 10)
		if err != nil || !did.More {
			return err
		}
		if len(did.Unreadable) > 0 {
			w.t.Errorf("%d records are unreadable", len(did.Unreadable))
		}
		after = did.Last
	}
}

// check sees that nothing which was acknowledged is lost, for whoever knows both vaults; may is how many generations may have
// been written without that anybody was told.
func (w *world) check(v vault.Vault, may int64) {
	w.t.Helper()
	r, _, err := v.ReadRecord(w.t.Context(), w.ref)
	if w.erased {
		if !errors.Is(err, vault.ErrErased) {
			w.t.Fatalf("got generation %d, %v, want it erased", r.Generation, err)
		}
		return
	}
	if w.acknowledged == 0 && errors.Is(err, vault.ErrNotFound) || may > 0 && errors.Is(err, vault.ErrErased) {
		return
	}
	if err != nil || r.Generation < w.acknowledged || r.Generation > w.acknowledged+may {
		w.t.Fatalf("got generation %d, %v, want %d", r.Generation, err, w.acknowledged)
	}
	plain, err := vault.OpenRecord(w.t.Context(), v, w.ref, r)
	if err != nil || !plain.Equal(content(r.Generation)) {
		w.t.Fatalf("generation %d opens to something else: %v", r.Generation, err)
	}
}

// checkAlone sees that who knows the source alone has the same head as who knows both, or is told to wait.
func (w *world) checkAlone() {
	w.t.Helper()
	alone, _, err := w.from.ReadRecord(w.t.Context(), w.ref)
	if errors.Is(err, vault.ErrUnavailable) {
		if err := w.from.EraseRecord(w.t.Context(), w.ref); !errors.Is(err, vault.ErrUnavailable) {
			w.t.Fatalf("erasing what moves: got %v", err)
		}
		return
	}
	both, _, bothErr := w.vault.ReadRecord(w.t.Context(), w.ref)
	switch {
	case errors.Is(bothErr, vault.ErrErased):
		// Its row is gone: nobody spends it.
	case err == nil && bothErr == nil && alone.Header == both.Header:
	case errors.Is(err, vault.ErrNotFound) && errors.Is(bothErr, vault.ErrNotFound):
	default:
		w.t.Fatalf("alone it is generation %d (%v), with both %d (%v)", alone.Generation, err, both.Generation, bothErr)
	}
}

// checkLeft sees that the target alone has everything, and the source a note.
func (w *world) checkLeft() {
	w.t.Helper()
	if s, _, err := w.from.ReadSlot(w.t.Context(), w.ref); err != nil && !errors.Is(err, vault.ErrNotFound) || err == nil && s.Note != vault.NoteMoved {
		w.t.Fatalf("the source is left with note %q, %v", s.Note, err)
	}
	r, _, err := w.to.ReadRecord(w.t.Context(), w.ref)
	if err == nil && !w.to.Wraps(r.Key) {
		if err := w.rewrap(); err != nil {
			w.t.Fatal(err)
		}
	}
	w.check(w.to, 1)
}

// rewrap has the target wrap what was sealed under the source and landed in the target.
func (w *world) rewrap() error {
	r, cas, err := w.vault.ReadRecord(w.t.Context(), w.ref)
	if err != nil {
		return err
	}
	keys, err := w.vault.RewrapDataKeys(w.t.Context(), w.ref.Tenant, []vault.WrappedKey{r.Key})
	if err != nil {
		return err
	}
	r.Key = keys[0]
	_, err = w.vault.WriteRecord(w.t.Context(), w.ref, r, cas)
	return err
}
