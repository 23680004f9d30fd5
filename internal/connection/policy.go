package connection

import (
	"slices"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/grant"
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

// tokenTimes is what the row keeps of a token's times.
type tokenTimes struct {
	expiresAt, nextRefreshAt *time.Time
	// life is in seconds.
	life int64
}

func timesOf(set grant.TokenSet) tokenTimes {
	if set.ExpiresAt.IsZero() {
		return tokenTimes{}
	}
	expires := set.ExpiresAt.UTC().Truncate(time.Microsecond)
	t := tokenTimes{expiresAt: &expires, life: int64(set.Life() / time.Second)}
	if !set.RefreshToken.IsZero() {
		next := expires.Add(-min(refreshLead, set.Life()/5))
		t.nextRefreshAt = &next
	}
	return t
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
