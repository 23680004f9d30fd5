package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/server"
)

// held is a handler that stands still until it is let go.
type held struct{ arrived, release chan struct{} }

func (h held) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.arrived <- struct{}{}
	select {
	case <-h.release:
		_, _ = io.WriteString(w, "done")
	case <-r.Context().Done():
	}
}

// serving is a server that runs, with a request in it.
type serving struct {
	held
	stop, force context.CancelFunc
	ended       chan error
	answer      chan error
	url         string
}

func serve(t *testing.T) *serving {
	t.Helper()
	s := &serving{
		held: held{make(chan struct{}), make(chan struct{})}, ended: make(chan error, 1), answer: make(chan error, 1),
	}
	var stop, force context.Context
	stop, s.stop = context.WithCancel(t.Context())
	force, s.force = context.WithCancel(t.Context())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + l.Addr().String() + "/graphql"
	h := server.New(server.Options{GraphQL: s.held, Callers: callers{}})
	go func() { s.ended <- h.Serve(stop, force, l) }()
	go func() {
		a, err := try(t, "POST", s.url)
		if err == nil && a.body != "done" {
			err = errors.New("got " + a.body)
		}
		s.answer <- err
	}()
	<-s.arrived
	return s
}

func TestServeFinishesRequests(t *testing.T) {
	s := serve(t)
	s.stop()
	awaitRefusal(t, s.url)
	select {
	case err := <-s.ended:
		t.Fatalf("ended with %v while a request was under way", err)
	default:
	}
	close(s.release)
	if err := <-s.answer; err != nil {
		t.Errorf("got %v for the request under way, want its answer", err)
	}
	if err := <-s.ended; err != nil {
		t.Errorf("got %v, want a clean end", err)
	}
}

// awaitRefusal returns once the listener is closed.
func awaitRefusal(t *testing.T, url string) {
	t.Helper()
	for range 10_000 {
		if _, err := try(t, "GET", url+"/nowhere"); err != nil {
			return
		}
	}
	t.Fatal("connections are still taken")
}

func TestServeCutsWhenForced(t *testing.T) {
	s := serve(t)
	s.stop()
	s.force()
	if err := <-s.answer; err == nil {
		t.Error("got an answer, want the connection cut")
	}
	if err := <-s.ended; err != nil {
		t.Errorf("got %v, want a clean end", err)
	}
}

func TestServeReportsABrokenListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	h := server.New(server.Options{GraphQL: http.NotFoundHandler(), Callers: callers{}})
	if err := h.Serve(t.Context(), t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want net.ErrClosed", err)
	}
}

func TestReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken error
		rounds := 0
		h := server.New(server.Options{
			GraphQL: http.NotFoundHandler(), Callers: callers{},
			Ready: []server.Check{
				{Name: "database", Run: func(context.Context) error { rounds++; return nil }},
				{Name: "vault", Run: func(context.Context) error { return broken }},
			},
		})
		probe(t, h, 200, `{"checks":{"database":"ok","vault":"ok"},"status":"ready"}`)
		broken = errors.New("secret: /var/lib/vault.db is gone")
		probe(t, h, 200, `{"checks":{"database":"ok","vault":"ok"},"status":"ready"}`)
		if rounds != 1 {
			t.Errorf("got %d rounds within a second, want 1", rounds)
		}
		<-time.After(time.Second) // in no time at all: the bubble has a clock of its own
		probe(t, h, 503, `{"checks":{"database":"ok","vault":"failed"},"status":"not ready"}`)
		broken = nil
		<-time.After(time.Second) // in no time at all: the bubble has a clock of its own
		probe(t, h, 200, `{"checks":{"database":"ok","vault":"ok"},"status":"ready"}`)
	})
}

func TestReadinessHasATimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := server.New(server.Options{
			GraphQL: http.NotFoundHandler(), Callers: callers{},
			Ready: []server.Check{{Name: "vault", Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}},
		})
		started := time.Now()
		probe(t, h, 503, `{"checks":{"vault":"failed"},"status":"not ready"}`)
		if took := time.Since(started); took > 10*time.Second {
			t.Errorf("took %s, want a bound of seconds", took)
		}
	})
}

func probe(t *testing.T, h http.Handler, status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "/readyz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	h.ServeHTTP(w, r)
	if got := w.Body.String(); w.Code != status || got != body+"\n" {
		t.Errorf("got %d %q, want %d %q", w.Code, got, status, body)
	}
}
