package hashicorp

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// Pauses between probes are drawn from the upper half of a bound that begins at minProbePause and doubles up to
// maxProbePause; probeTimeout is what one is given.
const (
	minProbePause = 100 * time.Millisecond
	maxProbePause = 2 * time.Second
	probeTimeout  = 2 * time.Second
)

// gate keeps requests from a Vault that is away. A request that finds Vault sealed, or nobody listening, shuts it; one that
// went without an answer has a probe look first, because a single slow request proves nothing about the others. While it
// is shut one goroutine probes; it opens with the first probe, or the first request that passed all the same, that
// succeeds.
type gate struct {
	probe func(context.Context) error
	// back is called when the gate opens.
	back func()
	log  *slog.Logger
	// away is why requests are kept back; nil while they pass.
	away atomic.Pointer[error]

	running context.Context
	halt    context.CancelFunc
	work    sync.WaitGroup
	mu      sync.Mutex
	// probing is true while the goroutine runs.
	probing bool
}

func newGate(probe func(context.Context) error, back func(), log *slog.Logger) *gate {
	g := &gate{probe: probe, back: back, log: log}
	g.running, g.halt = context.WithCancel(context.Background())
	return g
}

// enter returns why a request is not to be sent: nil where it is, as always for one that insists. Errors: vault.ErrAway.
func (g *gate) enter(ctx context.Context) error {
	if vault.Insists(ctx) {
		return nil
	}
	return g.known()
}

// known returns why Vault is known to be away. Errors: vault.ErrAway.
func (g *gate) known() error {
	if away := g.away.Load(); away != nil {
		return *away
	}
	return nil
}

// note is told how a request ended.
func (g *gate) note(err error) {
	switch {
	case err == nil:
		if g.away.Load() != nil && g.away.Swap(nil) != nil {
			g.back()
			g.log.Info("vault is back")
		}
	case gone(err):
		g.shut(err)
		g.look()
	case doubtful(err):
		g.look()
	}
}

// shut keeps requests back from now on.
func (g *gate) shut(cause error) {
	away := fmt.Errorf("%w: %w", vault.ErrAway, cause)
	if g.away.Swap(&away) == nil {
		g.log.Warn("vault is away; requests are kept from it until a probe finds it back", "error", cause)
	}
}

// look begins to probe, unless that is under way or everything ends.
func (g *gate) look() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.probing || g.running.Err() != nil {
		return
	}
	g.probing = true
	g.work.Go(g.probeUntilBack)
}

// probeUntilBack probes until Vault answers; each probe that fails shuts the gate, the first one too.
func (g *gate) probeUntilBack() {
	for attempt := 0; ; attempt++ {
		ctx, cancel := context.WithTimeout(g.running, probeTimeout)
		err := g.probe(ctx)
		cancel()
		if g.stop(err) {
			return
		}
		g.shut(err)
		bound := min(minProbePause<<min(attempt, 10), maxProbePause)
		_ = sleep(g.running, bound/2+rand.N(bound/2)) //nolint:gosec // jitter needs no secret randomness
	}
}

// stop ends the probing where the probe succeeded or everything ends. Whoever looks from now on begins anew.
func (g *gate) stop(err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil && g.running.Err() == nil {
		return false
	}
	g.probing = false
	if err == nil {
		g.note(nil)
	}
	return true
}

// close ends the probing.
func (g *gate) close() {
	g.mu.Lock()
	g.halt()
	g.mu.Unlock()
	g.work.Wait()
}

// Absent returns why Vault is known to be away, without asking it; nil where it is not. Errors: vault.ErrAway.
func (v *Vault) Absent() error { return v.gate.known() }

// forgive lets the next request log in at once: why a login failed is past when Vault is back.
func (v *Vault) forgive() {
	for _, id := range v.identities() {
		id.forgive()
	}
}

// probe asks whether Vault is there and unsealed; a standby counts, because it hands on what it is asked. It is asked
// outside of any namespace, where alone it is answered. Where something in front of Vault keeps that from us, a request that
// needs a token is sent without one: only a Vault that is there and unsealed refuses it.
func (v *Vault) probe(ctx context.Context) error {
	c, err := v.newClient(noToken)
	if err != nil {
		return err
	}
	c.ClearNamespace()
	standby := map[string][]string{"standbyok": {"true"}, "perfstandbyok": {"true"}}
	err = v.send(ctx, c, request{method: http.MethodGet, path: "sys/health", query: standby}, nil)
	if !declined(err) {
		return err
	}
	if err := v.send(ctx, c, lookupSelf, nil); !declined(err) {
		return err
	}
	return nil
}

// drSecondary is the status with which a disaster recovery secondary says that it serves nobody.
const drSecondary = 472

// declined reports whether somebody answered that he does not do that, be it Vault or what is in front of it.
func declined(err error) bool {
	e, ok := asAnswer(err)
	return ok && e.status >= http.StatusBadRequest && e.status < http.StatusInternalServerError && e.status != drSecondary
}
