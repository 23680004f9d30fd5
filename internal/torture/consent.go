package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// connectAll connects all users.
func (w *world) connectAll(ctx context.Context) error {
	dice := rand.New(rand.NewPCG(w.seed, 3)) // #nosec G404 -- lives that can be repeated
	for n := range w.connections {
		life := w.lifeMin + time.Duration(dice.Int64N(int64(w.lifeMax-w.lifeMin)+1)).Truncate(time.Second)
		w.users = append(w.users, &user{n: n, email: fmt.Sprintf("user-%d@example.com", n), tenant: w.tenants[n%len(w.tenants)], life: life,
			deleting: map[string]time.Time{}, deleted: map[string]time.Time{}})
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, u := range w.users {
		group.Go(func() error {
			u.busy.Lock()
			defer u.busy.Unlock()
			return w.authorize(ctx, u)
		})
	}
	err := group.Wait()
	w.say("%d users are connected", len(w.users))
	return err
}

// consents bounds how often a user goes through the consent page until his connection stands.
const consents = 40

// authorize has a user consent and the service take the code, as often as that takes: a call whose answer is lost is
// repeated with the same code, and where the service says that the code is gone the user consents anew. busy is held.
func (w *world) authorize(ctx context.Context, u *user) error {
	var err error
	for range consents {
		var code, verifier string
		if code, verifier, err = w.consent(ctx, u); err != nil {
			return err
		}
		if err = w.create(ctx, u, code, verifier); err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.note(u, "createConnection ends with %v", err)
	}
	return fmt.Errorf("%s consented %d times and is not connected: %w", u.email, consents, err)
}

// consent walks through the consent page.
func (w *world) consent(ctx context.Context, u *user) (code, verifier string, err error) {
	verifier = randomText()
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{"response_type": {"code"}, "client_id": {u.tenant.clientID}, "redirect_uri": {redirectURI}, "login_hint": {u.email},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	code, _, err = zoomsim.Consent(ctx, w.browser(), w.simURL+"/oauth/authorize?"+q.Encode())
	w.ledger.consented(u, code)
	w.ledger.secret("PKCE verifier", verifier)
	return code, verifier, err
}

// create calls createConnection until it says what became of the code.
func (w *world) create(ctx context.Context, u *user, code, verifier string) error {
	input := map[string]any{"app": u.tenant.app, "metadata": map[string]string{"user": u.email}, "subject": u.email,
		"grant": map[string]any{"authorizationCode": map[string]any{"code": code, "redirectUri": redirectURI, "codeVerifier": verifier}}}
	var err error
	for range consents {
		r := w.alive(ctx)
		if r == nil {
			sleep(ctx, time.Second)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		var got struct {
			CreateConnection struct{ Connection connectionView }
		}
		call, cancel := context.WithTimeout(ctx, 45*time.Second)
		err = r.call(call, u.tenant.key, createMutation, map[string]any{"input": input}, &got)
		cancel()
		if err == nil {
			w.connected(u, got.CreateConnection.Connection.ID)
			return nil
		}
		if final(err) || ctx.Err() != nil {
			return err
		}
		w.note(u, "createConnection at replica %d: %v; it is repeated", r.n, err)
		sleep(ctx, 500*time.Millisecond)
	}
	return err
}

// final reports whether repeating a call with the same code is of no use.
func final(err error) bool {
	var e *callError
	if !errors.As(err, &e) {
		return false // the line was cut
	}
	return slices.Contains([]string{"PROVIDER_REJECTED", "BAD_USER_INPUT", "NOT_FOUND", "REAUTHORIZATION_REQUIRED"}, e.Code) ||
		e.Code == "PROVIDER_UNAVAILABLE" && e.Field != "" // the answer never arrived: the code may be spent
}

// connected notes a connection that stands.
func (w *world) connected(u *user, connection string) {
	w.note(u, "createConnection says that %s stands", connection)
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	u.connection = connection
	u.wants = time.Time{}
	if !slices.Contains(u.all, connection) {
		u.all = append(u.all, connection)
	}
	if n := len(u.grants); n > 0 {
		u.grants[n-1].acknowledged = time.Now()
	}
}

// reconnect has users who were told to connect again do so, after the time a person takes for it.
func (w *world) reconnect(ctx context.Context, done *sync.WaitGroup) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	slots := make(chan struct{}, 8)
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, u := range w.willing(now) {
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
					return
				}
				done.Go(func() {
					defer func() { <-slots }()
					w.again(u)
				})
			}
		}
	}
}

// willing are the users who were told to connect again long enough ago.
func (w *world) willing(now time.Time) (found []*user) {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	for _, u := range w.users {
		if !u.wants.IsZero() && now.After(u.wants) {
			u.wants = time.Time{}
			found = append(found, u)
		}
	}
	return found
}

// again connects a user again, to the end: it is not cut short by the end of the schedule.
func (w *world) again(u *user) {
	u.busy.Lock()
	defer u.busy.Unlock()
	ctx, cancel := context.WithTimeout(w.background, w.bound)
	defer cancel()
	w.note(u, "consents again")
	if err := w.authorize(ctx, u); err != nil && w.background.Err() == nil {
		w.broke("%s cannot connect: %v", u.email, err)
	}
}
