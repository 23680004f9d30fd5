package servicetest

import (
	"sync"
	"time"
)

// Start is what a Clock shows at first.
var Start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// Clock is a clock that only the test moves. The zero value shows Start. It is safe for concurrent use.
type Clock struct {
	mu     sync.Mutex
	passed time.Duration
}

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Start.Add(c.passed)
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed += d
}
