package main

import (
	"fmt"
	"sync"
	"time"
)

// tenantOf is a tenant of the service with its app.
type tenantOf struct {
	n            int
	id, key, app string
	clientID     string
}

// user is somebody with a Zoom account, whose application connects it by way of the service. Fields below mu are the
// ledger's (ledger.mu); busy is held by whoever makes him consent, deletes his connection or ends his grant.
type user struct {
	n      int
	email  string
	tenant *tenantOf
	life   time.Duration

	busy sync.Mutex

	grants []*grantTrack
	// connection is the id at present, empty where there is none; all are those he ever had.
	connection string
	all        []string
	// deleting is when the deletion of a connection was first asked for, deleted when it was acknowledged.
	deleting, deleted map[string]time.Time
	// last is the newest credential that a reader got.
	last served
	// wants is when he is to connect again, because a reader was told so; zero where he is not.
	wants time.Time
	// said is what was done to him and what came of it, for the history that a broken promise prints.
	said []string
	// fate and ending are how his connection stands at the end, and the last that was heard of it.
	fate   fate
	ending string
}

// served is a credential that a reader got.
type served struct {
	connection string
	version    int64
	set        *tokenSet
	expires    time.Time
	// at is when the read that got it ended.
	at time.Time
}

func (u *user) newGrant(at time.Time) *grantTrack {
	u.endGrants("a newer consent", at)
	g := &grantTrack{user: u, n: len(u.grants) + 1}
	u.grants = append(u.grants, g)
	return g
}

func (u *user) endGrants(why string, at time.Time) {
	for _, g := range u.grants {
		if g.ended.IsZero() {
			g.ended, g.why = at, why
		}
	}
}

// note adds a line to the user's history.
func (w *world) note(u *user, format string, args ...any) {
	line := stamp(time.Now()) + " " + fmt.Sprintf(format, args...)
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	u.said = append(u.said, line)
}

func stamp(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// current is the user's connection at present; empty where there is none.
func (w *world) current(u *user) string {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	return u.connection
}
