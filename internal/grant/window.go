package grant

import "time"

// What an answer was to, for Options.Durable.
const (
	ofRefresh  = "refresh"
	ofExchange = "exchange"
)

// window measures the one window that nobody can close, by the monotonic clock: it opens when a provider's answer has been
// read, and closes when a store has acknowledged what was in it. A crash in between loses the answer.
type window struct {
	of     string
	opened time.Time
}

func openWindow(of string) window { return window{of: of, opened: time.Now()} }

// closed tells of a window that closed; one that did not open in this process says nothing.
func (k *Keeper) closed(w window) {
	if k.onDurable != nil && !w.opened.IsZero() {
		k.onDurable(w.of, time.Since(w.opened))
	}
}
