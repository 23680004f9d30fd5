package refresh

import (
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/connection"
)

// gates are those of all apps and providers that have something under way, or in their way.
type gates struct {
	perApp, perProvider, workers int
	now                          func() time.Time
	jitter                       func() float64

	mu        sync.Mutex
	inFlight  int
	apps      map[uuid.UUID]*gate
	providers map[string]*gate
}

// of returns the gates of a lane.
func (g *gates) of(l connection.Lane) (app, provider *gate) {
	if app = g.apps[l.App]; app == nil {
		app = &gate{}
		g.apps[l.App] = app
	}
	if provider = g.providers[l.Provider]; provider == nil {
		provider = &gate{}
		g.providers[l.Provider] = provider
	}
	return app, provider
}

// room is how many refreshes of the lane may begin now. Of an app that its provider refuses it is one, a probe.
func (g *gates) room(l connection.Lane) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.roomIn(l)
}

func (g *gates) roomIn(l connection.Lane) int {
	now := g.now()
	app, provider := g.of(l)
	defer g.forget(l, now)
	limit := g.perApp
	if l.Misconfigured {
		limit = 1 // the row alone says when: an app may be mended at any time
	} else {
		app.rest(l.Until, now, g.jitter())
	}
	if l.Closed(now) {
		return 0
	}
	return min(app.room(limit, now), provider.room(g.perProvider, now), g.workers-g.inFlight)
}

// enter takes one place in the lane; false where there is none.
func (g *gates) enter(l connection.Lane) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.roomIn(l) == 0 {
		return false
	}
	app, provider := g.of(l)
	app.inFlight++
	provider.inFlight++
	g.inFlight++
	return true
}

// leave gives the place back and tells both gates how it went. That a provider asked one client for fewer requests says
// nothing of its other clients.
func (g *gates) leave(l connection.Lane, v verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	app, provider := g.of(l)
	app.ended(v, g.perApp, now, g.jitter())
	if v == enough {
		v = well
	}
	provider.ended(v, g.perProvider, now, g.jitter())
	g.inFlight--
	g.forget(l, now)
}

// forget drops gates that are as new, so that memory does not grow with the number of apps.
func (g *gates) forget(l connection.Lane, now time.Time) {
	if a := g.apps[l.App]; a != nil && a.idle(now) {
		delete(g.apps, l.App)
	}
	if p := g.providers[l.Provider]; p != nil && p.idle(now) {
		delete(g.providers, l.Provider)
	}
}

// free is how many workers have nothing to do.
func (g *gates) free() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.workers - g.inFlight
}
