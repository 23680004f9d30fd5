package hold

import (
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	enthold "github.com/tokenkeep/tokenkeep/ent/hold"
)

// Brake is what a verdict that ends a connection must know of holds and of the endings around it. The zero value holds
// nothing.
type Brake struct {
	// Standing: a hold stands that nobody has decided about.
	Standing bool
	// Confirmed: an operator has confirmed that such connections end. It wins over everything else here.
	Confirmed bool
	// Dismissed: the connection was kept by a hold that was dismissed since; refusals from before it do not count.
	Dismissed bool
	// Recent is how many endings there were within the window before this one.
	Recent int64
	// Limit is the number of endings from which on they are held; 0 means that a number alone holds nothing.
	Limit int64
}

// Holds reports whether the connection is kept from ending.
func (b Brake) Holds() bool {
	switch {
	case b.Confirmed:
		return false
	case b.Standing:
		return true
	default:
		return b.Limit > 0 && b.Recent+1 >= b.Limit
	}
}

// Count is how many connections ended lately.
type Count struct {
	// Started is when the present window began.
	Started time.Time
	// Deaths are those of the present window, Earlier those of the one before it.
	Deaths, Earlier int64
	// Connected is how many were connected when the present window began, up to a bound.
	Connected int64
}

// At moves the count on to the window that holds now. fresh is true where a window began, whose Connected is not known yet.
func (c Count) At(now time.Time, window time.Duration) (_ Count, fresh bool) {
	switch passed := now.Sub(c.Started); {
	case passed < window: // a clock that is behind another replica's counts into the present window
		return c, false
	case passed < 2*window:
		return Count{Started: c.Started.Add(window), Earlier: c.Deaths}, true
	default:
		return Count{Started: now}, true
	}
}

// Recent estimates the endings of the last window: those of the present one, and of those before it the part that the
// last window still covers, as if they had been spread evenly.
func (c Count) Recent(now time.Time, window time.Duration) int64 {
	left := window - max(0, now.Sub(c.Started))
	if left <= 0 || c.Earlier == 0 {
		return c.Deaths
	}
	return c.Deaths + c.Earlier*left.Milliseconds()/window.Milliseconds()
}

// Limit is the number of endings from which on an app's are held.
func (p Policy) Limit(connected int64) int64 {
	return max(int64(p.Minimum), (connected*int64(p.Share)+99)/100)
}

// confirms reports whether a confirmed hold lets the ending through: one of a connection that it kept, or one that comes
// while it lasts. Of the fleet's it must also be of a token set that was stored before the confirmation: what a later
// rollback loses is another incident.
func confirms(h *ent.Hold, e Ending, now time.Time) bool {
	if h == nil || h.State != enthold.StateCONFIRMED || h.DecidedAt == nil {
		return false
	}
	if e.HeldBy != nil && *e.HeldBy == h.ID {
		return true
	}
	if Subject(h.Subject) == Fleet && e.StoredAt.After(*h.DecidedAt) {
		return false
	}
	return h.LetsUntil != nil && now.Before(*h.LetsUntil)
}
