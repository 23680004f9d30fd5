package refresh

import (
	"testing"
	"time"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// TestGateLetsFewThroughWhileAllFails: a provider that is down for everybody gets a handful of requests, not all.
func TestGateLetsFewThroughWhileAllFails(t *testing.T) {
	const limit = 32
	g, now, sent := &gate{}, start, 0
	for now.Before(start.Add(time.Hour)) {
		for g.room(limit, now) > 0 {
			g.inFlight++
			sent++
		}
		for g.inFlight > 0 {
			g.ended(ill, limit, now, 0.5)
		}
		now = now.Add(time.Second)
	}
	if sent > limit+40 {
		t.Errorf("%d requests in an hour of failures", sent)
	}
	for _, want := range []int{1, 2, 4, 8, 16, limit, limit} {
		if now.Before(g.until) {
			now = g.until
		}
		if got := g.room(limit, now); got != want {
			t.Fatalf("room for %d after it came back, want %d", got, want)
		}
		g.inFlight++
		g.ended(well, limit, now, 0.5)
	}
	if !g.idle(now) {
		t.Errorf("got %+v, want one as new", g)
	}
}

// TestGateForgivesSingleFailures: what fails here and there is the connection's matter.
func TestGateForgivesSingleFailures(t *testing.T) {
	g := &gate{}
	for range 10 {
		for _, v := range []verdict{ill, ill, well} {
			g.inFlight++
			g.ended(v, 8, start, 0.5)
			if g.room(8, start) != 8 {
				t.Fatalf("got %+v", g)
			}
		}
	}
}

// TestGateRests for as long as the provider asked, comes back spread, with one, and closes longer each time it is told
// again.
func TestGateRests(t *testing.T) {
	g, pause := &gate{}, start.Add(100*time.Second)
	g.rest(pause, start, 0.5)
	g.rest(pause, start.Add(50*time.Second), 0.99) // the same one
	back := pause.Add(5 * time.Second)
	if g.room(8, back.Add(-1)) != 0 || g.room(8, back) != 1 {
		t.Errorf("got %+v, want one at %v", g, back)
	}
	var last time.Duration
	for range 8 {
		g.inFlight++
		g.ended(enough, 8, back, 0.5)
		closed := g.until.Sub(back)
		if closed <= last && closed != closedLongest/2 {
			t.Errorf("closed for %v after %v", closed, last)
		}
		last, back = closed, g.until
	}
	if g.rest(start, back, 0); g.until != back {
		t.Error("a pause that is over closed it")
	}
	if closedFor(1, 0) != closedLeast || closedFor(1000, 0.999) > closedLongest {
		t.Error("out of bounds")
	}
}
