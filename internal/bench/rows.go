package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"

	"golang.org/x/sync/errgroup"
)

// row is one thing that callers ask for.
type row struct {
	// name is what -rows matches.
	name string
	// want is part of every right answer.
	want string
	// bodies makes the requests. Those that can be sent once only come from create.
	bodies func(ctx context.Context) ([][]byte, error)
	// create makes n requests, or as many as there are, that can be sent once; nil where bodies may be repeated.
	create func(ctx context.Context, n int) ([][]byte, error)
	// direct, where not nil, points a load past the service, at Vault itself. Such a row is a reference by itself.
	direct func(ctx context.Context, l *load) error
}

// hundred is how many credentials one request may ask for.
const hundred = 100

// varied is how many different values of a filter a row asks for.
const varied = 1000

// rows are all rows, in the order of the table. The one that adds connections comes last.
func (s *service) rows(all []account, credentials, opened int) []row {
	fresh := row{name: "credential, fresh", want: `"__typename":"Credential"`, bodies: func(ctx context.Context) ([][]byte, error) {
		return s.forEach(ctx, credentials, credentialQuery)
	}}
	create := row{name: "createConnection", want: `"created":true`, create: s.creations}
	if s.vault != nil { // lists never touch the vault
		return append(append([]row{fresh}, s.vaultRows(opened)...), create)
	}
	return []row{
		fresh,
		lists("connections, rare value", all, func(a account) map[string]string {
			return map[string]string{"region": a.region}
		}),
		lists("connections, common value", all, func(a account) map[string]string {
			return map[string]string{"plan": a.plan}
		}),
		lists("connections, unique value", all, func(a account) map[string]string {
			return map[string]string{"user": a.user}
		}),
		lists("connections, three pairs", all, func(a account) map[string]string {
			return map[string]string{"region": a.region, "plan": a.plan, "support": a.support}
		}),
		create,
	}
}

// lists asks for the first ten connections that have what some of the accounts have.
func lists(name string, all []account, filter func(account) map[string]string) row {
	return row{name: name, want: `"node":`, bodies: func(context.Context) ([][]byte, error) {
		dice := rand.New(rand.NewPCG(2, uint64(len(all)))) // #nosec G404 -- test data
		bodies := make([][]byte, varied)
		for i := range bodies {
			bodies[i] = encode(connectionsQuery, variables{Metadata: filter(all[dice.IntN(len(all))])})
		}
		return bodies, nil
	}}
}

// connected are n connections that were really made, for their tokens must be in the vault; the first that asks has
// them made.
func (s *service) connected(ctx context.Context, n int) ([]string, error) {
	if len(s.made) >= n {
		return s.made[:n], nil
	}
	creations, err := s.creations(ctx, n-len(s.made))
	if err != nil {
		return nil, err
	}
	l := s.load(1)
	l.want = []byte(`"created":true`)
	ids := make([]string, len(creations))
	var group errgroup.Group
	group.SetLimit(consenting)
	for i, body := range creations {
		group.Go(func() error {
			given, err := l.post(ctx, body)
			if err != nil {
				return fmt.Errorf("connecting a user: %w", err)
			}
			var a answer
			if err := json.Unmarshal(given, &a); err != nil {
				return err
			}
			ids[i] = a.Data.CreateConnection.Connection.ID
			return nil
		})
	}
	err = group.Wait()
	s.made = append(s.made, ids...)
	return s.made, err
}

// forEach makes a request for each of n connections.
func (s *service) forEach(ctx context.Context, n int, query string) ([][]byte, error) {
	ids, err := s.connected(ctx, n)
	bodies := make([][]byte, len(ids))
	for i, connectionID := range ids {
		bodies[i] = encode(query, variables{ID: connectionID})
	}
	return bodies, err
}

// hundreds makes requests for the credentials of n connections, a hundred in each.
func (s *service) hundreds(ctx context.Context, n int) ([][]byte, error) {
	ids, err := s.connected(ctx, n)
	var bodies [][]byte
	for part := range slices.Chunk(ids, hundred) {
		bodies = append(bodies, encode(credentialsQuery, variables{IDs: part}))
	}
	return bodies, err
}
