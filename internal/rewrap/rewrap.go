// Package rewrap moves what is sealed under a tenant's key from the key's older versions to the latest.
//
// Mechanism: a request is a row of key_rotations, which also holds how far the work is; any process takes the row's lease,
// does a batch and puts the row back, so that a crash costs one batch and processes take turns. A pass walks over
// everything sealed, first the database, from where escrows move to the vault, then the vault; what is wrapped under an
// older version gets its data key wrapped anew, by check-and-set, and is itself neither opened nor changed. The first pass
// is followed by others, each a lock's life after the one before, until one finds nothing; then, if no spend is under way
// that may have taken its data key before the rotation, the older versions are made unusable.
//
// Reason: tokens are never in the clear here, a refresh beside the walk wins every collision, and the last thing, which
// cannot be undone, is done on a count that no late writer can have made wrong.
//
// Limit: a process that was cut off from both stores for longer than a lock lives, and comes back with an answer sealed
// under an old data key, finds it unopenable. What is sealed under an older version and does not open keeps the minimum
// where it is, until somebody replaces it.
package rewrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// Options are what the service needs.
type Options struct {
	DB    *database.DB
	Vault vault.Vault
	// Lock is how long a spend may hold a data key: a grant lock's life. Zero means 60 s.
	Lock time.Duration
	// Batch is how many sealed things one round looks at; zero means 50.
	Batch int
	// Pause is the rest between two rounds, so that readers are not starved; zero means 100 ms, about 500 things a second.
	Pause time.Duration
	// Idle is how often the loop looks for a request; zero means 5 s.
	Idle time.Duration
	// Logger may be nil.
	Logger *slog.Logger
}

// lease is how long a process may take for one round.
const lease = 2 * time.Minute

// Service re-wraps. It is a loop: Start, Stop, RunOnce.
type Service struct {
	Options

	stop context.CancelFunc
	done chan struct{}
}

// New returns a service.
func New(o Options) *Service {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.Lock, time.Minute)
	def(&o.Pause, 100*time.Millisecond)
	def(&o.Idle, 5*time.Second)
	if o.Batch <= 0 {
		o.Batch = 50
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{Options: o}
}

// Start runs the loop until Stop.
func (s *Service) Start(ctx context.Context) {
	ctx, s.stop = context.WithCancel(ctx)
	s.done = make(chan struct{})
	go s.loop(ctx)
}

// Stop ends the loop and waits for the round under way.
func (s *Service) Stop() {
	if s.stop == nil {
		return
	}
	s.stop()
	<-s.done
}

func (s *Service) loop(ctx context.Context) {
	defer close(s.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		did, err := s.RunOnce(ctx)
		if err != nil && ctx.Err() == nil {
			s.Logger.ErrorContext(ctx, "re-wrapping failed and is tried again", "error", err)
		}
		timer.Reset(s.rest(did, err))
	}
}

// rest is how long to wait after a round.
func (s *Service) rest(did Done, err error) time.Duration {
	if did.Rounds == 0 || err != nil {
		return s.Idle
	}
	return s.Pause
}

// Done counts what a round did.
type Done struct {
	// Rounds is 1 where there was a request to work on.
	Rounds int
	// Checked, Stale and Rewrapped are the sealed things that were looked at, found under an older version, and moved.
	Checked, Stale, Rewrapped int
	// Finished is 1 where the minimum version was raised, or there is no key any more.
	Finished int
}

// RunOnce does one batch of one request, if there is one that is due and nobody is at. Where ctx ends, a batch that was
// begun is carried through. After an error the batch is done again later: nothing that was done is done wrong twice.
func (s *Service) RunOnce(ctx context.Context) (Done, error) {
	if err := ctx.Err(); err != nil {
		return Done{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lease)
	defer cancel()
	r, err := s.claim(ctx, id.New())
	if err != nil || r == nil {
		return Done{}, err
	}
	did, err := s.round(ctx, r)
	did.Rounds = 1
	if err != nil {
		return did, errors.Join(fmt.Errorf("re-wrapping what is %s's: %w", r.tenant, err), s.giveBack(ctx, r))
	}
	return did, s.save(ctx, r)
}

// round does one batch and brings r up to date.
func (s *Service) round(ctx context.Context, r *rotation) (Done, error) {
	info, err := s.Vault.KeyInfo(ctx, r.tenant)
	if errors.Is(err, vault.ErrNoKey) {
		r.finish()
		return Done{Finished: 1}, nil
	}
	if err != nil {
		return Done{}, err
	}
	if err := s.begin(ctx, r, info); err != nil {
		return Done{}, err
	}
	all := s.sources()
	page, err := all[r.source].page(ctx, r.tenant, r.position, s.Batch)
	if err != nil {
		return Done{}, err
	}
	did, err := s.move(ctx, r, info, page)
	if err != nil {
		return did, err
	}
	if r.position = page.last; page.more {
		return did, nil
	}
	r.source, r.position = r.source+1, uuid.Nil
	if r.source < len(all) {
		return did, nil
	}
	return did, s.endPass(ctx, r, &did)
}

// begin fixes the version that everything is to be moved to. A crash between the vault's rotation and the tenant's row is
// mended here.
func (s *Service) begin(ctx context.Context, r *rotation, info vault.KeyInfo) error {
	if r.target == 0 {
		r.target = info.Latest
		if err := NoteVersion(ctx, s.DB.Ent, r.tenant, info.Latest); err != nil {
			return err
		}
	}
	if r.passes > 0 && r.cutoff == uuid.Nil {
		r.cutoff = id.New()
	}
	return nil
}
