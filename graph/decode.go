package graph

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"github.com/tokenkeep/tokenkeep/internal/errs"
)

// envelope is a GraphQL request.
type envelope struct {
	Query         *string        `json:"query"`
	OperationName *string        `json:"operationName"`
	Variables     map[string]any `json:"variables"`
	Extensions    map[string]any `json:"extensions"`
}

// decode reads the request of a GET or a POST; nothing at all where it answered itself.
func decode(r *http.Request, out *reply) (*graphql.RawParams, *refusal) {
	if out.contentType == "" {
		out.contentType = typeJSON
		return nil, &refusal{http.StatusNotAcceptable, errs.New(errs.BadUserInput, "the answer is %s or %s, and the header Accept allows neither", typeJSON, typeResponse)}
	}
	var e envelope
	var why *refusal
	started := graphql.Now()
	switch r.Method {
	case http.MethodPost:
		why = fromBody(r, &e)
	case http.MethodGet:
		why = fromURL(r, &e)
	case http.MethodOptions:
		out.header().Set("Allow", "GET, POST")
		out.w.WriteHeader(http.StatusNoContent)
		return nil, nil
	default:
		why = &refusal{http.StatusMethodNotAllowed, errs.New(errs.BadUserInput, "send a query with POST or GET")}
	}
	if why == nil && (e.Query == nil || *e.Query == "") {
		why = bad("query", "query is missing")
	}
	if why != nil {
		return nil, why
	}
	return &graphql.RawParams{
		Query: *e.Query, OperationName: orZero(e.OperationName), Variables: e.Variables, Extensions: e.Extensions,
		Headers: r.Header, ReadTime: graphql.TraceTiming{Start: started, End: graphql.Now()},
	}, nil
}

// fromBody reads a JSON body. What it says about a body that it cannot read never quotes the body.
func fromBody(r *http.Request, e *envelope) *refusal {
	if !isJSON(r.Header.Get("Content-Type")) {
		return &refusal{http.StatusUnsupportedMediaType, errs.New(errs.BadUserInput, "send the body as Content-Type: %s in UTF-8", typeJSON)}
	}
	d := json.NewDecoder(r.Body)
	d.UseNumber()
	if err := d.Decode(e); err != nil {
		return unreadable(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return bad("", "the body goes on after its JSON object: one operation makes a request")
	}
	return nil
}

// isJSON reports whether a Content-Type is JSON in UTF-8.
func isJSON(contentType string) bool {
	if contentType == typeJSON { // as nearly everybody writes it
		return true
	}
	media, params, err := mime.ParseMediaType(contentType)
	charset, given := params["charset"]
	return err == nil && media == typeJSON && (!given || strings.EqualFold(charset, "utf-8"))
}

func unreadable(err error) *refusal {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &refusal{http.StatusRequestEntityTooLarge, errs.New(errs.BadUserInput, "the body is larger than %d bytes", tooLarge.Limit)}
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return bad(wrong.Field, "%s is not %s", wrong.Field, map[bool]string{true: "a string", false: "an object"}[wrong.Field == "query" || wrong.Field == "operationName"])
	}
	return bad("", `the body is not a JSON object with the string "query" and, if need be, the objects "variables" and "extensions" and the string "operationName"`)
}

// fromURL reads the parameters of a GET.
func fromURL(r *http.Request, e *envelope) *refusal {
	query := r.URL.Query()
	for name, to := range map[string]**string{"query": &e.Query, "operationName": &e.OperationName} {
		if query.Has(name) {
			value := query.Get(name)
			*to = &value
		}
	}
	for name, to := range map[string]*map[string]any{"variables": &e.Variables, "extensions": &e.Extensions} {
		text := query.Get(name)
		if text == "" {
			continue
		}
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(to); err != nil {
			return bad(name, "%s is not a JSON object", name)
		}
	}
	return nil
}

func bad(field, format string, args ...any) *refusal {
	return &refusal{http.StatusBadRequest, errs.Input(field, format, args...)}
}
