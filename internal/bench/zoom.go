package main

import (
	"context"
	"fmt"
	"net/url"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// consenting is how many users stand at the consent page at once.
const consenting = 8

// codes lets n new users consent and returns their codes, which live for five minutes.
func (s *service) codes(ctx context.Context, n int) ([]string, error) {
	out := make([]string, n)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(consenting)
	for i := range out {
		group.Go(func() (err error) {
			out[i], err = s.consent(ctx, fmt.Sprintf("user-%d@example.com", atomic.AddInt64(&s.users, 1)))
			return err
		})
	}
	return out, group.Wait()
}

func (s *service) consent(ctx context.Context, user string) (string, error) {
	q := url.Values{"response_type": {"code"}, "client_id": {s.clientID}, "redirect_uri": {s.redirectURI}, "login_hint": {user}}
	code, _, err := zoomsim.Consent(ctx, s.client, s.zoom+"/oauth/authorize?"+q.Encode())
	return code, err
}

// creations are the bodies that connect n new users.
func (s *service) creations(ctx context.Context, n int) ([][]byte, error) {
	codes, err := s.codes(ctx, n)
	if err != nil {
		return nil, fmt.Errorf("getting codes from the emulator: %w", err)
	}
	bodies := make([][]byte, n)
	for i, code := range codes {
		bodies[i] = encode(createMutation, variables{Input: &createInput{
			App: s.app, Grant: grantInput{codeInput{Code: code, RedirectURI: s.redirectURI}},
			Metadata: map[string]string{"user": code[:8], "plan": "free"},
		}})
	}
	return bodies, nil
}
