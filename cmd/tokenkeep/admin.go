package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/tenancy"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// adminSettings are for the commands that work on the database and the vault by themselves, beside a service that runs
// or without one. Whoever can read both is the operator.
type adminSettings struct {
	databaseSettings
	vaultSettings
	holdSettings
	JSON bool `name:"json" help:"Print JSON, one object a line."`
}

// adminHelp is what the --help of these commands says beside the flags.
const adminHelp = `It works on the database and the vault of "tokenkeep serve", with the same settings, whether that runs or not, and
acts as the operator: entries in the audit trail say so.`

// open wires a service that does not serve. The context it returns is the operator's.
func (s adminSettings) open(ctx context.Context, catalogue *provider.Catalogue) (*service, context.Context, error) {
	log := slog.New(slog.DiscardHandler)
	if err := s.vaultSettings.check(); err != nil {
		return nil, nil, err
	}
	policy, err := s.policy()
	if err != nil {
		return nil, nil, err
	}
	p := parts{log: log, catalogue: catalogue, operator: tenancy.OperatorKey{}, holdPolicy: policy}
	if p.db, err = s.openMigrated(ctx, log); err != nil {
		return nil, nil, err
	}
	if p.vault, err = s.vaultSettings.open(ctx, p.db, log); err != nil {
		return nil, nil, errors.Join(err, p.close())
	}
	w, err := wire(p)
	if err != nil {
		return nil, nil, errors.Join(err, p.close())
	}
	return w, tenant.NewContext(ctx, &tenant.Viewer{IsOperator: true}), nil
}

// do opens the service, runs f as the operator and closes everything.
func (s adminSettings) do(ctx context.Context, f func(context.Context, *service) error) error {
	w, operator, err := s.open(ctx, provider.Builtin())
	if err != nil {
		return err
	}
	return finish(w, f(operator, w))
}

// finish closes a service that did not serve.
func finish(w *service, err error) error {
	w.tenancy.Close()
	return errors.Join(err, w.parts.close())
}

// inside lets the operator act in the tenant of that id. Errors: NOT_FOUND.
func (s *service) inside(operator context.Context, tenantID string) (context.Context, error) {
	u, err := parseID("tenant", id.Tenant, tenantID)
	if err != nil {
		return nil, err
	}
	v, err := s.tenancy.ActIn(operator, tenant.FromContext(operator), u)
	if err != nil {
		return nil, err
	}
	return tenant.NewContext(operator, v), nil
}

// parseID reads an id that somebody typed.
func parseID(flag string, prefix id.Prefix, text string) (uuid.UUID, error) {
	if text == "" {
		return uuid.Nil, fmt.Errorf("--%s is missing: give the id, which begins with %s_", flag, prefix)
	}
	u, err := prefix.Parse(text)
	if err != nil {
		return uuid.Nil, fmt.Errorf("%s %q is not an id: one begins with %s_", flag, text, prefix)
	}
	return u, nil
}

// parsePairs reads key=value pairs.
func parsePairs(flag string, pairs []string) (map[string]string, error) {
	out := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--%s %s is not a pair: give key=value", flag, pair)
		}
		if _, twice := out[key]; twice {
			return nil, fmt.Errorf("--%s names %s twice", flag, key)
		}
		out[key] = value
	}
	return out, nil
}
