package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

// vaultRows are the rows that tell what HashiCorp Vault costs, on n connections.
func (s *service) vaultRows(n int) []row {
	// What is in no process's memory is what a process that has just started is asked for.
	cold := func(bodies func(context.Context, int) ([][]byte, error)) func(context.Context, int) ([][]byte, error) {
		return func(ctx context.Context, _ int) ([][]byte, error) {
			all, err := bodies(ctx, n)
			if err != nil {
				return nil, err
			}
			return all, s.restart(ctx)
		}
	}
	each := func(query string) func(context.Context, int) ([][]byte, error) {
		return func(ctx context.Context, n int) ([][]byte, error) { return s.forEach(ctx, n, query) }
	}
	const credential = `"__typename":"Credential"`
	return append(s.vault.rows(),
		row{name: "credential, uncached", want: credential, create: cold(each(credentialQuery))},
		row{name: "credentials, 100 fresh", want: credential, bodies: func(ctx context.Context) ([][]byte, error) { return s.hundreds(ctx, n) }},
		row{name: "credentials, 100 uncached", want: credential, create: cold(s.hundreds)},
		row{name: "refreshConnection", want: `"CONNECTED"`, bodies: func(ctx context.Context) ([][]byte, error) { return s.forEach(ctx, n, refreshMutation) }},
	)
}

// requests are what passed before Vault while the service did something n times.
type requests struct {
	Name     string  `json:"name"`
	Times    int     `json:"times"`
	Requests int     `json:"requests"`
	Each     float64 `json:"each"`
}

// exposure is the width of the window between a provider's answer and its durable acknowledgement.
type exposure struct {
	Clients   int     `json:"clients"`
	Refreshes int     `json:"refreshes"`
	P50Millis float64 `json:"p50Millis"`
	P99Millis float64 `json:"p99Millis"`
	MaxMillis float64 `json:"maxMillis"`
}

// counted is something whose requests of Vault are counted.
type counted struct {
	name, want string
	bodies     [][]byte
	// cold begins in a process that has just started.
	cold bool
}

// toCount are the things that are counted, on connections beside the first.
func toCount(ids []string) []counted {
	each := func(query string) [][]byte {
		var bodies [][]byte
		for _, connectionID := range ids {
			bodies = append(bodies, encode(query, variables{ID: connectionID}))
		}
		return bodies
	}
	const credential = `"__typename":"Credential"`
	all := [][]byte{encode(credentialsQuery, variables{IDs: ids})}
	return []counted{
		{"credential, uncached", credential, each(credentialQuery), true},
		{"credential, fresh", credential, each(credentialQuery), false},
		{"credentials, 100 uncached", credential, all, true},
		{"credentials, 100 fresh", credential, all, false},
		{"refreshConnection", `"CONNECTED"`, each(refreshMutation), true},
	}
}

// countRequests has the service reach Vault through a counter, and counts.
func (s *service) countRequests(ctx context.Context) (_ []requests, err error) {
	counter, err := server.Count(s.vault.server.Address())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, counter.Close()) }()
	ids, err := s.connected(ctx, hundred+1)
	if err != nil {
		return nil, err
	}
	var out []requests
	l := s.load(1)
	for _, c := range toCount(ids[1 : hundred+1]) {
		if c.cold {
			if err := s.begin(ctx, ids[0], "VAULT_ADDR="+counter.URL); err != nil {
				return nil, err
			}
		}
		l.want = []byte(c.want)
		counter.Take()
		for _, body := range c.bodies {
			if _, err := l.post(ctx, body); err != nil {
				return nil, fmt.Errorf("counting %s: %w", c.name, err)
			}
		}
		n := len(counter.Take())
		out = append(out, requests{Name: c.name, Times: len(c.bodies), Requests: n, Each: float64(n) / float64(len(c.bodies))})
	}
	return out, nil
}

// begin restarts the service and refreshes the connection, which settles what is asked once in a process's life.
func (s *service) begin(ctx context.Context, connectionID string, settings ...string) error {
	if err := s.restart(ctx, settings...); err != nil {
		return err
	}
	l := s.load(1)
	l.want = []byte(`"CONNECTED"`)
	_, err := l.post(ctx, encode(refreshMutation, variables{ID: connectionID}))
	return err
}

// exposures refreshes with one client and with as many as the rows have, and reads in the service's log how long each
// answer was in memory only.
func (b *bench) exposures(ctx context.Context, s *service) ([]exposure, error) {
	bodies, err := s.forEach(ctx, b.opened, refreshMutation)
	if err != nil {
		return nil, err
	}
	var out []exposure
	for _, clients := range []int{1, b.clients} {
		if err := s.restart(ctx, "TOKENKEEP_LOG_LEVEL=debug", "TOKENKEEP_LOG_FORMAT=json"); err != nil {
			return nil, err
		}
		l := s.load(clients)
		l.bodies, l.want = bodies, []byte(`"CONNECTED"`)
		var next atomic.Int64
		if _, err := l.run(ctx, b.duration/turns, &next); err != nil {
			return nil, err
		}
		log := s.process.log.Name()
		if err := s.process.stop(); err != nil { // now all is written
			return nil, err
		}
		widths, err := readExposures(log)
		if err != nil {
			return nil, err
		}
		out = append(out, exposureOf(clients, widths))
	}
	return out, s.restart(ctx)
}

// readExposures reads a log of JSON lines.
func readExposures(file string) ([]time.Duration, error) {
	log, err := os.Open(file) // #nosec G304 -- a file of the bench's own
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	var out []time.Duration
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var line struct {
			Msg, What string
			After     time.Duration
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "a provider's answer is durable" && line.What == "refresh" {
			out = append(out, line.After)
		}
	}
	if len(out) == 0 {
		return nil, errors.Join(errors.New("the service's log tells of no refresh"), lines.Err())
	}
	return out, lines.Err()
}

func exposureOf(clients int, widths []time.Duration) exposure {
	f := figuresOf(sample{latencies: widths, elapsed: time.Second})
	return exposure{Clients: clients, Refreshes: f.Requests, P50Millis: f.P50Millis, P99Millis: f.P99Millis, MaxMillis: f.MaxMillis}
}
