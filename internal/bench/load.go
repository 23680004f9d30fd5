package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load is what the clients send, and to whom.
type load struct {
	client *http.Client
	url    string
	key    string
	// direct, where not nil, sends the requests to something that is not GraphQL.
	direct *direct
	// clients is how many ask at the same time, each on a connection that it keeps.
	clients int
	bodies  [][]byte
	// once sends each body once, as far as they go; otherwise they are repeated.
	once bool
	// want is part of every answer that is right.
	want []byte
}

// direct is how requests go to a server past the service: each body to a path of its own.
type direct struct {
	method string
	header http.Header
	paths  []*url.URL
}

// newClient makes an HTTP client whose transport holds a connection for each of the bench's clients.
func newClient(clients int) *http.Client {
	return &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true},
	}
}

// sample is what a load measured.
type sample struct {
	latencies []time.Duration
	elapsed   time.Duration
	// cpu is what the process that answered used meanwhile; zero where the system does not tell.
	cpu time.Duration
}

// add joins the sample of another turn.
func (s *sample) add(other sample) {
	s.latencies = append(s.latencies, other.latencies...)
	s.elapsed += other.elapsed
	s.cpu += other.cpu
}

// rate is in requests per second.
func (s *sample) rate() float64 { return float64(len(s.latencies)) / s.elapsed.Seconds() }

// percentile is exact: the smallest latency that share of all are no longer than. The latencies must be sorted.
func (s *sample) percentile(share float64) time.Duration {
	rank := int(math.Ceil(share * float64(len(s.latencies))))
	return s.latencies[max(rank, 1)-1]
}

// run loads for the duration, or until the bodies are used up. The first answer that is not right ends it. next is the
// body to begin with, and afterwards the one to go on with.
func (l *load) run(ctx context.Context, d time.Duration, next *atomic.Int64) (sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	each := make([][]time.Duration, l.clients)
	started := time.Now()
	var group sync.WaitGroup
	for i := range each {
		group.Go(func() {
			var err error
			if each[i], err = l.shoot(ctx, started.Add(d), next); err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	s := sample{elapsed: time.Since(started), latencies: slices.Concat(each...)}
	if err := context.Cause(ctx); err != nil {
		return s, err
	}
	if len(s.latencies) == 0 {
		return s, errors.New("there was no time for a single request")
	}
	return s, nil
}

// shoot is one client.
func (l *load) shoot(ctx context.Context, until time.Time, next *atomic.Int64) ([]time.Duration, error) {
	template, err := l.request(ctx)
	if err != nil {
		return nil, err
	}
	latencies := make([]time.Duration, 0, 1<<14)
	var answer bytes.Buffer
	for {
		started := time.Now()
		i := l.take(next)
		if i < 0 || !started.Before(until) {
			return latencies, nil
		}
		if err := l.send(template, i, &answer); err != nil {
			return latencies, err
		}
		latencies = append(latencies, time.Since(started))
	}
}

// take is the place of the next body; less than zero where there is none left.
func (l *load) take(next *atomic.Int64) int {
	i := int(next.Add(1) - 1)
	if l.once && i >= len(l.bodies) {
		return -1
	}
	return i % len(l.bodies)
}

func (l *load) request(ctx context.Context) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Authorization", "Bearer "+l.key)
	if l.direct != nil {
		r.Method, r.Header = l.direct.method, l.direct.header
	}
	return r, nil
}

// send sends the body at a place, reads the whole answer and checks it.
func (l *load) send(template *http.Request, place int, answer *bytes.Buffer) error {
	r := *template
	if l.direct != nil {
		r.URL = l.direct.paths[place]
	}
	if body := l.bodies[place]; len(body) > 0 {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	response, err := l.client.Do(&r)
	if err != nil {
		return fmt.Errorf("sending a request: %w", err)
	}
	answer.Reset()
	_, err = answer.ReadFrom(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	return l.check(response.StatusCode, answer.Bytes())
}

// errAnswer says that an answer was not the one asked for.
var errAnswer = errors.New("wrong answer")

func (l *load) check(status int, answer []byte) error {
	if status == http.StatusOK && !bytes.Contains(answer, []byte(`"errors":`)) && bytes.Contains(answer, l.want) {
		return nil
	}
	return fmt.Errorf("%w: status %d, want %q in %.500s", errAnswer, status, l.want, answer)
}

// post sends one body outside of any measurement and returns the answer.
func (l *load) post(ctx context.Context, body []byte) ([]byte, error) {
	template, err := l.request(ctx)
	if err != nil {
		return nil, err
	}
	var answer bytes.Buffer
	single := *l
	single.bodies = [][]byte{body}
	err = single.send(template, 0, &answer)
	return answer.Bytes(), err
}
