package servicetest

import (
	"context"
	"sync"
	"sync/atomic"
)

// Hook is behaviour that a test injects into a call. What it returns, if not nil, is the call's error.
type Hook func(ctx context.Context) error

// Hooks are the injected behaviours of a fake, by method name ("WriteRecord"). The zero value has none. They are safe for
// concurrent use; a hook may wait, and calls of other methods go on meanwhile.
type Hooks struct {
	mu            sync.Mutex
	before, after map[string]Hook
	calls         map[string]int
}

// Before runs f ahead of the method; where it returns an error the call does not happen. Nil removes it.
func (h *Hooks) Before(method string, f Hook) { h.set(&h.before, method, f) }

// After runs f behind the method: the call has happened, and an error takes the place of its answer. Nil removes it.
func (h *Hooks) After(method string, f Hook) { h.set(&h.after, method, f) }

// Calls returns how often the method was called, also where a hook kept the call from happening.
func (h *Hooks) Calls(method string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls[method]
}

func (h *Hooks) set(to *map[string]Hook, method string, f Hook) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if *to == nil {
		*to = map[string]Hook{}
	}
	(*to)[method] = f
}

// around runs a call with what is injected.
func (h *Hooks) around(ctx context.Context, method string, call func() error) error {
	h.mu.Lock()
	if h.calls == nil {
		h.calls = map[string]int{}
	}
	h.calls[method]++
	before, after := h.before[method], h.after[method]
	h.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return err
		}
	}
	if err := call(); err != nil {
		return err
	}
	if after != nil {
		return after(ctx)
	}
	return nil
}

// Fail returns a hook that fails each call.
func Fail(err error) Hook { return func(context.Context) error { return err } }

// Times returns a hook that is h for the first n calls and nothing afterwards.
func Times(n int64, h Hook) Hook {
	var count atomic.Int64
	return func(ctx context.Context) error {
		if count.Add(1) > n {
			return nil
		}
		return h(ctx)
	}
}

// Gate makes calls wait. Arrived yields one value for each call that stands at the gate; Open lets all through, now and
// later.
type Gate struct {
	Arrived chan struct{}
	opened  chan struct{}
	once    sync.Once
}

// NewGate returns a closed gate.
func NewGate() *Gate { return &Gate{Arrived: make(chan struct{}, 1000), opened: make(chan struct{})} }

// Open opens the gate; it may be called more than once.
func (g *Gate) Open() { g.once.Do(func() { close(g.opened) }) }

// Hook waits at the gate. A call whose context ends leaves with the context's error.
func (g *Gate) Hook(ctx context.Context) error {
	g.Arrived <- struct{}{}
	select {
	case <-g.opened:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
