package zoomsim

import (
	"fmt"
	"time"
)

// Reasons for which a grant ends, as the ledger tells them. Server.EndGrant may name others.
const (
	EndedByConsent = "superseded_by_consent"
	EndedByRevoke  = "revoked"
	EndedByControl = "ended_by_control"
	EndedByExpiry  = "refresh_token_expired"
)

// grant is what one exchanged code began: a chain of token pairs, of which one refresh token at a time is alive.
type grant struct {
	id       string
	clientID string
	userID   string
	scopes   []string
	issued   time.Time

	rotated     time.Time // zero until the first rotation
	ended       time.Time // zero while it lives
	endedReason string

	generation int // 1 for the exchange, +1 per rotation
	exchanges  int
	rotations  int
	refused    int // refresh requests of this grant that were answered with an error

	refresh        digest // of the newest refresh token; alive while the grant is
	refreshExpires time.Time
	access         []*accessToken // all of them, the newest last

	inFlight    int // refresh requests being processed now
	maxInFlight int
}

type accessToken struct {
	digest  digest
	grant   *grant
	expires time.Time
	dead    bool // ended by a refresh, under Switches.RefreshEndsAccessToken
}

type refreshToken struct{ grant *grant }

// usable reports whether the token opens the API at now.
func (t *accessToken) usable(now time.Time) bool {
	return !t.dead && t.grant.ended.IsZero() && !reached(t.expires, now)
}

// alive reports whether the newest refresh token can be spent at now.
func (g *grant) alive(now time.Time) bool {
	return g.ended.IsZero() && !reached(g.refreshExpires, now)
}

func (g *grant) end(reason string, now time.Time) {
	g.ended, g.endedReason = now, reason
}

// beginGrant records the exchange of a code. It ends the earlier grants of the same user and client first, because at
// Zoom only the newest authorization is valid (code 4741).
func (st *state) beginGrant(c *code, now time.Time) (*grant, pair) {
	if !st.switches.ConsentKeepsEarlierGrants {
		st.endGrants(c.userID, c.clientID, EndedByConsent, now)
	}
	g := &grant{
		id:        fmt.Sprintf("grant-%d", len(st.grants)+1),
		clientID:  c.clientID,
		userID:    c.userID,
		scopes:    c.scopes,
		issued:    now,
		exchanges: 1,
	}
	st.grants = append(st.grants, g)
	st.totals.Exchanges++
	return g, st.issueTokens(g, now)
}

// rotate replaces the refresh token of g; the old one is dead from here on.
func (st *state) rotate(g *grant, now time.Time) pair {
	if st.switches.RefreshEndsAccessToken {
		for _, t := range g.access {
			t.dead = true
		}
	}
	g.rotations++
	g.rotated = now
	st.totals.Rotations++
	return st.issueTokens(g, now)
}

// pair is what one answer hands out, and the only place where the tokens' text is: what is remembered are digests.
type pair struct{ access, refresh string }

func (st *state) issueTokens(g *grant, now time.Time) pair {
	issued := pair{access: randomText(accessPrefix), refresh: randomText(refreshPrefix)}
	g.generation++
	g.refresh = digestOf(issued.refresh)
	g.refreshExpires = st.switches.refreshExpiry(g.issued, now)
	st.refresh[g.refresh] = &refreshToken{grant: g}

	life := time.Duration(st.switches.accessSeconds()) * time.Second
	t := &accessToken{digest: digestOf(issued.access), grant: g, expires: now.Add(life)}
	g.access = append(g.access, t)
	st.access[t.digest] = t
	return issued
}

// endGrants ends the grants that live at now, of the user and client; an empty id stands for any. It returns how many.
func (st *state) endGrants(userID, clientID, reason string, now time.Time) int {
	n := 0
	for _, g := range st.matching(userID, clientID) {
		if g.alive(now) {
			g.end(reason, now)
			n++
		}
	}
	return n
}

// expireAccess expires the usable access tokens of the user and client; an empty id stands for any.
func (st *state) expireAccess(userID, clientID string, now time.Time) int {
	n := 0
	for _, g := range st.matching(userID, clientID) {
		for _, t := range g.access {
			if t.usable(now) {
				t.expires = now
				n++
			}
		}
	}
	return n
}

func (st *state) matching(userID, clientID string) []*grant {
	var found []*grant
	for _, g := range st.grants {
		if (userID == "" || g.userID == userID) && (clientID == "" || g.clientID == clientID) {
			found = append(found, g)
		}
	}
	return found
}
