package hashicorp

import (
	"context"
	"math/rand/v2"
	"time"
)

// Bounds of the pause after a renewal that failed; between them it is a quarter of the life that is left.
const (
	minRenewPause = 200 * time.Millisecond
	maxRenewPause = 15 * time.Second
)

// keepAlive renews or replaces the session until the identity stops.
func (id *identity) keepAlive() {
	for {
		s := id.current.Load()
		if !id.wait(id.untilRenewal(s)) {
			return
		}
		if id.current.Load() == s { // otherwise a request has logged in meanwhile
			id.extend(s)
		}
	}
}

// untilRenewal is two thirds of the token's life, less a random tenth so that replicas which started together part. Once
// that is past, because it failed, it is a pause. It is negative for a token without end, and before
// the first login.
func (id *identity) untilRenewal(s *session) time.Duration {
	if s == nil || s.ticket.life <= 0 {
		return -1
	}
	left := s.began.Add(s.ticket.life).Sub(id.v.options.Now())
	due := left - s.ticket.life/3 - rand.N(s.ticket.life/10+1) //nolint:gosec // jitter needs no secret randomness
	switch {
	case due > 0:
		return due
	case left <= 0 && !id.way.again():
		return -1 // nothing renews what has ended; only another token does
	}
	return min(max(left/4, minRenewPause), maxRenewPause)
}

// wait waits for the time to pass (for ever where it is negative) or for a session to be installed. It is false where the
// identity stops.
func (id *identity) wait(d time.Duration) bool {
	var over <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-id.running.Done():
		return false
	case <-id.news:
	case <-over:
	}
	return id.running.Err() == nil
}

// extend renews the session's token; where that cannot give it at least half of the life it began with, because the
// token's greatest age is near, another login does.
func (id *identity) extend(s *session) {
	ctx, cancel := context.WithTimeout(id.running, id.v.options.Timeout)
	defer cancel()
	if s == nil || s.ticket.life <= 0 || id.v.options.Now().Before(s.began.Add(s.ticket.life/2)) {
		return // news of an earlier session, not time, woke us
	}
	if id.way.changed() {
		_, _ = id.replace(ctx, s)
		return
	}
	if s.ticket.renewable {
		next, err := id.renew(ctx, s)
		if err == nil {
			id.succeed(s, next)
			if !id.way.again() || next.ticket.life >= s.full/2 {
				return
			}
			s = next
		} else {
			id.v.logger().WarnContext(ctx, "renewing the token of vault failed", "identity", id.name, "error", err)
		}
	}
	if id.way.again() {
		_, _ = id.replace(ctx, s) // a failure is logged there, and this comes round again
	}
}

// renew asks for the life that the token began with, and returns the session that lives longer.
func (id *identity) renew(ctx context.Context, s *session) (*session, error) {
	began := id.v.options.Now()
	got, err := s.client.Auth().Token().RenewSelfWithContext(ctx, int(s.full/time.Second))
	if err != nil {
		return nil, requestError("renewing the token", err)
	}
	t, err := ticketOf(got, nil)
	if err != nil {
		return nil, err
	}
	next := *s
	next.began, next.ticket.life, next.ticket.renewable = began, t.life, t.renewable
	return &next, nil
}

// succeed installs next unless somebody else has replaced s meanwhile.
func (id *identity) succeed(s, next *session) {
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.current.Load() == s {
		id.install(next)
	}
}
