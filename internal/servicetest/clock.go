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
	tick   time.Duration
}

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed += c.tick
	return Start.Add(c.passed)
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed += d
}

// Tick lets the clock go on by so much with each reading, for tests in which things happen at the same time: what the
// product tells apart by time, such as two consents of one user, never has the same time there either.
func (c *Clock) Tick(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tick = d
}
