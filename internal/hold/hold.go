// Package hold keeps connections from ending while what ends them looks like an incident, until an operator decides.
//
// Mechanism: whoever is about to end a connection asks here first, inside the transaction that would end it (Ask). Two
// things are held: endings because a store lost or rolled back what it had (of the whole fleet), and endings of more than
// a share of one app's connections within minutes. The first ending that is kept raises the hold, a row of its own, with
// an entry in the operator's audit trail in the same transaction and one ERROR line in the log after it, which is repeated
// while the hold stands (watch.go). The row of
// the counter is locked while it is decided whether a hold is raised, so that any number of replicas raise one. What is
// counted and what follows are pure functions (brake.go).
//
// Reason: a connection that is called dead needs its user to come back. Users leave one by one; when many would be gone at
// once, the mistake is more likely a provider's, an operator's or ours, and can be put right.
//
// Limit: endings below the threshold go through before anybody can know. A hold that stands keeps nothing alive at the
// provider: it only keeps us from giving up.
package hold

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/id"
)

// Policy says when endings are an incident. Zero fields mean the defaults.
type Policy struct {
	// Window is the time over which endings are counted; 10 minutes.
	Window time.Duration
	// Share is the share of an app's connections, in percent, that must be about to end within Window; 20.
	Share int
	// Minimum is how many endings there must be at least, so that a small app's are let through; 10. It is also how many
	// lost records the fleet needs.
	Minimum int
	// Lets is how long a confirmed hold of an app lets further endings through; 1 hour.
	Lets time.Duration
}

// Policies that nobody needs to set.
const (
	// letsFleet is how long a confirmed hold of the fleet lets endings through of what was stored before it was confirmed:
	// connections that are seldom used are found to be rolled back weeks later.
	letsFleet = 30 * 24 * time.Hour
	// quiet is how long a hold of an app must have kept nothing before it ends by itself. It is longer than a held
	// connection waits for its next attempt.
	quiet = time.Hour
	// countAtMost bounds the count of an app's connections. Of a larger app a share of this many is an incident.
	countAtMost = 50_000
)

func (p Policy) withDefaults() Policy {
	if p.Window <= 0 {
		p.Window = 10 * time.Minute
	}
	if p.Share <= 0 {
		p.Share = 20
	}
	if p.Minimum <= 0 {
		p.Minimum = 10
	}
	if p.Lets <= 0 {
		p.Lets = time.Hour
	}
	return p
}

// Subject is what a hold is about: the fleet, or one app.
type Subject string

// Fleet is the subject of holds of all connections: a store was rolled back.
const Fleet Subject = "fleet"

// OfApp is the subject of holds of one app's connections.
func OfApp(app uuid.UUID) Subject { return Subject(app.String()) }

// App returns the app; uuid.Nil for the fleet.
func (s Subject) App() uuid.UUID {
	u, err := uuid.Parse(string(s))
	if err != nil {
		return uuid.Nil
	}
	return u
}

// String says it to people.
func (s Subject) String() string {
	if s == Fleet {
		return "the fleet"
	}
	return id.App.Format(s.App())
}

// Options configure a Service.
type Options struct {
	DB     *database.DB
	Policy Policy
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger gets the alarms; nil discards them.
	Logger *slog.Logger
}

// Service raises holds and ends them. It is safe for concurrent use.
type Service struct {
	db     *database.DB
	policy Policy
	clock  func() time.Time
	log    *slog.Logger
}

// New returns a Service.
func New(o Options) *Service {
	s := &Service{db: o.DB, policy: o.Policy.withDefaults(), clock: o.Now, log: o.Logger}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// now is the clock in the resolution that databases keep.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// Name is the public id of a hold.
func Name(h *ent.Hold) string { return id.Hold.Format(h.ID) }

// describe says what a hold is about, for the log and the audit trail.
func describe(h *ent.Hold) string {
	if Subject(h.Subject) == Fleet {
		return fmt.Sprintf("connections of the fleet would end with %s: was the vault or the database restored from a backup?", h.Reason)
	}
	return fmt.Sprintf("many connections of %s would end at once, the first held with %s", Subject(h.Subject), h.Reason)
}
