package audit

import (
	"context"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// Require is how every operation begins that changes something or reads a credential: it returns the viewer if he holds
// the scope and otherwise writes the refusal. c must not be a transaction's client, for the refusal would be rolled back
// with it; object may be empty. The entry of what was allowed is the operation's to write, with its change (Record).
// Errors: UNAUTHENTICATED, FORBIDDEN.
func Require(ctx context.Context, c *ent.Client, s tenant.Scope, action, object string) (*tenant.Viewer, error) {
	v, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if lacks := lacking(v, s); lacks != nil {
		return nil, Refuse(ctx, c, lacks, action, object)
	}
	return v, nil
}

// RequireRead is Require for plain reads: it leaves no entry. Errors: UNAUTHENTICATED, FORBIDDEN.
func RequireRead(ctx context.Context, s tenant.Scope) (*tenant.Viewer, error) {
	v, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if lacks := lacking(v, s); lacks != nil {
		return nil, lacks
	}
	return v, nil
}

// RequireOperator is Require for what belongs to no tenant: only an operator who acts in none may do it.
// Errors: UNAUTHENTICATED, FORBIDDEN.
func RequireOperator(ctx context.Context, c *ent.Client, action, object string) (*tenant.Viewer, error) {
	v, err := caller(ctx)
	switch {
	case err != nil:
		return nil, err
	case !v.IsOperator:
		return nil, Refuse(ctx, c, errs.New(errs.Forbidden, "only an operator may do this"), action, object)
	case v.Tenant != uuid.Nil:
		return nil, Refuse(ctx, c, errs.New(errs.Forbidden,
			"an operator does this outside of any tenant: leave out the header Tokenkeep-Tenant"), action, object)
	default:
		return v, nil
	}
}

// Refuse writes a refusal and returns it: for what a scope alone does not decide, such as a key that asks for more than
// it has. Like Require it takes a client that is not a transaction's. If the entry cannot be written the caller is
// refused all the same, and the log has both reasons.
func Refuse(ctx context.Context, c *ent.Client, refusal *errs.Error, action, object string) error {
	if err := Record(context.WithoutCancel(ctx), c, Entry{Action: action, Object: object}); err != nil {
		return refusal.WithCause(err)
	}
	return refusal
}

// caller returns who is calling. A viewer who stands for nothing is nobody.
func caller(ctx context.Context) (*tenant.Viewer, error) {
	v := tenant.FromContext(ctx)
	if v == nil || v.Tenant == uuid.Nil && !v.IsOperator && !v.IsSystem() {
		return nil, errs.New(errs.Unauthenticated, "nobody is signed in: send an API key in the header Authorization")
	}
	return v, nil
}

// lacking says why the viewer may not; nil where he may.
func lacking(v *tenant.Viewer, s tenant.Scope) *errs.Error {
	switch {
	case v.Has(s):
		return nil
	case v.IsOperator && v.Tenant == uuid.Nil:
		return errs.New(errs.Forbidden, "an operator does this inside a tenant: name one in the header Tokenkeep-Tenant")
	case v.IsOperator:
		return errs.New(errs.Forbidden, "an operator never holds the scope %s: use an API key of the tenant", s)
	default:
		return errs.New(errs.Forbidden, "this API key lacks the scope %s", s)
	}
}
