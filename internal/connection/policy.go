package connection

import (
	"slices"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/provider"
)

// Bounds of when and how long.
const (
	// defaultMinTTL is how long a credential lives at least if the caller does not say.
	defaultMinTTL = 60 * time.Second
	// refreshLead is how long before expiry a token is due for refresh; for short lives it is a fifth of the life.
	refreshLead = 5 * time.Minute
	// revalidate is how long a cache may answer from a credential without asking again.
	revalidate = 30 * time.Second
	// usedEvery is how often last_used_at is written at most.
	usedEvery = 5 * time.Minute
)

// Pace says when tokens are renewed ahead of need. The zero value works.
type Pace struct {
	// InUse is for how long after its last use a connection counts as in use; zero means three lives of its token, but
	// not less than 15 min, because a use is noted every 5 min only.
	InUse time.Duration
	// KeepAlive is how long the refresh token of an idle connection may rest where the provider's entry does not say how
	// long it lives; zero means 7 days.
	KeepAlive time.Duration
}

// Defaults of Pace, and what part of a refresh token's life it may rest.
const (
	inUseLives       = 3
	minInUse         = 3 * usedEvery
	defaultKeepAlive = 7 * 24 * time.Hour
)

// token is what the times of a refresh depend on.
type token struct {
	obtained, expires time.Time
	// renewable is true where there is something to refresh with.
	renewable bool
}

func (t token) life() time.Duration { return t.expires.Sub(t.obtained) }

// inUse reports whether a connection that was last used (or consented to) then is in use now.
func (p Pace) inUse(t token, used, now time.Time) bool {
	window := p.InUse
	if window <= 0 {
		window = max(inUseLives*t.life(), minInUse)
	}
	return now.Sub(used) <= window
}

// rest is how long the refresh token of an idle connection may lie unused at most: two thirds of its life.
func (p Pace) rest(of provider.Provider) time.Duration {
	switch {
	case of.KeepAlive > 0:
		return of.KeepAlive
	case of.RefreshTokenLife > 0:
		return of.RefreshTokenLife * 2 / 3
	case p.KeepAlive > 0:
		return p.KeepAlive
	default:
		return defaultKeepAlive
	}
}

// aheadOf is when a token in use is due: so long before its end that no reader waits, and spread, so that those that
// end in the same second are not all renewed in the same one. jitter is in [0,1).
func aheadOf(t token, jitter float64) time.Time {
	lead := min(refreshLead, t.life()/5)
	return t.expires.Add(-lead - part(lead, jitter))
}

// due is when a token is to be renewed, by one of two gears: in use, shortly before its end; idle, well inside the life
// of the refresh token, and spread over a quarter of that time. Where no end of the token is known, it is kept alive if
// the refresh token is known to end. Zero where it is not due: neither is known to end, or nothing renews it.
func (p Pace) due(t token, used, now time.Time, of provider.Provider, jitter float64) time.Time {
	ends := of.KeepAlive > 0 || of.RefreshTokenLife > 0
	if !t.renewable || t.expires.IsZero() && !ends {
		return time.Time{}
	}
	ahead, rest := aheadOf(t, jitter), p.rest(of)
	idle := t.obtained.Add(rest - part(rest/4, jitter))
	switch {
	case ends && (t.expires.IsZero() || idle.Before(ahead)):
		return idle // the refresh token would end before the access token does, or before anybody learns that this has
	case p.inUse(t, used, now), idle.Before(ahead):
		return ahead
	default:
		return idle
	}
}

func part(d time.Duration, of float64) time.Duration { return time.Duration(float64(d) * of) }

// probeWait is how long a misconfigured app rests until one of its connections is tried again: five minutes, then
// longer and longer, to an hour.
func probeWait(probes int, jitter float64) time.Duration {
	const first, longest = 5 * time.Minute, time.Hour
	wait := longest
	if probes < 5 {
		wait = min(longest, first<<max(probes, 0))
	}
	return wait - part(wait/5, jitter)
}

// maxPause caps how long a provider's Retry-After keeps all connections of an app waiting: a token ends meanwhile, and
// one request an hour does no harm.
const maxPause = time.Hour

// tokenTimes is what the row keeps of a token's times.
type tokenTimes struct {
	expiresAt, nextRefreshAt *time.Time
	// life is in seconds.
	life int64
}

// timesOf are a set's times; used is when the connection was last used or consented to.
func (s *Service) timesOf(set grant.TokenSet, used time.Time) tokenTimes {
	expires, out := set.ExpiresAt.UTC().Truncate(time.Microsecond), tokenTimes{}
	if set.ExpiresAt.IsZero() {
		expires = time.Time{}
	} else {
		out = tokenTimes{expiresAt: &expires, life: int64(set.Life() / time.Second)}
	}
	of, _ := s.catalogue.Get(set.Owner.Provider)
	t := token{obtained: set.ObtainedAt, expires: expires, renewable: !set.RefreshToken.IsZero()}
	if due := s.pace.due(t, used, s.now(), of, s.jitter()); !due.IsZero() {
		due = due.UTC().Truncate(time.Microsecond)
		out.nextRefreshAt = &due
	}
	return out
}

// wantedTTL is how long a token must live to be handed out: what the caller asks for, but at most half of a token's
// life, or asking for more than there is would refresh without end.
func wantedTTL(minTTL *int, life time.Duration) time.Duration {
	want := defaultMinTTL
	if minTTL != nil {
		want = time.Duration(min(*minTTL, maxMinTTL)) * time.Second
	}
	return min(want, life/2)
}

// maxMinTTL keeps the seconds of minTTL from overflowing a duration.
const maxMinTTL = 1 << 31

// fresh reports whether a token may be handed out.
func fresh(expiresAt time.Time, life time.Duration, minTTL *int, now time.Time) bool {
	if expiresAt.IsZero() {
		return true
	}
	left := expiresAt.Sub(now)
	return left > 0 && left >= wantedTTL(minTTL, life)
}

// revalidateAfter is until when a cache may answer from a credential.
func revalidateAfter(expiresAt, now time.Time) time.Time {
	t := now.Add(revalidate)
	if !expiresAt.IsZero() && expiresAt.Before(t) {
		return expiresAt
	}
	return t
}

// sameScopes compares as sets.
func sameScopes(a, b []string) bool {
	x, y := slices.Clone(a), slices.Clone(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(slices.Compact(x), slices.Compact(y))
}
