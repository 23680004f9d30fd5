package database

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Topic is what a signal is about.
type Topic string

// The topics.
const (
	// Due: a refresh is due sooner than schedulers may know. Nobody asks which.
	Due Topic = "due"
	// Settled: a refresh of the connection has ended, well or not.
	Settled Topic = "settled"
)

// signals wake who waits in this process at once, and on PostgreSQL those in other processes by NOTIFY. A signal carries
// an id and nothing else, and is no more than a hint: it may be lost, or come for nothing, and whoever waits looks at the
// rows, now and then also without one. NOTIFY is a statement of its own, after the change it tells of: within the change's
// transaction it would have all commits wait for one another. What is signalled within a few milliseconds shares one.
type signals struct {
	// config opens the connection that listens; nil on SQLite, which one process has for itself.
	config *pgx.ConnConfig
	notify func(ctx context.Context, payload string) error
	log    *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	// running are the loops that send and listen; each is started by the first who needs it.
	running sync.WaitGroup
	sending sync.Once
	hearing sync.Once
	kick    chan struct{}

	mu      sync.Mutex
	closed  bool
	watches map[note]map[*Watch]struct{}
	pending []note
}

// note is what is told of what; the id is uuid.Nil where it does not matter.
type note struct {
	topic Topic
	id    uuid.UUID
}

// Watch is somebody who waits. C yields a value after a signal, and after an interruption in which one may have been
// lost; values that nobody has taken are one.
type Watch struct {
	C <-chan struct{}

	c  chan struct{}
	of note
	s  *signals
}

func newSignals(config *pgx.ConnConfig, notify func(context.Context, string) error, log *slog.Logger) *signals {
	s := &signals{config: config, notify: notify, log: log, kick: make(chan struct{}, 1), watches: map[note]map[*Watch]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Signal wakes those who watch. It does not wait and does not fail.
func (db *DB) Signal(topic Topic, id uuid.UUID) { db.signals.signal(note{topic, id}) }

// Watch waits for signals about the id; uuid.Nil for a topic in which it does not matter. Stop it when done.
func (db *DB) Watch(topic Topic, id uuid.UUID) *Watch { return db.signals.watch(note{topic, id}) }

func (s *signals) signal(n note) {
	s.wake(n)
	if s.config == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.pending = append(s.pending, n)
	s.sending.Do(func() { s.running.Go(s.send) })
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

func (s *signals) watch(n note) *Watch {
	w := &Watch{c: make(chan struct{}, 1), of: n, s: s}
	w.C = w.c
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watches[n] == nil {
		s.watches[n] = map[*Watch]struct{}{}
	}
	s.watches[n][w] = struct{}{}
	if s.config != nil && !s.closed {
		s.hearing.Do(func() { s.running.Go(s.listen) })
	}
	return w
}

// Stop ends the watch.
func (w *Watch) Stop() {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	delete(w.s.watches[w.of], w)
	if len(w.s.watches[w.of]) == 0 {
		delete(w.s.watches, w.of)
	}
}

func (w *Watch) wake() {
	select {
	case w.c <- struct{}{}:
	default:
	}
}

// wake wakes those in this process who watch n.
func (s *signals) wake(n note) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watches[n] {
		w.wake()
	}
}

// wakeAll wakes everybody in this process: something may have been missed.
func (s *signals) wakeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, all := range s.watches {
		for w := range all {
			w.wake()
		}
	}
}

// close ends both loops. What was not sent yet is not sent.
func (s *signals) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.running.Wait()
}

// Bounds of what shares one NOTIFY.
const (
	gatherFor = 5 * time.Millisecond
	// notesInOne keeps a payload below PostgreSQL's 8000 bytes.
	notesInOne = 150
	// sendWithin bounds one NOTIFY: a hint that comes late is worth nothing.
	sendWithin = 2 * time.Second
)

// send sends what is pending, a little after the first of it.
func (s *signals) send() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.kick:
		}
		if wait(s.ctx, gatherFor) != nil {
			return
		}
		for _, payload := range payloads(s.takePending()) {
			ctx, cancel := context.WithTimeout(s.ctx, sendWithin)
			if err := s.notify(ctx, payload); err != nil && s.ctx.Err() == nil {
				s.log.DebugContext(ctx, "a signal was not sent; those who wait for it look by themselves", "error", err)
			}
			cancel()
		}
	}
}

func (s *signals) takePending() []note {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.pending
	s.pending = nil
	return out
}

// payloads writes notes as "topic id,topic id", each once.
func payloads(notes []note) []string {
	seen := map[note]bool{}
	var out []string
	var words []string
	flush := func() {
		if len(words) > 0 {
			out = append(out, strings.Join(words, ","))
			words = nil
		}
	}
	for _, n := range notes {
		if seen[n] {
			continue
		}
		seen[n] = true
		if words = append(words, string(n.topic)+" "+n.id.String()); len(words) == notesInOne {
			flush()
		}
	}
	flush()
	return out
}

// heard wakes those a payload is for. What is not understood is of another version, and left alone.
func (s *signals) heard(payload string) {
	for word := range strings.SplitSeq(payload, ",") {
		topic, text, _ := strings.Cut(word, " ")
		if id, err := uuid.Parse(text); err == nil {
			s.wake(note{Topic(topic), id})
		}
	}
}
