package read

import (
	"context"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// Reader reads for callers.
type Reader struct{ client *ent.Client }

// New makes a reader of a database.
func New(client *ent.Client) *Reader { return &Reader{client: client} }

// Catalogue lets those pass who may see what can be connected and with which apps: holders of CONNECTIONS_READ, and an
// operator who acts in no tenant, whose own apps serve all. Errors: UNAUTHENTICATED, FORBIDDEN.
func Catalogue(ctx context.Context) error {
	if v := tenant.FromContext(ctx); v != nil && v.IsOperator && v.Tenant == uuid.Nil {
		return nil
	}
	_, err := audit.RequireRead(ctx, tenant.ConnectionsRead)
	return err
}

// viewer returns who is calling. Errors: UNAUTHENTICATED.
func viewer(ctx context.Context) (*tenant.Viewer, error) {
	v := tenant.FromContext(ctx)
	if v == nil {
		return nil, errs.New(errs.Unauthenticated, "nobody is signed in: send an API key in the header Authorization")
	}
	return v, nil
}

// operator lets operators pass. Errors: UNAUTHENTICATED, FORBIDDEN.
func operator(ctx context.Context) error {
	v, err := viewer(ctx)
	if err == nil && !v.IsOperator {
		return errs.New(errs.Forbidden, "only an operator may do this")
	}
	return err
}

// absent turns "there is no such row" into nil: foreign and absent look the same.
func absent[T any](row *T, err error) (*T, error) {
	if ent.IsNotFound(err) {
		return nil, nil
	}
	return row, err
}
