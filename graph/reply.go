package graph

import (
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/tokenkeep/tokenkeep/internal/errs"
)

// The media types of an answer.
const (
	typeJSON     = "application/json"
	typeResponse = "application/graphql-response+json"
)

// reply writes the answer to one request.
type reply struct {
	w http.ResponseWriter
	// contentType is empty where the caller takes neither.
	contentType string
}

func newReply(w http.ResponseWriter, r *http.Request) *reply {
	return &reply{w: w, contentType: negotiate(r.Header.Values("Accept"))}
}

func (o *reply) header() http.Header { return o.w.Header() }

// result writes what an operation gave. Errors of single fields are beside the data, so the request went well.
func (o *reply) result(response *graphql.Response) { o.write(http.StatusOK, response, true) }

// request writes why an operation was not run. Clients that asked for application/json expect 200 all the same; being
// nobody is a matter of HTTP to both.
func (o *reply) request(response *graphql.Response) {
	status := http.StatusOK
	if o.contentType == typeResponse {
		status = http.StatusBadRequest
	}
	if has(response.Errors, errs.Unauthenticated) {
		status = http.StatusUnauthorized
		o.header().Set("WWW-Authenticate", "Bearer")
	}
	o.write(status, response, false)
}

func has(list gqlerror.List, kind errs.Kind) bool {
	for _, e := range list {
		if e.Extensions["code"] == string(kind) {
			return true
		}
	}
	return false
}

// write sends an answer. There is data, if only null, where something has run, and none where nothing has.
func (o *reply) write(status int, response *graphql.Response, data bool) {
	text := encode(response, data)
	h := o.header()
	h.Set("Content-Type", o.contentType+"; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	o.w.WriteHeader(status)
	_, _ = o.w.Write(text) // #nosec G705 -- JSON, and its type and nosniff say so
}

// encode makes the body. Data alone, which is what nearly every answer has, is JSON already.
func encode(response *graphql.Response, data bool) []byte {
	if data && len(response.Data) != 0 && len(response.Errors) == 0 && len(response.Extensions) == 0 {
		return slices.Concat([]byte(`{"data":`), response.Data, []byte("}"))
	}
	body := struct {
		Errors     gqlerror.List    `json:"errors,omitempty"`
		Data       *json.RawMessage `json:"data,omitempty"`
		Extensions map[string]any   `json:"extensions,omitempty"`
	}{Errors: response.Errors, Extensions: response.Extensions}
	if data {
		body.Data = &response.Data
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // the executor makes valid JSON
	}
	return text
}

// negotiate picks the type of the answer: what the caller likes best of the two, application/json where he does not care,
// nothing where he takes neither.
func negotiate(accept []string) string {
	if len(accept) == 0 {
		return typeJSON
	}
	best, liking := "", 0.0
	for _, part := range strings.Split(strings.Join(accept, ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if text, given := params["q"]; given {
			q, _ = strconv.ParseFloat(text, 64)
		}
		if t := offered(media); t != "" && q > liking {
			best, liking = t, q
		}
	}
	return best
}

func offered(media string) string {
	switch media {
	case typeResponse:
		return typeResponse
	case typeJSON, "application/*", "*/*":
		return typeJSON
	default:
		return ""
	}
}
