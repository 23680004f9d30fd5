package server

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// internalText is all that a caller learns about a fault of ours.
const internalText = "something went wrong on our side; the log has it under the request id"

// refuse answers with an error in the shape of a GraphQL response, whichever path it is: clients have one way to read it.
// What is not an *errs.Error is INTERNAL, and its text stays here.
func refuse(w http.ResponseWriter, r *http.Request, status int, err error) {
	e, ours := errors.AsType[*errs.Error](err)
	if !ours || e.Kind == errs.Internal {
		e = errs.New(errs.Internal, internalText)
	}
	extensions := map[string]any{"code": e.Kind, "requestId": tenant.RequestFrom(r.Context()).ID}
	if e.Field != "" {
		extensions["field"] = e.Field
	}
	if e.RetryAfter > 0 {
		seconds := int(math.Ceil(e.RetryAfter.Seconds()))
		extensions["retryAfter"] = seconds
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	type item struct {
		Message    string         `json:"message"`
		Extensions map[string]any `json:"extensions"`
	}
	writeJSON(w, status, map[string]any{"errors": []item{{e.Message, extensions}}})
}

// writeJSON sends v, which is made of strings, numbers, maps and lists.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // only our own types come here
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// absent answers where there is nothing.
func absent(w http.ResponseWriter, r *http.Request) {
	refuse(w, r, http.StatusNotFound, errs.New(errs.NotFound, "there is nothing at this path; the API is at /graphql"))
}

// onlyGET refuses the methods that a page which is only read has no use for.
func onlyGET(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			refuse(w, r, http.StatusMethodNotAllowed, errs.New(errs.BadUserInput, "this path is for GET"))
			return
		}
		next.ServeHTTP(w, r)
	})
}
