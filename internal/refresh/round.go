package refresh

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/connection"
)

// Done counts what was done.
type Done struct {
	// Claimed counts the refreshes that were taken, Parked those that were moved to their app's lane, PutOff those of
	// tenants that are suspended or in trouble.
	Claimed, Parked, PutOff int
	// How the refreshes ended; Faults are those that our own side kept from being made.
	Renewed, Refused, Limited, Troubled, Skipped, Faults int
}

func (d *Done) add(o Done) {
	d.Claimed += o.Claimed
	d.Parked += o.Parked
	d.PutOff += o.PutOff
	d.Renewed += o.Renewed
	d.Refused += o.Refused
	d.Limited += o.Limited
	d.Troubled += o.Troubled
	d.Skipped += o.Skipped
	d.Faults += o.Faults
}

// counter adds up how refreshes ended.
type counter struct {
	mu  sync.Mutex
	sum Done
}

func (c *counter) add(d Done) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum.add(d)
}

// take returns what was added since it was called last.
func (c *counter) take() Done {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.sum
	c.sum = Done{}
	return out
}

// RunOnce does rounds until nothing more can be taken now, waits for what it has begun, and says what was done.
func (s *Scheduler) RunOnce(ctx context.Context) (Done, error) {
	var sum Done
	s.counts.take()
	for {
		did, err := s.round(ctx)
		s.workers.Wait()
		sum.add(did)
		sum.add(s.counts.take())
		if err != nil || did.Claimed+did.Parked+did.PutOff == 0 {
			return sum, err
		}
	}
}

// suspendedFor is when a refresh of a suspended tenant is looked at again. Such a tenant is most often being deleted.
const suspendedFor = time.Hour

// bulk is how many refreshes are moved out of the others' way by one statement.
const bulk = 4096

// round looks once at what is due and begins what there is room for.
func (s *Scheduler) round(ctx context.Context) (Done, error) {
	if err := ctx.Err(); err != nil {
		return Done{}, err
	}
	if !s.away.over(ctx, s) {
		return Done{}, nil
	}
	free := s.away.bound(s.gates.free())
	if free <= 0 {
		return Done{}, nil
	}
	chosen, did, err := s.pick(ctx, free)
	if err != nil {
		s.abort(chosen)
		return Done{}, err
	}
	did.Claimed, err = s.begin(ctx, chosen)
	return did, err
}

// pick chooses so many. The lanes and the intake have half each; a place that is left over, which is all there is while
// workers become free one by one, they have in turn.
func (s *Scheduler) pick(ctx context.Context, free int) (chosen []connection.Due, did Done, err error) {
	share := (free + s.odd) / 2
	s.odd = 1 - s.odd
	if share > 0 {
		if chosen, did, err = s.fromLanes(ctx, share); err != nil {
			return chosen, did, err
		}
	}
	fresh, more, err := s.fromIntake(ctx, free-len(chosen))
	chosen = append(chosen, fresh...)
	did.add(more)
	if err == nil && share == 0 && len(chosen) == 0 {
		chosen, more, err = s.fromLanes(ctx, free)
		did.add(more)
	}
	return chosen, did, err
}

// lanesAtOnce is how many apps are looked at in one round for refreshes that wait.
const lanesAtOnce = 64

// fromLanes chooses among what waits for its app. Apps come in turn.
func (s *Scheduler) fromLanes(ctx context.Context, room int) (chosen []connection.Due, did Done, err error) {
	for began := s.lane; ; began = uuid.Nil {
		lanes, err := s.Connections.Lanes(ctx, s.lane, lanesAtOnce)
		if err != nil {
			return chosen, did, err
		}
		for _, l := range lanes {
			if len(chosen) >= room {
				return chosen, did, nil
			}
			s.lane = l.App
			took, put, err := s.fromLane(ctx, l, room-len(chosen))
			chosen = append(chosen, took...)
			did.PutOff += put
			if err != nil {
				return chosen, did, err
			}
		}
		if len(lanes) == lanesAtOnce {
			return chosen, did, nil
		}
		s.lane = uuid.Nil
		if began == uuid.Nil || len(chosen) > 0 {
			return chosen, did, nil
		}
	}
}

// fromLane chooses among what waits for one app. What belongs to a suspended tenant, which may share the app with others,
// is put off.
func (s *Scheduler) fromLane(ctx context.Context, l connection.Lane, room int) (chosen []connection.Due, putOff int, err error) {
	n := min(s.gates.room(l), room)
	if n <= 0 {
		return nil, 0, nil
	}
	due, err := s.Connections.DueInLane(ctx, l.App, n)
	if err != nil {
		return nil, 0, err
	}
	chosen, _, err = s.choose(ctx, due, room)
	putOff, failed := s.putOff(ctx, due)
	return chosen, putOff, errors.Join(err, failed)
}

// fromIntake chooses among what is due. Where the window is full and not all of it could be chosen, what has no room is
// moved out of the others' way.
func (s *Scheduler) fromIntake(ctx context.Context, room int) (chosen []connection.Due, did Done, err error) {
	due, err := s.Connections.DueNow(ctx, s.Window)
	if err != nil {
		return nil, did, err
	}
	chosen, blocked, err := s.choose(ctx, due, room)
	if err != nil {
		return chosen, did, err
	}
	if len(due) == s.Window && len(blocked) > 0 && len(chosen) < room {
		if due, err = s.Connections.DueNow(ctx, bulk); err != nil {
			return chosen, did, err
		}
		parked := s.blocked(due)
		if err := s.Connections.Park(ctx, parked); err != nil {
			return chosen, did, err
		}
		did.Parked = len(parked)
	}
	did.PutOff, err = s.putOff(ctx, due)
	return chosen, did, err
}

// putOff makes due later what belongs to tenants that rest, and counts it.
func (s *Scheduler) putOff(ctx context.Context, due []connection.Due) (n int, err error) {
	now, later := s.Now(), map[time.Time][]connection.Due{}
	for _, d := range due {
		if until := s.restsUntil(d, now); now.Before(until) {
			later[until] = append(later[until], d)
		}
	}
	for until, some := range later {
		n += len(some)
		err = errors.Join(err, s.Connections.PutOff(ctx, some, until))
	}
	return n, err
}

// blocked are those for which their app has no room now.
func (s *Scheduler) blocked(due []connection.Due) []connection.Due {
	room := map[uuid.UUID]int{}
	var blocked []connection.Due
	for _, d := range due {
		left, known := room[d.Lane.App]
		if !known {
			left = s.gates.room(d.Lane)
		}
		if !s.rests(d) && left <= 0 {
			blocked = append(blocked, d)
		}
		room[d.Lane.App] = left - 1
	}
	return blocked
}

// choose takes places in the gates for as many as there is room, and returns those that got none because of their app or
// provider. Those of tenants that rest are neither.
func (s *Scheduler) choose(ctx context.Context, due []connection.Due, room int) (chosen, blocked []connection.Due, err error) {
	for _, d := range due {
		switch {
		case s.rests(d):
		case len(chosen) >= room:
			return chosen, blocked, nil
		case !s.gates.enter(d.Lane):
			blocked = append(blocked, d)
		default:
			mine, err := s.probe(ctx, &d)
			if err != nil {
				s.gates.leave(d.Lane, silent)
				return chosen, blocked, err
			}
			if !mine {
				s.gates.leave(d.Lane, silent)
				blocked = append(blocked, d)
				continue
			}
			chosen = append(chosen, d)
		}
	}
	return chosen, blocked, nil
}

// probe makes the refresh of a misconfigured app a probe, if no other process has taken that.
func (s *Scheduler) probe(ctx context.Context, d *connection.Due) (bool, error) {
	if !d.Lane.Misconfigured {
		return true, nil
	}
	d.Probe = true
	return s.Connections.ClaimProbe(ctx, d.Lane.App)
}

// abort gives back the places of what was chosen in vain.
func (s *Scheduler) abort(chosen []connection.Due) {
	for _, d := range chosen {
		s.gates.leave(d.Lane, silent)
	}
}

// claimWithin bounds one claim.
const claimWithin = 10 * time.Second

// begin claims what was chosen and sets workers to it. What another process has got is left to it.
func (s *Scheduler) begin(ctx context.Context, chosen []connection.Due) (int, error) {
	// Who is told to stop must learn what it has claimed: a statement cut off may have claimed all the same, for the lease.
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimWithin)
	got, err := s.Connections.ClaimDue(short, chosen, s.Lease)
	cancel()
	if err != nil {
		s.abort(chosen)
		return 0, err
	}
	mine := make(map[uuid.UUID]bool, len(got))
	for _, d := range got {
		mine[d.Connection] = true
	}
	for _, d := range chosen {
		if !mine[d.Connection] {
			s.gates.leave(d.Lane, silent)
		}
		delete(mine, d.Connection) // chosen twice, it still has one worker, who leaves one place
	}
	if ctx.Err() != nil { // told to stop meanwhile
		return 0, s.giveBack(got)
	}
	for _, d := range got {
		s.workers.Go(func() { s.work(d) })
	}
	return len(got), nil
}

// giveBack gives back what was claimed and not begun.
func (s *Scheduler) giveBack(got []connection.Due) error {
	var failed error
	for _, d := range got {
		failed = errors.Join(failed, s.Connections.GiveBack(s.working, d))
	}
	s.abort(got)
	return failed
}

// work makes one refresh.
func (s *Scheduler) work(d connection.Due) {
	ctx, cancel := context.WithTimeout(s.working, s.patience())
	defer cancel()
	ending, err := s.Connections.RefreshDue(ctx, d)
	did, v := outcome(ending, err)
	s.counts.add(did)
	s.gates.leave(d.Lane, v)
	if err != nil {
		s.fault(ctx, d, err)
	} else if v != silent {
		s.away.well()
		s.troubled.well(d.Tenant)
	}
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

// outcome is what an ending counts as, and what the gates learn from it.
func outcome(e connection.Ending, err error) (Done, verdict) {
	switch {
	case err != nil:
		return Done{Faults: 1}, silent
	case e == connection.Renewed:
		return Done{Renewed: 1}, well
	case e == connection.Refused:
		return Done{Refused: 1}, well
	case e == connection.Limited:
		return Done{Limited: 1}, enough
	case e == connection.Troubled:
		return Done{Troubled: 1}, ill
	default:
		return Done{Skipped: 1}, silent
	}
}
