package setup

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/vault/api"
)

// revokeTimeout bounds the end of a root token, which a run that is interrupted waits for.
const revokeTimeout = 10 * time.Second

// generateRoot has Vault make a root token from the unseal key, for a run that takes up where another was interrupted.
func (r *run) generateRoot(ctx context.Context) (string, error) {
	sys := r.Client.Sys()
	if err := sys.GenerateRootCancelWithContext(ctx); err != nil {
		return "", err
	}
	began, err := sys.GenerateRootInitWithContext(ctx, "", "")
	if err != nil {
		return "", err
	}
	done, err := sys.GenerateRootUpdateWithContext(ctx, r.state.UnsealKey, began.Nonce)
	if err != nil {
		return "", err
	}
	if !done.Complete {
		return "", fmt.Errorf("the key in %s does not do it alone", r.KeyFile)
	}
	// The token comes back XORed with the one-time pad that the first answer gave.
	token, err := base64.RawStdEncoding.DecodeString(done.EncodedToken)
	if err != nil || len(token) != len(began.OTP) {
		return "", errors.New("the server's answer is not one")
	}
	for i := range token {
		token[i] ^= began.OTP[i]
	}
	return string(token), nil
}

// configureAs makes everything as root and ends the root token, whatever happens.
func (r *run) configureAs(ctx context.Context, token string) error {
	root, err := r.Client.Clone()
	if err != nil {
		return err
	}
	root.SetToken(token)
	err = r.configure(ctx, root)
	if err == nil {
		err = revokeOtherRoots(ctx, root)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
	defer cancel()
	if ended := root.Auth().Token().RevokeSelfWithContext(last, ""); ended != nil {
		return errors.Join(err, fmt.Errorf("the root token could not be revoked; run this again: %w", ended))
	}
	if err != nil {
		return err
	}
	r.state.Configured, r.done.Configured = true, true
	r.Logger.InfoContext(ctx, "set everything up and revoked the root token", "logins", r.LoginDir)
	return r.state.save(r.KeyFile)
}

// revokeOtherRoots ends the root tokens of runs that were interrupted: nobody knows them any more.
func revokeOtherRoots(ctx context.Context, root *api.Client) error {
	self, err := root.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		return fmt.Errorf("looking for root tokens: %w", err)
	}
	all, err := root.Logical().ListWithContext(ctx, "auth/token/accessors")
	if err != nil {
		return fmt.Errorf("looking for root tokens: %w", err)
	}
	if all == nil {
		return nil
	}
	accessors, _ := all.Data["keys"].([]any)
	for _, one := range accessors {
		accessor, _ := one.(string)
		if accessor == self.Data["accessor"] {
			continue
		}
		if err := revokeIfRoot(ctx, root, accessor); err != nil {
			return fmt.Errorf("ending an older root token: %w", err)
		}
	}
	return nil
}

// revokeIfRoot ends a token, if it may do everything. One that has ended meanwhile is none.
func revokeIfRoot(ctx context.Context, root *api.Client, accessor string) error {
	is, err := root.Auth().Token().LookupAccessorWithContext(ctx, accessor)
	if err != nil {
		return ignoreStatus(err, 403, 404)
	}
	policies, err := is.TokenPolicies()
	if err != nil || !slices.Contains(policies, "root") {
		return err
	}
	return root.Auth().Token().RevokeAccessorWithContext(ctx, accessor)
}

// ignoreStatus returns nil for an answer with one of the statuses.
func ignoreStatus(err error, statuses ...int) error {
	var answer *api.ResponseError
	if errors.As(err, &answer) && slices.Contains(statuses, answer.StatusCode) {
		return nil
	}
	return err
}
