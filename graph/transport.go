package graph

import (
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/tokenkeep/tokenkeep/internal/errs"
)

// transport is GraphQL over HTTP, after graphql.github.io/graphql-over-http. gqlgen's own transports quote bodies that
// cannot be decoded in their errors, and a body may hold a secret.
type transport struct{}

var _ graphql.Transport = transport{}

// Supports implements graphql.Transport: there is no other.
func (transport) Supports(*http.Request) bool { return true }

// Do implements graphql.Transport.
func (transport) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	out := newReply(w, r)
	params, refusal := decode(r, out)
	if refusal != nil {
		out.refuse(r, exec, refusal)
		return
	}
	if params == nil {
		return
	}
	op, problems := exec.CreateOperationContext(r.Context(), params)
	if len(problems) != 0 {
		out.request(exec.DispatchError(graphql.WithOperationContext(r.Context(), op), problems))
		return
	}
	if refusal := unfit(r, op.Operation); refusal != nil {
		out.refuse(r, exec, refusal)
		return
	}
	responses, ctx := exec.DispatchOperation(r.Context(), op)
	if response := responses(ctx); response != nil { // nil: the caller has gone
		out.result(response)
	}
}

// refusal is an error of HTTP rather than of GraphQL.
type refusal struct {
	status int
	error  *errs.Error
}

// unfit refuses what GET must not do: addresses are logged and answers to GET are cached on the way.
func unfit(r *http.Request, op *ast.OperationDefinition) *refusal {
	switch {
	case r.Method != http.MethodGet:
		return nil
	case op.Operation != ast.Query:
		return &refusal{http.StatusMethodNotAllowed, errs.New(errs.BadUserInput, "GET is for queries: send a %s with POST", op.Operation)}
	case readsCredentials(op):
		return &refusal{http.StatusMethodNotAllowed, errs.New(errs.BadUserInput, "credentials are read with POST only, so that they are never cached")}
	default:
		return nil
	}
}

// refuse writes an error that comes before GraphQL, presented like all others.
func (o *reply) refuse(r *http.Request, exec graphql.GraphExecutor, why *refusal) {
	if why.status == http.StatusMethodNotAllowed {
		o.header().Set("Allow", "POST")
		if r.Method != http.MethodGet {
			o.header().Set("Allow", "GET, POST")
		}
	}
	response := exec.DispatchError(r.Context(), gqlerror.List{gqlerror.WrapPath(nil, why.error)})
	o.write(why.status, response, false)
}
