package refresh

import (
	"time"
)

// Bounds of how a gate closes: when nothing goes well, and for how long.
const (
	// trips is how many failures in a row, without a success, close a gate.
	trips = 3
	// closedFirst doubles with each failure after that, to closedLongest; a random part of it is waited.
	closedFirst   = 2 * time.Second
	closedLongest = 5 * time.Minute
	closedLeast   = time.Second
	// resumeSpread bounds by how much later than a provider asked for its app is tried again.
	resumeSpread = 30 * time.Second
)

// verdict is what a gate learns from a refresh.
type verdict int

const (
	// silent: nothing was asked of the provider.
	silent verdict = iota
	// well: the provider answered.
	well
	// ill: it did not, or not as one that is well.
	ill
	// enough: it asked for fewer requests.
	enough
)

// gate lets a bounded number of refreshes of one app, or of one provider, through at once. When these fail it closes for
// a while, lets one through then, and opens again as they succeed: one, two, four, to the limit. The zero value is open.
// It holds no lock and no clock: time and chance are passed in.
type gate struct {
	inFlight int
	// failures counts those in a row.
	failures int
	// narrow is how many may be in flight while the gate opens again; zero means the limit.
	narrow int
	// until is when a closed gate lets one through.
	until time.Time
	// pause is the end of the provider's pause that until was taken from.
	pause time.Time
}

// room is how many more may go through now.
func (g *gate) room(limit int, now time.Time) int {
	if now.Before(g.until) {
		return 0
	}
	if g.narrow > 0 {
		limit = min(limit, g.narrow)
	}
	return max(0, limit-g.inFlight)
}

// rest closes the gate until a pause that the provider asked for is over, and a little longer, so that not all replicas
// come back in the same instant. The same pause is noted once.
func (g *gate) rest(pause, now time.Time, jitter float64) {
	if pause.IsZero() || !now.Before(pause) || pause.Equal(g.pause) {
		return
	}
	spread := min(pause.Sub(now)/10, resumeSpread)
	g.pause, g.narrow = pause, 1
	g.until = later(g.until, pause.Add(time.Duration(float64(spread)*jitter)))
}

// ended takes a refresh out of the gate and learns from it.
func (g *gate) ended(v verdict, limit int, now time.Time, jitter float64) {
	g.inFlight--
	switch v {
	case well:
		g.failures = 0
		if g.narrow > 0 {
			if g.narrow *= 2; g.narrow >= limit {
				g.narrow = 0
			}
		}
	case ill, enough:
		g.failures++
		if v == ill && g.failures < trips {
			return
		}
		g.narrow = 1
		g.until = later(g.until, now.Add(closedFor(g.failures, jitter)))
	}
}

// closedFor is how long a gate is closed after so many failures in a row.
func closedFor(failures int, jitter float64) time.Duration {
	ceiling := closedLongest
	if failures < 10 {
		ceiling = min(closedLongest, closedFirst<<failures)
	}
	return max(closedLeast, time.Duration(float64(ceiling)*jitter))
}

// idle reports whether the gate is as the zero value is.
func (g *gate) idle(now time.Time) bool {
	return g.inFlight == 0 && g.failures == 0 && g.narrow == 0 && !now.Before(g.until)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
