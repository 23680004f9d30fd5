// Package refresh renews tokens ahead of need.
//
// Mechanism: a loop reads what is due from an index, oldest first, chooses what its gates let through (so many at once in
// all, for each provider and for each app), claims the choice for two minutes by the database's clock, and has package
// connection refresh each. What stands in the way of others, because its app is paused or has more due than it has room
// for, moves in bulk to the app's own lane and is taken from there. An app that its provider refuses gets one try at
// growing intervals; one that sent 429 rests for as long as was asked; when the provider fails, its gate lets a few
// through until one succeeds. When our own vault or database is away nothing is claimed at all.
//
// Reason: the row is the authority. Any number of processes run this loop over one database; a claim is a lease, so a
// crash costs two minutes and no refresh, and which token is spent is decided under the grant's lock, never here.
//
// Limit: within a lane the order is by due time, so that after a long pause connections in use wait behind idle ones that
// were due before them; their readers refresh on demand meanwhile.
package refresh

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/connection"
)

// Options configure a Scheduler.
type Options struct {
	Connections *connection.Service
	// Ready asks whether the vault and the database answer; nil means that they do.
	Ready func(ctx context.Context) error
	// Workers is how many refreshes this process makes at once; zero means 64. PerProvider and PerApp bound those of one
	// provider and of one app; zero means 48 and 32.
	Workers, PerProvider, PerApp int
	// Lease is how long a claim lasts; zero means 2 min. It is longer than a refresh takes.
	Lease time.Duration
	// Idle is how often the loop looks for work where it knows of none and nobody wakes it; zero means 5 s.
	Idle time.Duration
	// Window is how many due refreshes are looked at in one round; zero means 512.
	Window int
	// Now is the clock by which refreshes are due; nil means time.Now.
	Now func() time.Time
	// Jitter returns a random number in [0,1); nil means math/rand.
	Jitter func() float64
	// Logger may be nil.
	Logger *slog.Logger
}

func (o *Options) setDefaults() {
	number := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	number(&o.Workers, 64)
	number(&o.PerProvider, 48)
	number(&o.PerApp, 32)
	number(&o.Window, 512)
	if o.Lease <= 0 {
		o.Lease = 2 * time.Minute
	}
	if o.Idle <= 0 {
		o.Idle = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Scheduler is the loop: Start, Stop, RunOnce.
type Scheduler struct {
	Options

	gates *gates
	// lane is the app whose lane was looked into last: lanes are served in turn.
	lane uuid.UUID
	// odd is 1 where the lanes have the place that is left over when places are halved, and 0 where the intake has it.
	odd  int
	away away
	// troubled are tenants that rest after faults of our own.
	troubled troubled
	// freed yields a value when a worker has ended.
	freed   chan struct{}
	workers sync.WaitGroup
	counts  counter

	stop    context.CancelFunc
	abandon context.CancelFunc
	// working is the context of the workers: it outlives the claiming.
	working context.Context
	done    chan struct{}
}

// New returns a scheduler.
func New(o Options) *Scheduler {
	o.setDefaults()
	s := &Scheduler{Options: o, freed: make(chan struct{}, 1), working: context.Background()}
	s.gates = &gates{perApp: o.PerApp, perProvider: o.PerProvider, workers: o.Workers, now: o.Now, jitter: o.Jitter,
		apps: map[uuid.UUID]*gate{}, providers: map[string]*gate{}}
	return s
}

// Start runs the loop until Stop.
func (s *Scheduler) Start(ctx context.Context) {
	s.working, s.abandon = context.WithCancel(context.WithoutCancel(ctx))
	ctx, s.stop = context.WithCancel(ctx)
	s.done = make(chan struct{})
	go s.loop(ctx)
}

// Stop claims nothing more and waits for the refreshes that have begun, until ctx ends: then nobody waits for them any
// more, and what is spent goes on by itself (see connection.Service.Drain). Claims that were not begun are given back.
func (s *Scheduler) Stop(ctx context.Context) {
	if s.stop == nil {
		return
	}
	s.stop()
	<-s.done
	left := context.AfterFunc(ctx, s.abandon)
	defer left()
	s.workers.Wait()
	s.abandon()
}

// Stopping is closed when the loop, which Start has begun, claims nothing more.
func (s *Scheduler) Stopping() <-chan struct{} { return s.done }

// InFlight is how many refreshes this process has under way.
func (s *Scheduler) InFlight() int { return s.Workers - s.gates.free() }

// patience bounds how long a worker waits for one refresh. The refresh itself is bounded by its own budgets.
func (s *Scheduler) patience() time.Duration { return s.Lease }

func (s *Scheduler) loop(ctx context.Context) {
	defer close(s.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	sooner := s.Connections.WatchDue()
	defer sooner.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-sooner.C:
		case <-s.freed:
			s.gather(ctx)
		}
		did, err := s.round(ctx)
		if err != nil && ctx.Err() == nil {
			s.Logger.ErrorContext(ctx, "looking for due refreshes failed and is tried again", "error", err)
		}
		timer.Reset(s.wait(ctx, did, err))
	}
}

// gatherFor is how long the loop waits for more workers to be free before it claims for the first: one statement for
// many claims.
const gatherFor = 10 * time.Millisecond

func (s *Scheduler) gather(ctx context.Context) {
	timer := time.NewTimer(gatherFor)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// soon is how long the loop waits where something is due that it could not take.
const soon = time.Second

// wait is how long the loop rests after a round.
func (s *Scheduler) wait(ctx context.Context, did Done, err error) time.Duration {
	switch {
	case err != nil:
		return soon
	case did.Parked > 0 || did.PutOff > 0:
		return 0
	case did.Claimed > 0:
		return gatherFor
	case s.InFlight() > 0:
		return soon
	}
	next, planned, err := s.Connections.NextDue(ctx)
	if err != nil || !planned {
		return s.Idle
	}
	return min(max(next.Sub(s.Now()), soon/10), s.Idle)
}
