package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// crashPrefix begins the kinds of actions that kill a replica at a named point.
const crashPrefix = "crash@"

// point is a place in the protocol where a replica can be killed from outside.
type point struct {
	name string
	// says is what has happened by then and what has not.
	says string
	// both is set for points that need neither the vault's proxy nor the database's.
	both bool
}

// The points, in the order of the protocol.
const (
	atClaimed   = "claimed"
	atMarked    = "marked"
	atReserved  = "reserved"
	atSpent     = "spent"
	atAnswered  = "answered"
	atStored    = "stored"
	atSettling  = "settling"
	atSettled   = "settled"
	atStoring   = "storing"
	atExchanged = "exchanged"
	atParking   = "parking"
)

var points = []point{
	{name: atClaimed, says: "the lock is held; a data key was asked for and does not come"},
	{name: atMarked, says: "everything is reserved; the mark that a token is about to be spent has not reached the database"},
	{name: atReserved, says: "the request that spends has left and has not reached the provider", both: true},
	{name: atSpent, says: "the provider has committed; its answer has not arrived", both: true},
	{name: atAnswered, says: "the answer was read; the vault has not got the record"},
	{name: atStored, says: "the vault has the record and nobody knows; the row lags"},
	{name: atSettling, says: "the vault has the record; the settlement is under way and not committed"},
	{name: atSettled, says: "row and record are durable; the process does not know"},
	{name: atStoring, says: "the answer arrived a moment ago", both: true},
	{name: atExchanged, says: "a code was exchanged; the answer has not arrived", both: true},
	{name: atParking, says: "a code was exchanged and answered; it is not parked yet"},
}

// trap waits for a replica to come to a point.
type trap struct {
	point string
	// forward lets what stands at the point go on to its server once the replica is dead, as a network may.
	forward bool
	taken   atomic.Bool
	// hit is closed when something stands at the point, released when it may go on.
	hit, released chan struct{}
	what          string
	once          sync.Once
}

func newTrap(at string, forward bool) *trap {
	return &trap{point: at, forward: forward, hit: make(chan struct{}), released: make(chan struct{})}
}

// release lets go of what stands at the point, and takes nothing from now on.
func (t *trap) release() {
	t.taken.Store(true)
	t.once.Do(func() { close(t.released) })
}

// traps is the place for one trap, which the proxies of a replica look at.
type traps struct{ armed atomic.Pointer[trap] }

// take holds the caller at a point if a trap waits for that; nil where none does. The caller goes on after released.
func (s *traps) take(at, what string) *trap {
	t := s.armed.Load()
	if t == nil || t.point != at || !t.taken.CompareAndSwap(false, true) {
		return nil
	}
	t.what = what
	close(t.hit)
	<-t.released
	return t
}

// takeAfter is take for a point that lies a moment behind: the caller is not held.
func (s *traps) takeAfter(at, what string) {
	t := s.armed.Load()
	if t == nil || t.point != at || !t.taken.CompareAndSwap(false, true) {
		return
	}
	t.what = what
	close(t.hit)
}

// await waits until something stands at the point.
func (t *trap) await(patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-t.hit:
		return true
	case <-timer.C:
	}
	if t.taken.CompareAndSwap(false, true) {
		return false
	}
	<-t.hit // it arrived at the last moment
	return true
}
