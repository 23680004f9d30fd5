package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/tokenkeep/tokenkeep/graph/model"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// internalText is all that a caller learns about a fault of ours.
const internalText = "something went wrong on our side; the log has it under the request id"

// presenter turns every error into what the caller may know of it; the rest goes to the log.
type presenter struct {
	log *slog.Logger
	// names are those that an input's field may have in the log; see inputNames.
	names map[string]bool
}

// present implements graphql.ErrorPresenterFunc.
func (p presenter) present(ctx context.Context, err error) *gqlerror.Error {
	raised, _ := errors.AsType[*gqlerror.Error](err)
	if raised == nil {
		raised = gqlerror.WrapPath(graphql.GetPath(ctx), err)
	}
	e := classify(ctx, raised)
	p.report(ctx, e, raised)
	return &gqlerror.Error{
		Message:    e.Message,
		Path:       responsePath(ctx),
		Locations:  raised.Locations,
		Extensions: extensions(ctx, e),
	}
}

// classify finds the kind of an error, wherever it comes from.
func classify(ctx context.Context, raised *gqlerror.Error) *errs.Error {
	input := model.InputField(raised.Path, graphql.GetFieldContext(ctx))
	code, _ := raised.Extensions["code"].(string)
	e, ours := errors.AsType[*errs.Error](raised)
	switch {
	case ours && (e.Kind == errs.Internal || e.Kind == ""):
		return internal(raised)
	case ours && e.Field == "":
		return e.WithField(input)
	case ours:
		return e
	case code == errcode.ParseFailed && strings.HasPrefix(raised.Message, "exceeded token limit"):
		return errs.New(errs.TooComplex, "the document is too long: %d tokens are the most", MaxTokens)
	case code == errcode.ParseFailed && strings.HasPrefix(raised.Message, "exceeded maximum nesting depth"):
		return errs.New(errs.TooComplex, "the document is nested too deeply")
	case code == errcode.ParseFailed, code == errcode.ValidationFailed:
		return invalid(ctx, raised)
	case code == complexityCode:
		return errs.New(errs.TooComplex, "%s: ask for shorter pages or fewer fields", raised.Message)
	case input != "":
		return errs.Input(input, "%s has a value that its type does not allow", input)
	default:
		return internal(raised)
	}
}

// complexityCode is what gqlgen's limit sets.
const complexityCode = "COMPLEXITY_LIMIT_EXCEEDED"

func internal(cause error) *errs.Error {
	return errs.New(errs.Internal, internalText).WithCause(cause)
}

// invalid is an error of the parser or the validator. It knows a path where it is about a variable; then the argument
// that the variable is for is named.
func invalid(ctx context.Context, raised *gqlerror.Error) *errs.Error {
	if len(raised.Path) < 2 {
		return errs.New(errs.BadUserInput, "%s", raised.Message)
	}
	field := variableField(ctx, raised.Path)
	return errs.Input(field, "%s: %s", field, raised.Message)
}

// variableField names the argument's part that a path below a variable stands for. The path begins with "variable" and
// the variable's name.
func variableField(ctx context.Context, path ast.Path) string {
	name, _ := path[1].(ast.PathName)
	rest := path[2:]
	if graphql.HasOperationContext(ctx) {
		if op := graphql.GetOperationContext(ctx).Operation; op != nil {
			if argument := argumentOf(op.SelectionSet, string(name)); argument != nil {
				return model.ArgumentField(append(argument, rest...))
			}
		}
	}
	return path[1:].String()
}

// report logs faults of ours as errors and everything else for those who look for it.
func (p presenter) report(ctx context.Context, e *errs.Error, raised error) {
	level := slog.LevelDebug
	if e.Kind == errs.Internal && !errors.Is(raised, context.Canceled) {
		level = slog.LevelError
	}
	p.log.LogAttrs(ctx, level, "answering with an error",
		slog.String("request", tenant.RequestFrom(ctx).ID), slog.String("code", string(e.Kind)),
		slog.String("path", responsePath(ctx).String()), slog.String("error", p.logged(e)))
}

// logged is the text of a fault of ours with its causes. Of a caller's mistake only the kind and the field are kept: the
// validator's text quotes values, and a value may be a secret. So may the name of a field that there is not.
func (p presenter) logged(e *errs.Error) string {
	if e.Kind != errs.BadUserInput || e.Cause != nil {
		return e.Error()
	}
	parts := strings.Split(e.Field, ".")
	for at, part := range parts {
		if name, _, _ := strings.Cut(part, "["); !p.names[name] {
			return strings.Join(append(parts[:at], "(unknown)"), ".")
		}
	}
	return e.Field
}

// inputNames are the names of all arguments and of all fields of inputs, and those of a request's own parts.
func inputNames(schema *ast.Schema) map[string]bool {
	names := map[string]bool{"": true, "query": true, "operationName": true, "variables": true, "extensions": true}
	for _, d := range schema.Types {
		for _, f := range d.Fields {
			if d.Kind == ast.InputObject {
				names[f.Name] = true
			}
			for _, a := range f.Arguments {
				names[a.Name] = true
			}
		}
	}
	return names
}

// extensions are the contract's.
func extensions(ctx context.Context, e *errs.Error) map[string]any {
	out := map[string]any{"code": string(e.Kind), "requestId": tenant.RequestFrom(ctx).ID}
	if e.Field != "" {
		out["field"] = e.Field
	}
	if e.RetryAfter > 0 {
		out["retryAfter"] = model.Seconds(e.RetryAfter)
	}
	return out
}

// responsePath is where in the response the error belongs; nil before anything has run.
func responsePath(ctx context.Context) ast.Path {
	if fc := graphql.GetFieldContext(ctx); fc != nil {
		return fc.Path()
	}
	return nil
}

// panicError is a panic that was recovered.
type panicError struct {
	text  string
	stack []byte
}

// Error implements error.
func (e *panicError) Error() string {
	return "recovering from a panic: " + e.text + "\n" + string(e.stack)
}

// recovered implements graphql.RecoverFunc. A panic's value may hold anything, so only the runtime's own is printed.
func recovered(_ context.Context, value any) error {
	text := fmt.Sprintf("%T", value)
	if fault, ok := value.(runtime.Error); ok {
		text = fault.Error()
	}
	return &panicError{text: text, stack: debug.Stack()}
}
