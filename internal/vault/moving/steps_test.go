package moving_test

import (
	"errors"
	"fmt"
	"testing"

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
