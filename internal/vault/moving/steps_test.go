package moving_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/moving"
)

// operation is something that a process does to a record.
type operation struct {
	name string
	// homeless operations begin without a record.
	homeless bool
	do       func(w *world, v *moving.Vault) error
}

// operations are all that a process which knows both vaults does to a record.
func operations() []operation {
	return []operation{
		{"move", false, func(w *world, v *moving.Vault) error { return w.relocate(v) }},
		{"refresh", false, func(w *world, v *moving.Vault) error { return w.replace(v, v) }},
		{"refresh sealed under the source", false, func(w *world, v *moving.Vault) error { return w.replace(v, v.From()) }},
		{"delete", false, func(w *world, v *moving.Vault) error { return w.erase(v) }},
		{"create", true, func(w *world, v *moving.Vault) error { return w.replace(v, v) }},
		{"delete what never was", true, func(w *world, v *moving.Vault) error { return w.erase(v) }},
	}
}

// eachStep runs an operation again and again, with something done ahead of its first change, its second, and so on; once more
// with nothing done. It returns how many changes the operation makes.
func eachStep(w *world, op operation, act func() error, after func(at int, err error)) int {
	for at := 1; ; at++ {
		w.fresh()
		if !op.homeless {
			w.atHome()
		}
		v, s := w.process(at, act)
		err := op.do(w, v)
		after(at, err)
		if s.n < at {
			return s.n
		}
	}
}

// TestCrash kills a process ahead of every change that it makes: nothing that was acknowledged is lost, who knows the source
// alone is never misled, and another process finishes.
func TestCrash(t *testing.T) {
	each(t, func(t *testing.T, d direction) {
		w := newWorld(t, d)
		for _, op := range operations() {
			t.Run(op.name, func(t *testing.T) {
				w.t = t
				n := eachStep(w, op, func() error { return errKilled }, func(at int, err error) {
					if err != nil && !errors.Is(err, errKilled) {
						t.Fatalf("killed at %d: %v", at, err)
					}
					w.check(w.vault, 1)
					w.checkAlone()
					if err := w.relocate(w.vault); err != nil {
						t.Fatal(err)
					}
					w.checkAlone()
					w.checkLeft()
				})
				if n < 2 {
					t.Errorf("%d changes: the test cuts nothing", n)
				}
			})
		}
	})
}

// TestBetween has another process do something ahead of every change of the first one: an erasure wins, and otherwise the
// highest generation that anybody was told was stored.
func TestBetween(t *testing.T) {
	others := append(operations(), operation{name: "refresh by who knows the source alone", do: func(w *world, _ *moving.Vault) error {
		err := w.replace(w.from, w.from)
		if err != nil && !errors.Is(err, vault.ErrUnavailable) && !errors.Is(err, vault.ErrErased) {
			return err
		}
		return nil
	}}, operation{name: "delete by who knows the source alone", do: func(w *world, _ *moving.Vault) error {
		// Its order is in the database, and somebody who knows both carries it out in the end.
		if err := w.erase(w.from); err != nil && !errors.Is(err, vault.ErrUnavailable) {
			return err
		}
		return w.erase(w.vault)
	}})
	each(t, func(t *testing.T, d direction) {
		w := newWorld(t, d)
		for _, op := range operations() {
			for _, other := range others {
				if op.homeless != other.homeless && (op.homeless || other.homeless) && other.name != "move" {
					continue
				}
				t.Run(fmt.Sprintf("%s during %s", other.name, op.name), func(t *testing.T) {
					w.t = t
					var otherErr error
					eachStep(w, op, func() error {
						otherErr = other.do(w, w.vault)
						return nil
					}, func(at int, err error) {
						for _, err := range []error{err, otherErr} {
							if err != nil && !errors.Is(err, vault.ErrErased) {
								t.Fatalf("ahead of change %d: %v", at, err)
							}
						}
						w.check(w.vault, 0)
						w.checkAlone()
						if err := w.relocate(w.vault); err != nil {
							t.Fatal(err)
						}
						w.checkLeft()
					})
				})
			}
		}
	})
}

// TestReadBetween moves a record between the two looks of a reader: it finds the record all the same.
func TestReadBetween(t *testing.T) {
	each(t, func(t *testing.T, d direction) {
		w := newWorld(t, d)
		for at := 2; at <= 3; at++ {
			w.fresh()
			w.atHome()
			v, s := w.process(at, func() error { return w.relocate(w.vault) })
			s.reads = true
			w.check(v, 0)
			if s.n < 2 {
				t.Fatalf("%d looks: the test moves nothing between them", s.n)
			}
		}
	})
}

// TestAndBack moves records there, back and there again, with a refresh in each vault: notes of an earlier move stand in nobody's
// way. Half way through the first move everybody stops and turns round.
func TestAndBack(t *testing.T) {
	each(t, func(t *testing.T, d direction) {
		w := newWorld(t, d)
		for range 3 {
			w.fresh()
			w.atHome()
			half, s := w.process(2, func() error { return errKilled })
			if err := w.relocate(half); !errors.Is(err, errKilled) || s.n != 2 {
				t.Fatalf("after %d changes: %v", s.n, err)
			}
			for round := range 4 {
				w.from, w.to = w.to, w.from
				w.vault = moving.New(w.from, w.to)
				w.check(w.vault, 0)
				for _, op := range []func() error{
					func() error { return w.replace(w.vault, w.vault) },
					func() error { return w.relocate(w.vault) },
					func() error { return w.replace(w.vault, w.vault) },
				} {
					if err := op(); err != nil {
						t.Fatalf("round %d: %v", round, err)
					}
					w.check(w.vault, 0)
				}
				w.checkLeft()
			}
			if err := w.erase(w.vault); err != nil {
				t.Fatal(err)
			}
			w.from, w.to = w.to, w.from
			w.vault = moving.New(w.from, w.to)
			w.check(w.vault, 0)
			if err := w.relocate(w.vault); err != nil {
				t.Fatal(err)
			}
			w.checkLeft()
		}
	})
}

// TestSpoilt leaves a record that does not open where it is, and moves the others.
func TestSpoilt(t *testing.T) {
	each(t, func(t *testing.T, d direction) {
		w := newWorld(t, d)
		w.atHome()
		bad := w.ref
		r, cas, err := w.from.ReadRecord(t.Context(), bad)
		if err != nil {
			t.Fatal(err)
		}
		r.Key.Bytes = r.Key.Bytes[:len(r.Key.Bytes)-4]
		if _, err := w.from.WriteRecord(t.Context(), bad, r, cas); err != nil {
			t.Fatal(err)
		}
		w.fresh()
		w.atHome()
		did, err := w.vault.Relocate(t.Context(), w.ref.Tenant, uuid.Nil, 10)
		if err != nil || did.Moved != 1 || len(did.Unreadable) != 1 || did.Unreadable[0] != bad.Connection {
			t.Fatalf("got %+v, %v", did, err)
		}
		w.checkLeft()
		if s, _, err := w.from.ReadSlot(t.Context(), bad); err != nil || s.Note != vault.NoNote {
			t.Errorf("the spoilt one is left with note %q, %v", s.Note, err)
		}
		// The keys of a batch that do not unwrap are named by their places in it.
		_, err = w.vault.UnwrapDataKeys(t.Context(), w.ref.Tenant, []vault.WrappedKey{w.seal(w.to, 1).Key, w.seal(w.from, 1).Key, r.Key})
		if named, ok := errors.AsType[*vault.CorruptKeysError](err); ok && !slices.Equal(named.Places, []int{2}) || !errors.Is(err, vault.ErrCorrupt) {
			t.Errorf("got %v", err)
		}
	})
}

// TestKeysDestroyed destroys a tenant's key in both vaults, also where the target did not have it yet.
func TestKeysDestroyed(t *testing.T) {
	each(t, func(t *testing.T, d direction) {
		w := newWorld(t, d)
		tenant := uuid.New()
		if err := w.from.CreateKey(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
		if err := w.vault.DestroyKey(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
		for name, v := range map[string]vault.Vault{"source": w.from, "target": w.to, "both": w.vault} {
			if err := v.CreateKey(t.Context(), tenant); !errors.Is(err, vault.ErrNoKey) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
}
