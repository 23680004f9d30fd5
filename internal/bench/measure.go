package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// target measures all rows of one way to run the service.
func (b *bench) target(ctx context.Context, t target) (_ table, err error) {
	out := table{Name: t.name, Connections: b.connections}
	dir, err := os.MkdirTemp(b.dir, "target")
	if err != nil {
		return out, err
	}
	all := accounts(b.connections)
	s, err := t.start(ctx, dir, all)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return out, err
	}
	reference, err := b.startBare(ctx, dir)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, reference.stop()) }()
	for i, r := range s.rows(all, b.credentials, b.opened) {
		if !b.options.rows.MatchString(r.name) {
			continue
		}
		tell(b.progress, "%s\n", r.name)
		m := measurement{row: r, bench: b, service: s, reference: reference}
		result, err := m.run(ctx, fmt.Sprintf("%s/%d", reference.first, i))
		if err != nil {
			return out, fmt.Errorf("%s: %w", r.name, err)
		}
		out.Rows = append(out.Rows, result)
	}
	out.MemoryMiB, out.Load = s.process.memory()>>20, loadAverage()
	return out, b.beside(ctx, s, &out)
}

// beside adds what is measured beside the rows, where HashiCorp Vault is the vault.
func (b *bench) beside(ctx context.Context, s *service, to *table) (err error) {
	if s.vault == nil {
		return nil
	}
	if b.options.rows.MatchString("requests of Vault") {
		tell(b.progress, "requests of Vault\n")
		if to.Requests, err = s.countRequests(ctx); err != nil {
			return err
		}
	}
	if b.options.rows.MatchString("unsafe window") {
		tell(b.progress, "unsafe window\n")
		to.Window, err = b.exposures(ctx, s)
	}
	return err
}

// measurement is one row at work.
type measurement struct {
	row
	bench     *bench
	service   *service
	reference *process
	// ours and bare are the loads of the service and of the reference.
	ours, bare *load
	// nextOurs and nextBare are the bodies to go on with.
	nextOurs, nextBare atomic.Int64
}

// turns is how often service and reference take turns, so that what slows the machine for a while slows both.
const turns = 2

// run warms both sides up and measures them in turns.
func (m *measurement) run(ctx context.Context, referenceURL string) (result, error) {
	m.ours, m.bare = m.service.load(m.bench.clients), m.service.load(m.bench.clients)
	m.ours.want, m.bare.want, m.bare.url = []byte(m.want), []byte(m.want), referenceURL
	if m.direct != nil {
		return m.alone(ctx)
	}
	perSecond, err := m.prepare(ctx)
	if err != nil {
		return result{}, err
	}
	var ours, bare sample
	for range turns {
		d := m.bench.duration / turns
		if err := m.supply(ctx, int(perSecond*d.Seconds()*1.5)); err != nil {
			return result{}, err
		}
		if err := timed(ctx, m.ours, m.service.process.pid(), d, &m.nextOurs, &ours); err != nil {
			return result{}, err
		}
		if err := timed(ctx, m.bare, m.reference.pid(), d, &m.nextBare, &bare); err != nil {
			return result{}, fmt.Errorf("the reference: %w", err)
		}
	}
	return resultOf(m.name, ours, bare), nil
}

// alone measures Vault itself, in as many turns.
func (m *measurement) alone(ctx context.Context) (result, error) {
	if err := m.direct(ctx, m.ours); err != nil {
		return result{}, err
	}
	if _, err := m.ours.run(ctx, max(m.bench.warmup/turns, time.Millisecond), &m.nextOurs); err != nil {
		return result{}, fmt.Errorf("warming up: %w", err)
	}
	var s sample
	for range turns {
		if err := timed(ctx, m.ours, pid(m.service.vault.server.PID()), m.bench.duration/turns, &m.nextOurs, &s); err != nil {
			return result{}, err
		}
	}
	return result{Name: m.name, Service: figuresOf(s)}, nil
}

// timed adds one turn to a sample.
func timed(ctx context.Context, l *load, p pid, d time.Duration, next *atomic.Int64, to *sample) error {
	before := p.cpu()
	s, err := l.run(ctx, d, next)
	s.cpu = p.cpu() - before
	to.add(s)
	return err
}

// prepare makes the requests, teaches the reference its answer, and warms both sides up. It returns how many requests a
// second the service did.
func (m *measurement) prepare(ctx context.Context) (float64, error) {
	if err := m.first(ctx); err != nil {
		return 0, err
	}
	body := m.ours.bodies[0]
	given, err := m.ours.post(ctx, body)
	if err != nil {
		return 0, err
	}
	m.nextOurs.Store(1)
	if err := teach(ctx, m.bare, body, given); err != nil {
		return 0, err
	}
	m.bare.bodies = m.ours.bodies
	warm, err := m.ours.run(ctx, max(m.bench.warmup, time.Millisecond), &m.nextOurs)
	if err != nil {
		return 0, fmt.Errorf("warming up: %w", err)
	}
	if _, err := m.bare.run(ctx, max(m.bench.warmup/turns, time.Millisecond), &m.nextBare); err != nil {
		return 0, fmt.Errorf("warming the reference up: %w", err)
	}
	return warm.rate(), nil
}

// first makes the requests of the warm-up, which are all where they can be repeated.
func (m *measurement) first(ctx context.Context) (err error) {
	if m.create == nil {
		m.ours.bodies, err = m.bodies(ctx)
		return err
	}
	const perClient = 8
	return m.supply(ctx, 1+perClient*m.bench.clients)
}

// supply makes n requests that can be sent once. They are made before the time counts.
func (m *measurement) supply(ctx context.Context, n int) (err error) {
	if m.create == nil {
		return nil
	}
	m.ours.once = true
	m.nextOurs.Store(0)
	m.ours.bodies, err = m.create(ctx, max(n, m.bench.clients))
	return err
}
