package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// readings is what readers have met.
type readings struct {
	reads, fresh, refused, dead, gone, failed atomic.Int64
	mu                                        sync.Mutex
	// refusals and deaths are judged at the end, when everything is known.
	refusals []refusal
	deaths   []death
}

// refusal is a read that got no credential though one may have been stored.
type refusal struct {
	user       *user
	connection string
	replica    int
	ttl        *int
	// began and ended bound the read; as says what it got.
	began, ended time.Time
	as           string
	// known is the newest credential of the connection that any reader had by then.
	known served
	view  *connectionView
}

// death is a read that was told that the user must connect again.
type death struct {
	user         *user
	connection   string
	replica      int
	began, ended time.Time
	reason       string
}

// readers are the paced readers of all replicas.
type readers struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (r *readers) stop() {
	r.cancel()
	r.done.Wait()
}

// most bounds how many reads of a replica are under way: a frozen one answers none.
const most = 200

// startReaders begins to read at the pace of the options, at each replica.
func (w *world) startReaders(ctx context.Context) *readers {
	ctx, cancel := context.WithCancel(ctx)
	all := &readers{cancel: cancel}
	for _, r := range w.replicas {
		all.done.Go(func() { w.readAt(ctx, r, &all.done) })
	}
	return all
}

// readAt reads at one replica.
func (w *world) readAt(ctx context.Context, r *replica, done *sync.WaitGroup) {
	dice := rand.New(rand.NewPCG(w.seed, uint64(100+r.n))) // #nosec G404 -- load
	tick := time.NewTicker(time.Duration(float64(time.Second) / w.readRate))
	defer tick.Stop()
	slots := make(chan struct{}, most)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		u, connection := w.pick(dice)
		ttl := []*int{nil, nil, new(int), pointer(10)}[dice.IntN(4)]
		select {
		case slots <- struct{}{}:
			done.Go(func() {
				defer func() { <-slots }()
				_, _ = w.read(w.background, r, u, connection, ttl)
			})
		default: // it is as if the caller had a limit, too
		}
	}
}

func pointer(n int) *int { return &n }

// pick draws a connection: mostly one that stands, now and then one that was deleted.
func (w *world) pick(dice *rand.Rand) (*user, string) {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	for {
		u := w.users[dice.IntN(len(w.users))]
		if len(u.all) == 0 {
			continue
		}
		if u.connection == "" || dice.IntN(20) == 0 {
			return u, u.all[dice.IntN(len(u.all))]
		}
		return u, u.connection
	}
}

// read asks for a credential and looks at what comes.
func (w *world) read(ctx context.Context, r *replica, u *user, connection string, ttl *int) (got readAnswer, err error) {
	w.ledger.mu.Lock()
	known := u.last
	w.ledger.mu.Unlock()
	variables := map[string]any{"id": connection}
	if ttl != nil {
		variables["ttl"] = *ttl
	}
	began := time.Now()
	err = r.call(ctx, u.tenant.key, readQuery, variables, &got)
	ended := time.Now()
	w.readings.reads.Add(1)
	f := refusal{user: u, connection: connection, replica: r.n, ttl: ttl, began: began, ended: ended, known: known, view: got.Credential.Connection}
	switch c := got.Credential; {
	case err != nil:
		w.readings.failed.Add(1)
		f.as = err.Error()
		if slices.Contains([]string{"BAD_USER_INPUT", "UNAUTHENTICATED", "FORBIDDEN", "TOO_COMPLEX"}, codeOf(err)) {
			w.brokeOf(u, "replica %d answers a read with %v", r.n, err)
		}
		w.refused(f)
	case c.Typename == "Credential":
		w.readings.fresh.Add(1)
		w.got(u, connection, r.n, began, ended, got)
	case c.Typename == "ReauthorizationRequired":
		w.readings.dead.Add(1)
		w.told(death{user: u, connection: connection, replica: r.n, began: began, ended: ended, reason: c.Failure.Reason})
	case c.Typename == "NotConnected":
		w.readings.gone.Add(1)
		f.as = "NotConnected"
		w.refused(f)
	default:
		w.readings.refused.Add(1)
		f.as = fmt.Sprintf("%s: %s", c.Code, c.Message)
		w.refused(f)
	}
	return got, err
}

// clockError is how far the service may be off the database's clock, which all replicas follow.
const clockError = time.Second

// got checks a credential: it must be of this user, and of a connection that was not deleted before it was asked for.
func (w *world) got(u *user, connection string, replica int, began, ended time.Time, a readAnswer) {
	s := w.ledger.given(a.Credential.AccessToken, ended)
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	if at, gone := u.deleted[connection]; gone && began.After(at) {
		w.brokeOf(u, "replica %d serves %s, whose deletion was acknowledged at %s, to a read that began at %s", replica, connection, stamp(at), stamp(began))
	}
	switch {
	case s == nil:
		w.brokeOf(u, "replica %d serves a token for %s that the provider never gave", replica, connection)
		return
	case s.grant.user != u:
		w.brokeOf(u, "replica %d serves %s the token of %s", replica, connection, s)
		return
	case s.expires.Add(clockError).Before(began):
		w.brokeOf(u, "replica %d serves %s at %s, which expired at %s", replica, s, stamp(began), stamp(s.expires))
	}
	if u.last.connection != connection || a.Credential.Version >= u.last.version {
		u.last = served{connection: connection, version: a.Credential.Version, set: s, expires: s.expires, at: ended}
	}
}

// refused keeps a refusal for the end.
func (w *world) refused(f refusal) {
	w.readings.mu.Lock()
	defer w.readings.mu.Unlock()
	w.readings.refusals = append(w.readings.refusals, f)
}

// told keeps what a reader was told, and has most users connect again some time later.
func (w *world) told(d death) {
	w.readings.mu.Lock()
	w.readings.deaths = append(w.readings.deaths, d)
	w.readings.mu.Unlock()
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	u := d.user
	if u.connection == d.connection && u.wants.IsZero() && u.n%5 != 0 {
		u.wants = d.ended.Add(time.Duration(2+rand.IntN(8)) * time.Second) // #nosec G404 -- load
	}
}

// browser is the client that users consent with.
func (w *world) browser() *http.Client { return &http.Client{Timeout: 20 * time.Second} }
