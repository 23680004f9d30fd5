package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// The harness sees every answer of the provider pass by, and so keeps a ledger of its own beside the emulator's: which set
// of tokens came when, to whom, and what is known of its fate.

// tokenSet is what one answer of the provider's token endpoint held.
type tokenSet struct {
	grant *grantTrack
	// n counts within the grant, from 1; it is the emulator's generation.
	n               int
	access, refresh string
	// to is the replica that asked.
	to        int
	committed time.Time
	expires   time.Time
	// lost says why its answer cannot have arrived; empty where it may have.
	lost string
	// answered is when the answer was handed to the replica's connection.
	answered time.Time
	// durable is when the vault acknowledged a record of it, as far as the proxy saw one, and generation what number it got.
	durable    time.Time
	generation int64
	// presented is set once its refresh token was spent or tried: whoever did that had it stored.
	presented bool
	// served is when a reader first got its access token.
	served time.Time
}

// stored reports whether anything shows that the set was stored as a generation. That its refresh token was tried shows
// it, unless it may have been parked only: with an authorization that was never settled.
func (s *tokenSet) stored() bool {
	return !s.durable.IsZero() || !s.served.IsZero() || s.presented && !s.grant.acknowledged.IsZero()
}

// String names the set without its tokens.
func (s *tokenSet) String() string {
	return fmt.Sprintf("grant %d of %s, set %d (access token sha256 %.12s)", s.grant.n, s.grant.user.email, s.n, digest(s.access))
}

// grantTrack is one exchanged code and the sets that followed.
type grantTrack struct {
	user *user
	// n counts the grants of the user, from 1.
	n    int
	sets []*tokenSet
	// ended is when the provider ended it, why says by what.
	ended time.Time
	why   string
	// acknowledged is when createConnection said that it stands.
	acknowledged time.Time
	// busy is who has a refresh of it in flight.
	busy *tokenCall
}

func (g *grantTrack) last() *tokenSet { return g.sets[len(g.sets)-1] }

// ledger is all of it. One mutex guards it and whatever hangs on it.
type ledger struct {
	mu       sync.Mutex
	byAccess map[string]*tokenSet
	byToken  map[string]*tokenSet
	byCode   map[string]*user
	commits  int
	// exchanges and rotations count what was committed.
	exchanges, rotations int
	// overlaps are refreshes of one grant that were in flight together.
	overlaps []string
	// records are the acknowledged writes by the connection's UUID, in their order.
	records map[string][]record
	// secrets are all values that no log may hold.
	secrets map[string]string
}

func newLedger() *ledger {
	return &ledger{byAccess: map[string]*tokenSet{}, byToken: map[string]*tokenSet{}, byCode: map[string]*user{}, secrets: map[string]string{}, records: map[string][]record{}}
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// secret remembers a value that must be in no log.
func (l *ledger) secret(what string, values ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range values {
		if v != "" {
			l.secrets[v] = what
		}
	}
}

// consented notes whose code it is.
func (l *ledger) consented(u *user, code string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byCode[code] = u
	l.secrets[code] = "authorization code"
}

// tokenCall is one request of the provider's token endpoint.
type tokenCall struct {
	to   int
	user *user
	// presented is the set whose refresh token is tried; nil for a code.
	presented *tokenSet
	// left is closed when the request was answered or its sender was found to have hung up, which hungUp says.
	left   chan struct{}
	hungUp atomic.Bool
	leave  func()
}

// patienceWithHangups is how long a request that seems to be one too many waits for the other's sender to be found gone: a
// caller that gives up hangs up and asks again at once, and the second may be seen first.
const patienceWithHangups = 2 * time.Second

// arrive notes a request. What makes two refreshes of one grant be in flight together is kept for the end.
func (l *ledger) arrive(to int, code, refresh string) *tokenCall {
	c := &tokenCall{to: to, left: make(chan struct{})}
	c.leave = sync.OnceFunc(func() { close(c.left) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if refresh == "" {
		c.user = l.byCode[code]
		return c
	}
	c.presented = l.byToken[refresh]
	if c.presented == nil {
		return c
	}
	g := c.presented.grant
	c.user, c.presented.presented = g.user, true
	for other := g.busy; other != nil && !closed(other.left); other = g.busy {
		l.mu.Unlock()
		gone := within(other.left, patienceWithHangups) && other.hungUp.Load()
		l.mu.Lock()
		if !gone {
			l.overlaps = append(l.overlaps, fmt.Sprintf("%s: replica %d asks while the request of replica %d is not answered", c.presented, to, other.to))
			break
		}
	}
	g.busy = c
	return c
}

// closed reports whether a channel is closed.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// within waits for a channel to be closed.
func within(c <-chan struct{}, patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c:
		return true
	case <-timer.C:
		return false
	}
}

// commit notes a set that the provider has just handed out in answer to c.
func (l *ledger) commit(c *tokenCall, access, refresh string, life time.Duration, at time.Time) *tokenSet {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commits++
	var g *grantTrack
	if c.presented != nil {
		g = c.presented.grant
		l.rotations++
	} else {
		l.exchanges++
		g = c.user.newGrant(at)
	}
	s := &tokenSet{grant: g, n: len(g.sets) + 1, access: access, refresh: refresh, to: c.to, committed: at, expires: at.Add(life)}
	g.sets = append(g.sets, s)
	l.byAccess[access], l.byToken[refresh] = s, s
	l.secrets[access], l.secrets[refresh] = "access token", "refresh token"
	return s
}

// lose notes that the answer which carried a set cannot have arrived.
func (l *ledger) lose(s *tokenSet, why string) {
	if s == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.lost = why
}

// answer notes that a set was handed to the connection of who asked.
func (l *ledger) answer(s *tokenSet, at time.Time) {
	if s == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.answered = at
}

// end notes that the provider ended the living grants of a user.
func (l *ledger) end(u *user, why string, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u.endGrants(why, at)
}

// record is a write of a sealed record that the vault has acknowledged, as a proxy saw it pass.
type record struct {
	generation int64
	replica    int
	// refresh says that a refresh wrote it, and no authorization.
	refresh bool
	at      time.Time
}

// durably notes that the vault has acknowledged a record of a connection.
func (l *ledger) durably(connection string, r record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.records[connection]
	if len(all) > 0 && r.generation <= all[len(all)-1].generation {
		return // re-wrapped: the same set under another key
	}
	l.records[connection] = append(all, r)
}

// given finds the set of an access token that a reader got, and notes that it was served.
func (l *ledger) given(access string, at time.Time) *tokenSet {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.byAccess[access]
	if s != nil && s.served.IsZero() {
		s.served = at
	}
	return s
}
