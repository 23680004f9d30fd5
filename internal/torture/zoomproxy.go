package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// zoomProxy stands between one replica and the emulator, which is part of this process.
type zoomProxy struct {
	world   *world
	replica int
	traps   *traps
}

// weather is what the provider does to requests of its token endpoint for a while.
type weather struct {
	mu   sync.Mutex
	kind string
	// left is how many more requests it takes.
	left int
	dice *rand.Rand
}

func (s *weather) set(kind string, count int, pick uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kind, s.left, s.dice = kind, count, rand.New(rand.NewPCG(pick, 2)) // #nosec G404 -- faults that can be repeated
}

func (s *weather) clear() { s.set("", 0, 0) }

// take returns what is done to a request, and a number that varies it.
func (s *weather) take() (kind string, vary int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left <= 0 || s.dice.IntN(2) == 0 {
		return "", 0
	}
	s.left--
	return s.kind, s.dice.IntN(1000)
}

// recorded is an answer before it is delivered.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorded) Header() http.Header { return r.header }
func (r *recorded) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}
func (r *recorded) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}

// lateBy is how much longer than the service's own patience (20 s) a slow provider takes.
const lateBy = 24 * time.Second

// ServeHTTP implements http.Handler.
func (z *zoomProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	switch r.URL.Path {
	case "/oauth/token":
		z.token(w, r, body)
	case "/oauth/revoke":
		z.revoke(w, r, body)
	default:
		deliver(w, z.process(r, body))
	}
}

// process has the emulator deal with a request, whoever sent it and whether he waits or not.
func (z *zoomProxy) process(r *http.Request, body []byte) *recorded {
	again := r.Clone(z.world.background)
	again.Body = io.NopCloser(bytes.NewReader(body))
	out := &recorded{header: http.Header{}}
	z.world.sim.ServeHTTP(out, again)
	return out
}

func deliver(w http.ResponseWriter, a *recorded) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes())
}

// token deals with a request of the token endpoint: what the harness has in store for it comes before it is processed, or
// after.
func (z *zoomProxy) token(w http.ResponseWriter, r *http.Request, body []byte) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	led := z.world.ledger
	c := led.arrive(z.replica, form.Get("code"), form.Get("refresh_token"))
	defer c.leave()
	go func() {
		select {
		case <-r.Context().Done(): // the sender hung up, or died
			c.hungUp.Store(true)
			c.leave()
		case <-c.left:
		}
	}()
	fault, vary := z.world.weather.take()
	if c.presented != nil {
		if t := z.traps.take(atReserved, c.presented.String()); t != nil && !t.forward {
			panic(http.ErrAbortHandler)
		}
	}
	if z.world.latency > 0 {
		sleep(z.world.background, rand.N(z.world.latency)) // #nosec G404 -- a provider takes its time
	}
	if instead := before(fault, vary); instead != nil {
		if c.user != nil {
			z.world.note(c.user, "the provider answers %s to replica %d: %s", grantType(c), z.replica, fault)
		}
		deliver(w, instead)
		return
	}
	switch fault {
	case "provider-lose":
		panic(http.ErrAbortHandler)
	case "provider-slow":
		sleep(z.world.background, lateBy)
	}
	a, s := z.spend(r, body, c)
	z.after(w, r, c, a, s, fault)
}

func grantType(c *tokenCall) string {
	if c.presented != nil {
		return "a refresh"
	}
	return "an exchange"
}

// spend has the emulator process the request, and notes what came of it. Lives are the users' own, so it is one at a time.
func (z *zoomProxy) spend(r *http.Request, body []byte, c *tokenCall) (*recorded, *tokenSet) {
	z.world.spending.Lock()
	defer z.world.spending.Unlock()
	life := z.world.lifeMin
	if c.user != nil {
		life = c.user.life
	}
	z.world.setLife(life)
	a := z.process(r, body)
	if a.status != http.StatusOK || c.user == nil {
		if c.user != nil {
			z.world.note(c.user, "the provider refuses %s of replica %d: %.120s", grantType(c), z.replica, a.body.String())
		}
		return a, nil
	}
	var got struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal(a.body.Bytes(), &got); err != nil {
		z.world.broke("the emulator's answer cannot be read: %v", err)
		return a, nil
	}
	s := z.world.ledger.commit(c, got.Access, got.Refresh, life, time.Now())
	z.world.note(c.user, "the provider gives replica %d %s", z.replica, s)
	return a, s
}

// after delivers an answer, or not.
func (z *zoomProxy) after(w http.ResponseWriter, r *http.Request, c *tokenCall, a *recorded, s *tokenSet, fault string) {
	led := z.world.ledger
	if s != nil {
		at := atExchanged
		if c.presented != nil {
			at = atSpent
		}
		if t := z.traps.take(at, s.String()); t != nil {
			led.lose(s, "crash at "+at)
			panic(http.ErrAbortHandler)
		}
		if closed(c.left) {
			led.lose(s, "the answer came too late")
			panic(http.ErrAbortHandler)
		}
		if z.lost(w, s, a, fault) {
			return
		}
	}
	deliver(w, a)
	if r.Context().Err() == nil {
		led.answer(s, time.Now())
	}
	if s != nil && c.presented != nil {
		z.traps.takeAfter(atStoring, s.String())
	}
}

// lost deals with an answer as a fault demands that comes after the emulator has committed; false where there is none.
func (z *zoomProxy) lost(w http.ResponseWriter, s *tokenSet, a *recorded, fault string) bool {
	lose := func(what string) {
		z.world.ledger.lose(s, what)
		z.world.note(s.grant.user, "set %d: %s", s.n, what)
	}
	switch fault {
	case "provider-drop":
		lose("the answer was dropped")
		panic(http.ErrAbortHandler)
	case "provider-500-spent":
		lose("a 500 took the place of the answer")
		http.Error(w, "<html><body>Internal Server Error</body></html>", http.StatusInternalServerError)
		return true
	case "provider-truncate":
		lose("the answer was cut in half")
		maps.Copy(w.Header(), a.header)
		w.Header().Set("Content-Length", strconv.Itoa(a.body.Len()))
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body.Bytes()[:a.body.Len()/2])
		return true // net/http cuts the line where less was written than was promised
	default:
		return false
	}
}

// before is what a fault answers in place of the emulator, which does not see the request; nil where it does.
func before(fault string, vary int) *recorded {
	a := &recorded{header: http.Header{"Content-Type": {"application/json"}}}
	switch fault {
	case "provider-429":
		a.status = http.StatusTooManyRequests
		in := time.Now().Add(2 * time.Second).UTC()
		a.header.Set("Retry-After", []string{"2", in.Format(http.TimeFormat), in.Format("2006-01-02T15:04:05Z")}[vary%3])
		a.body.WriteString(`{"code":429,"message":"You have reached the maximum per-second rate limit for this API. Try again later."}`)
	case "provider-500":
		a.status = []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable}[vary%3]
		a.body.WriteString(`{"reason":"Internal error","error":"server_error"}`)
	case "provider-html":
		a.status = []int{http.StatusOK, http.StatusBadGateway, http.StatusForbidden}[vary%3]
		a.header.Set("Content-Type", "text/html")
		a.body.WriteString("<!DOCTYPE html><html><head><title>We'll be right back</title></head><body></body></html>")
	default:
		return nil
	}
	return a
}

// revoke passes a revocation on, and notes what it ended.
func (z *zoomProxy) revoke(w http.ResponseWriter, r *http.Request, body []byte) {
	form, _ := url.ParseQuery(string(body))
	s := z.world.ledger.find(form.Get("token"))
	a := z.process(r, body)
	if s != nil && a.status == http.StatusOK {
		z.world.revoked(s, z.replica)
	}
	deliver(w, a)
}

// find returns the set that a token is of.
func (l *ledger) find(token string) *tokenSet {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.byAccess[strings.TrimSpace(token)]; s != nil {
		return s
	}
	return l.byToken[strings.TrimSpace(token)]
}
