// Package deletion ends a tenant, in an order that no crash can turn round: suspended at once, its grants revoked at the
// providers for a bounded time, its key destroyed, its records and rows deleted, its id remembered.
//
// Mechanism: the request is a row of tenant_deletions, written in the transaction that suspends the tenant; the row holds
// the phase. Any process takes the row's lease, does a batch and puts the row back. Each step may be done twice. Connections
// are deleted as their owner would delete them, so that the jobs, the tombstones and the rules of revocation are the same.
// Records and rows are gone over a second time, a lock's life later, for what was under way when the tenant was suspended.
//
// Reason: the key's destruction is what cannot be undone and what makes everything else unreadable, copies and backups
// included; it waits for the revocations, which need it, but not for ever.
//
// Limit: what is not revoked when the time is over lives on at its provider until it ends there by itself; how many those
// are is in the operator's audit trail.
package deletion

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

// Connections deletes a connection and orders its revocation; *connection.Service does.
type Connections interface {
	Delete(ctx context.Context, connection uuid.UUID) error
}

// Options are what the service needs.
type Options struct {
	DB          *database.DB
	Vault       vault.Vault
	Connections Connections
	// Forget, where not nil, is told of a tenant whose key is destroyed, to drop what memory holds of it.
	Forget func(tenant uuid.UUID)
	// RevokeFor bounds the time for revocations, counted from the first round; zero means 10 minutes.
	RevokeFor time.Duration
	// Lock is how long what was under way may go on: a grant lock's life. Zero means 60 s.
	Lock time.Duration
	// Batch is how many connections or records one round deletes, and a tenth of how many rows; zero means 50.
	Batch int
	// Pause is the rest between two rounds; zero means 100 ms.
	Pause time.Duration
	// Idle is how often the loop looks for a request; zero means 5 s.
	Idle time.Duration
	// Now is the clock of audit entries and of finished_at; nil means time.Now. Deadlines use the database's clock.
	Now func() time.Time
	// Logger may be nil.
	Logger *slog.Logger
}

// lease is how long a process may take for one round.
const lease = 5 * time.Minute

// Service deletes tenants. It is a loop: Start, Stop, RunOnce.
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
	def(&o.RevokeFor, 10*time.Minute)
	def(&o.Lock, time.Minute)
	def(&o.Pause, 100*time.Millisecond)
	def(&o.Idle, 5*time.Second)
	if o.Batch <= 0 {
		o.Batch = 50
	}
	if o.Now == nil {
		o.Now = time.Now
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
			s.Logger.ErrorContext(ctx, "deleting a tenant failed and is tried again", "error", err)
		}
		rest := s.Pause
		if did.Rounds == 0 || err != nil {
			rest = s.Idle
		}
		timer.Reset(rest)
	}
}

// Done counts what a round did.
type Done struct {
	// Rounds is 1 where there was a request to work on.
	Rounds int
	// Connections, Records and Rows are what was deleted.
	Connections, Records, Rows int
	// Finished is 1 where nothing of a tenant is left.
	Finished int
}

// RunOnce does one batch of one request, if there is one that is due and nobody is at. Where ctx ends, a batch that was
// begun is carried through. After an error the batch is done again later.
func (s *Service) RunOnce(ctx context.Context) (Done, error) {
	if err := ctx.Err(); err != nil {
		return Done{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lease)
	defer cancel()
	o, err := s.claim(ctx, id.New())
	if err != nil || o == nil {
		return Done{}, err
	}
	did := Done{Rounds: 1}
	if err := s.round(ctx, o, &did); err != nil {
		return did, errors.Join(fmt.Errorf("deleting %s: %w", id.Tenant.Format(o.tenant), err), s.giveBack(ctx, o))
	}
	return did, s.save(ctx, o)
}

// The phases, in their order.
const (
	bury    = "BURY"    // delete the connections, and order their revocation
	revoke  = "REVOKE"  // wait for the revocations
	destroy = "DESTROY" // destroy the key
	records = "RECORDS" // erase what the vault holds
	rows    = "ROWS"    // delete what the database holds
	over    = "DONE"
)

// round does one batch of the phase the order is in.
func (s *Service) round(ctx context.Context, o *order, did *Done) error {
	switch o.phase {
	case bury:
		return s.bury(ctx, o, did)
	case revoke:
		return s.await(ctx, o)
	case destroy:
		return s.destroy(ctx, o)
	case records:
		return s.erase(ctx, o, did)
	case rows:
		return s.clear(ctx, o, did)
	default:
		return fmt.Errorf("unknown phase %q", o.phase)
	}
}
