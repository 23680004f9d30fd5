package graph

import (
	"context"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/graph/model"
	"github.com/tokenkeep/tokenkeep/graph/page"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
)

// kinds are the prefixes' names in sentences.
var kinds = map[id.Prefix]string{id.Connection: "a connection", id.App: "an app", id.Tenant: "a tenant", id.Key: "an API key"}

// parse reads an id that must be of a kind. Errors: BAD_USER_INPUT on the field.
func parse(p id.Prefix, field, text string) (uuid.UUID, error) {
	u, err := p.Parse(text)
	if err != nil {
		return uuid.Nil, errs.Input(field, "%s is not the id of %s: such ids begin with %q", field, kinds[p], string(p)+"_")
	}
	return u, nil
}

// parseOptional is parse for what may be left out.
func parseOptional(p id.Prefix, field string, text *string) (*uuid.UUID, error) {
	if text == nil {
		return nil, nil
	}
	u, err := parse(p, field, *text)
	return &u, err
}

// sought reads an id that a query looks for. What is no id of the kind becomes the zero UUID, which no row has, and so
// goes the way of an id that is absent.
func sought(p id.Prefix, text string) uuid.UUID {
	u, err := p.Parse(text)
	if err != nil {
		return uuid.Nil
	}
	return u
}

// limited refuses lists of ids that are longer than a page. Errors: BAD_USER_INPUT on the field.
func limited(field string, ids []string) error {
	if len(ids) > page.MaxSize {
		return errs.Input(field, "%s has %d entries; %d is the most", field, len(ids), page.MaxSize)
	}
	return nil
}

// one is the row of a query for a single id; nil where there is none.
func one[T any](rows []*T, err error) (*T, error) {
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// nodes reads objects of any kind, each kind in one query, and returns them in the order of their ids.
func (r *Resolver) nodes(ctx context.Context, texts []string) ([]model.Node, error) {
	byKind := map[id.Prefix][]uuid.UUID{}
	for _, text := range texts {
		if p, u, err := id.Split(text); err == nil {
			byKind[p] = append(byKind[p], u)
		}
	}
	found := map[string]model.Node{}
	for p, ids := range byKind {
		if err := r.collect(ctx, found, p, ids); err != nil {
			return nil, err
		}
	}
	nodes := make([]model.Node, len(texts))
	for i, text := range texts {
		nodes[i] = found[text]
	}
	return nodes, nil
}

// collect reads the objects of one kind. Kinds that are not served have none.
func (r *Resolver) collect(ctx context.Context, into map[string]model.Node, p id.Prefix, ids []uuid.UUID) error {
	switch p {
	case id.Connection:
		rows, err := r.read.ConnectionsByID(ctx, ids...)
		return keep(into, rows, err, model.ConnectionOf, func(c *model.Connection) string { return c.ID })
	case id.App:
		rows, err := r.read.AppsByID(ctx, ids...)
		return keep(into, rows, err, model.OAuthAppOf, func(a *model.OAuthApp) string { return a.ID })
	case id.Tenant:
		rows, err := r.read.TenantsByID(ctx, ids...)
		return keep(into, rows, err, model.TenantOf, func(t *model.Tenant) string { return t.ID })
	case id.Key:
		rows, err := r.read.KeysByID(ctx, ids...)
		return keep(into, rows, err, model.APIKeyOf, func(k *model.APIKey) string { return k.ID })
	default:
		return nil
	}
}

func keep[Row any, N model.Node](into map[string]model.Node, rows []Row, err error, node func(Row) N, key func(N) string) error {
	for _, row := range rows {
		n := node(row)
		into[key(n)] = n
	}
	return err
}
