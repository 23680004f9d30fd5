package main

import (
	"math"
	"sync"
	"time"
)

// What can be away.
const (
	theProcess  = "replica"
	theDrain    = "drained replica"
	theVault    = "vault"
	theDatabase = "database"
	everybody   = -1
)

// window is a time in which something was away, by the harness's doing. A read that falls into one may be refused.
type window struct {
	what    string
	replica int
	// from and until bound it; until is far in the future while it is open.
	from, until time.Time
}

// settling is how long after a window reads may still meet its traces: dead connections in a pool, for example.
const settling = 5 * time.Second

// windows are those of a run.
type windows struct {
	mu  sync.Mutex
	all []*window
}

// open begins a window and returns what ends it.
func (w *windows) open(what string, replica int) (end func()) {
	one := &window{what: what, replica: replica, from: time.Now(), until: time.Unix(math.MaxInt32, 0)}
	w.mu.Lock()
	w.all = append(w.all, one)
	w.mu.Unlock()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		one.until = time.Now()
	}
}

// cover reports whether a read of a replica met something that was away.
func (w *windows) cover(replica int, began, ended time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.all {
		if (one.replica == everybody || one.replica == replica) && !ended.Before(one.from) && !began.After(one.until.Add(settling)) {
			return true
		}
	}
	return false
}

// processWindows are those in which a replica's process died or stood still, that overlap a time.
func (w *windows) process(replica int, from, until time.Time) (found []window) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.all {
		if one.what == theProcess && one.replica == replica && !one.from.After(until) && !one.until.Before(from) {
			found = append(found, *one)
		}
	}
	return found
}
