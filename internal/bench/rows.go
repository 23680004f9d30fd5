package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
)

// row is one thing that callers ask for.
type row struct {
	// name is what -rows matches.
	name string
	// want is part of every right answer.
	want string
	// bodies makes the requests. Those that can be sent once only come from create.
	bodies func(ctx context.Context) ([][]byte, error)
	// create makes n requests that can be sent once; nil where bodies may be repeated.
	create func(ctx context.Context, n int) ([][]byte, error)
}

// varied is how many different values of a filter a row asks for.
const varied = 1000

// rows are all rows, in the order of the table. The one that adds connections comes last.
func (s *service) rows(all []account, credentials int) []row {
	return []row{
		{name: "credential, fresh", want: `"__typename":"Credential"`, bodies: func(ctx context.Context) ([][]byte, error) {
			return s.credentials(ctx, credentials)
		}},
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
		{name: "createConnection", want: `"created":true`, create: s.creations},
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

// credentials connects n users, for their tokens must be in the vault, and asks for each one's.
func (s *service) credentials(ctx context.Context, n int) ([][]byte, error) {
	creations, err := s.creations(ctx, n)
	if err != nil {
		return nil, err
	}
	l := s.load(1)
	l.want = []byte(`"created":true`)
	bodies := make([][]byte, n)
	for i, body := range creations {
		given, err := l.post(ctx, body)
		if err != nil {
			return nil, fmt.Errorf("connecting a user: %w", err)
		}
		var a answer
		if err := json.Unmarshal(given, &a); err != nil {
			return nil, err
		}
		bodies[i] = encode(credentialQuery, variables{ID: a.Data.CreateConnection.Connection.ID})
	}
	return bodies, nil
}
