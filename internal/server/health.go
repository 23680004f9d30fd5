package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// Check is a part that must work.
type Check struct {
	// Name is shown to whoever asks: "database".
	Name string
	// Run returns nil where the part works. Its error goes to the log only.
	Run func(context.Context) error
}

const (
	// checkTimeout bounds one round of checks.
	checkTimeout = 5 * time.Second
	// checkLife is how long a round's outcome is handed out. Anybody may ask, and a round costs a write.
	checkLife = time.Second
)

// alive says that the process runs, and nothing else: a restart mends nothing that lies outside of it.
func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

// readiness says whether the parts work, each by name and one word.
type readiness struct {
	checks []Check
	log    *slog.Logger

	mu    sync.Mutex
	at    time.Time
	ready bool
	parts map[string]string
}

// ServeHTTP implements http.Handler.
func (s *readiness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ready, parts := s.state(context.WithoutCancel(r.Context()))
	if ready {
		writeJSON(w, http.StatusOK, map[string]any{"status": "ready", "checks": parts})
		return
	}
	writeJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "not ready", "checks": parts})
}

// state runs the checks, or returns what they said a moment ago. Those who ask at the same time share a round.
func (s *readiness) state(ctx context.Context) (bool, map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parts != nil && time.Since(s.at) < checkLife {
		return s.ready, s.parts
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	ready, parts := true, make(map[string]string, len(s.checks))
	for _, c := range s.checks {
		parts[c.Name] = "ok"
		if err := c.Run(ctx); err != nil {
			ready, parts[c.Name] = false, wordFor(err)
			s.log.LogAttrs(ctx, slog.LevelWarn, "not ready", slog.String("check", c.Name), slog.Any("error", err))
		}
	}
	s.at, s.ready, s.parts = time.Now(), ready, parts
	return ready, parts
}

// wordFor is what anybody may know of a failure: that the vault is sealed or does not answer tells whom to call.
func wordFor(err error) string {
	if errors.Is(err, vault.ErrAway) {
		return "away"
	}
	return "failed"
}
