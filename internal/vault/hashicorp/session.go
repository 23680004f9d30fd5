package hashicorp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// loginPause is how long a failed login is remembered: requests that come meanwhile get its error instead of trying anew.
const loginPause = time.Second

// errClosed is what everything says after Close.
var errClosed = fmt.Errorf("%w: it is closed", vault.ErrUnavailable)

// session is a token that works until it ends. It never changes: a renewal makes another one.
type session struct {
	client, headClient *api.Client
	ticket             ticket
	// began is when the ticket's life was told; full is the life it had when it was new.
	began time.Time
	full  time.Duration
}

// expired reports whether the token's life is over. One without end never expires.
func (s *session) expired(now time.Time) bool {
	return s.ticket.life > 0 && !now.Before(s.began.Add(s.ticket.life))
}

// identity is one login and the session it has now.
type identity struct {
	v    *Vault
	name string
	way  way
	// current is nil until the first login.
	current atomic.Pointer[session]

	// running ends with stop; whatever the identity does on its own account happens under it.
	running context.Context
	halt    context.CancelFunc
	work    sync.WaitGroup
	// news gets a value when current changes.
	news chan struct{}

	mu sync.Mutex
	// flight is the login under way; nil where there is none.
	flight *flight
	// failed and failure are the last login that failed; zero where it succeeded.
	failed  time.Time
	failure error
}

// flight is a login that several requests wait for.
type flight struct {
	done    chan struct{}
	session *session
	err     error
}

func (v *Vault) newIdentity(name string, l Login) (*identity, error) {
	w, err := v.newWay(l)
	if err != nil {
		return nil, err
	}
	id := &identity{v: v, name: name, way: w, news: make(chan struct{}, 1)}
	id.running, id.halt = context.WithCancel(context.Background())
	return id, nil
}

// start logs in for the first time, and renews from then on. Where Vault is away and may be, the first request that finds
// it back logs in.
func (id *identity) start(ctx context.Context) error {
	err := id.firstLogin(ctx)
	if err != nil && !(id.v.options.StartAway && errors.Is(err, vault.ErrUnavailable) && ctx.Err() == nil) {
		return err
	}
	id.v.gate.note(err)
	id.work.Go(id.keepAlive)
	return nil
}

func (id *identity) firstLogin(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		_, err := id.replace(ctx, nil)
		if err == nil {
			return nil
		}
		if attempt >= id.v.options.Retries || !errors.Is(err, vault.ErrUnavailable) || pause(ctx, attempt) != nil {
			return err
		}
		id.forgive()
	}
}

// stop ends renewals and logins, and gives the token back where this process logged in for it.
func (id *identity) stop() {
	id.mu.Lock()
	id.halt()
	id.mu.Unlock()
	id.work.Wait()
	s := id.current.Load()
	if s == nil || !s.ticket.ours {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	// Where Vault is away the token ends by itself.
	_ = id.v.send(ctx, s.client, request{method: http.MethodPut, path: "auth/token/revoke-self", body: struct{}{}}, nil)
}

// session returns the session to send a request with; it logs in where there is none that can work.
func (id *identity) session(ctx context.Context) (*session, error) {
	if id.running.Err() != nil {
		return nil, errClosed
	}
	s := id.current.Load()
	if s != nil && !s.expired(id.v.options.Now()) && !id.way.changed() {
		return s, nil
	}
	return id.replace(ctx, s)
}

// ended tells, after a refusal, whether the session's token is over, or whether a policy refuses what it may not do.
func (id *identity) ended(ctx context.Context, s *session, refusal error) bool {
	if id.current.Load() != s {
		return true
	}
	if e, ok := asAnswer(refusal); ok && e.says("invalid token", "bad token") {
		return true
	}
	// Older servers say the same for both; a token may always look at itself.
	return refused(id.v.send(ctx, s.client, lookupSelf, nil))
}

// replace logs in, once for all who ask, unless somebody has replaced old meanwhile. Errors: vault.ErrDenied,
// vault.ErrUnavailable.
func (id *identity) replace(ctx context.Context, old *session) (*session, error) {
	f, s, err := id.board(old)
	if f == nil {
		return s, err
	}
	select {
	case <-f.done:
		return f.session, f.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: waiting for a login: %w", vault.ErrUnavailable, ctx.Err())
	}
}

// board returns the login under way, or begins one; without one it returns the session that replaced old, or why there
// is none.
func (id *identity) board(old *session) (*flight, *session, error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	if now := id.current.Load(); now != old {
		return nil, now, nil
	}
	if id.running.Err() != nil {
		return nil, nil, errClosed
	}
	if id.failure != nil && id.v.options.Now().Sub(id.failed) < loginPause {
		return nil, nil, id.failure
	}
	if id.flight == nil {
		f := &flight{done: make(chan struct{})}
		id.flight = f
		id.work.Go(func() { id.fly(f) })
	}
	return id.flight, nil, nil
}

// fly logs in and tells all who wait.
func (id *identity) fly(f *flight) {
	ctx, cancel := context.WithTimeout(id.running, 2*id.v.options.Timeout)
	defer cancel()
	f.session, f.err = id.login(ctx)
	id.mu.Lock()
	defer id.mu.Unlock()
	id.flight, id.failure = nil, nil
	if f.err != nil {
		id.failed, id.failure = id.v.options.Now(), f.err
		id.v.logger().WarnContext(ctx, "logging in to vault failed", "identity", id.name, "error", f.err)
	} else {
		id.install(f.session)
	}
	close(f.done)
}

// install makes s the current session.
func (id *identity) install(s *session) {
	id.current.Store(s)
	select {
	case id.news <- struct{}{}:
	default:
	}
}

// forgive forgets the last failure.
func (id *identity) forgive() {
	id.mu.Lock()
	defer id.mu.Unlock()
	id.failure = nil
}

func (id *identity) login(ctx context.Context) (*session, error) {
	c, err := id.v.newClient(noToken)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", vault.ErrInvalid, err)
	}
	began := id.v.options.Now()
	t, err := id.way.login(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("logging in with %s: %w", id.way, loginError(err))
	}
	id.v.logger().InfoContext(ctx, "logged in to vault", "identity", id.name, "life", t.life, "renewable", t.renewable)
	return id.v.newSession(t, began)
}

func (v *Vault) newSession(t ticket, began time.Time) (*session, error) {
	client, err := v.newClient(t.token)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", vault.ErrInvalid, err)
	}
	head, err := v.newHeadClient(t.token)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", vault.ErrInvalid, err)
	}
	return &session{client: client, headClient: head, ticket: t, began: began, full: t.life}, nil
}
