package graph_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/graph"
)

const (
	typeJSON     = "application/json"
	typeResponse = "application/graphql-response+json"
)

// TestHTTP is the table of GraphQL over HTTP: method, media types, body, and what comes back.
func TestHTTP(t *testing.T) {
	const ping = `{"query":"{ __typename }"}`
	for _, test := range []struct {
		name, method, contentType, accept, body string
		status                                  int
		answers, code, field                    string
	}{
		{"well formed", "POST", typeJSON, "", ping, 200, typeJSON, "", ""},
		{"with its charset", "POST", "application/json; charset=UTF-8", "*/*", ping, 200, typeJSON, "", ""},
		{"the newer type", "POST", typeJSON, typeResponse, ping, 200, typeResponse, "", ""},
		{"the one liked better", "POST", typeJSON, typeResponse + ";q=0.5, " + typeJSON, ping, 200, typeJSON, "", ""},
		{"neither accepted", "POST", typeJSON, "text/html", ping, 406, typeJSON, "BAD_USER_INPUT", ""},
		{"a form", "POST", "application/x-www-form-urlencoded", "", "query={__typename}", 415, typeJSON, "BAD_USER_INPUT", ""},
		{"files", "POST", "multipart/form-data; boundary=x", "", "--x--", 415, typeJSON, "BAD_USER_INPUT", ""},
		{"no type", "POST", "", "", ping, 415, typeJSON, "BAD_USER_INPUT", ""},
		{"Latin-1", "POST", "application/json; charset=latin1", "", ping, 415, typeJSON, "BAD_USER_INPUT", ""},
		{"no JSON", "POST", typeJSON, "", `{"query": hunter2`, 400, typeJSON, "BAD_USER_INPUT", ""},
		{"empty", "POST", typeJSON, "", ``, 400, typeJSON, "BAD_USER_INPUT", ""},
		{"a batch", "POST", typeJSON, "", `[` + ping + `]`, 400, typeJSON, "BAD_USER_INPUT", ""},
		{"two objects", "POST", typeJSON, "", ping + ping, 400, typeJSON, "BAD_USER_INPUT", ""},
		{"no query", "POST", typeJSON, "", `{}`, 400, typeJSON, "BAD_USER_INPUT", "query"},
		{"a number for the query", "POST", typeJSON, "", `{"query": 7}`, 400, typeJSON, "BAD_USER_INPUT", "query"},
		{"a text for the variables", "POST", typeJSON, "", `{"query": "{ __typename }", "variables": "hunter2"}`, 400, typeJSON, "BAD_USER_INPUT", "variables"},
		{"does not parse", "POST", typeJSON, typeJSON, `{"query": "{"}`, 200, typeJSON, "BAD_USER_INPUT", ""},
		{"does not parse, newer type", "POST", typeJSON, typeResponse, `{"query": "{"}`, 400, typeResponse, "BAD_USER_INPUT", ""},
		{"does not validate", "POST", typeJSON, typeResponse, `{"query": "{ nothing }"}`, 400, typeResponse, "BAD_USER_INPUT", ""},
		{"no such operation", "POST", typeJSON, typeResponse, `{"query": "query A { __typename }", "operationName": "B"}`, 400, typeResponse, "BAD_USER_INPUT", ""},
		{"too large", "POST", typeJSON, "", `{"query": "` + strings.Repeat(" ", graph.MaxBody) + `"}`, 413, typeJSON, "BAD_USER_INPUT", ""},
		{"PUT", "PUT", typeJSON, "", ping, 405, typeJSON, "BAD_USER_INPUT", ""},
		{"HEAD", "HEAD", "", "", "", 405, typeJSON, "BAD_USER_INPUT", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(test.method, "/graphql", strings.NewReader(test.body))
			header(r, "Content-Type", test.contentType)
			header(r, "Accept", test.accept)
			a := newServer(nil).do(t, r)
			if a.status != test.status || a.header.Get("Content-Type") != test.answers+"; charset=utf-8" {
				t.Errorf("got %d %s, want %d %s", a.status, a.header.Get("Content-Type"), test.status, test.answers)
			}
			if a.header.Get("Cache-Control") != "no-store" || strings.Contains(a.body, "hunter2") {
				t.Errorf("got %v %s", a.header, a.body)
			}
			if test.code == "" {
				if len(a.Errors) > 0 {
					t.Error(a.body)
				}
				return
			}
			a.fails(t, test.code, test.field, "")
			if strings.Contains(a.body, `"data"`) {
				t.Errorf("nothing has run, and yet there is data: %s", a.body)
			}
		})
	}
}

func header(r *http.Request, name, value string) {
	if value != "" {
		r.Header.Set(name, value)
	}
}

// TestGET: queries may come in the address, what changes something or must not be cached may not.
func TestGET(t *testing.T) {
	for _, test := range []struct {
		name, query, variables string
		status                 int
		says                   string
	}{
		{"a query", `{ __typename }`, "", 200, ""},
		{"with variables", `query($k: String!) { provider(key: $k) { name } }`, `{"k": "zoom"}`, 200, ""},
		{"bad variables", `{ __typename }`, `hunter2`, 400, "variables is not a JSON object"},
		{"none", "", "", 400, "query is missing"},
		{"a mutation", `mutation { deleteConnection(id: "x") { deletedId } }`, "", 405, "GET is for queries"},
		{"a credential", `{ credential(of: {connection: "x"}) { __typename } }`, "", 405, "POST only"},
		{"credentials in a fragment", `{ ...f } fragment f on Query { c: credentials(connections: []) { __typename } }`, "", 405, "POST only"},
		{"a skipped one", `{ __typename credentials(connections: []) @skip(if: true) { __typename } }`, "", 405, "POST only"},
	} {
		t.Run(test.name, func(t *testing.T) {
			address := "/graphql?" + url.Values{"query": {test.query}, "variables": {test.variables}}.Encode()
			a := newServer(nil).do(t, httptest.NewRequest(http.MethodGet, address, nil))
			if a.status != test.status || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d, want %d: %s", a.status, test.status, a.body)
			}
			if test.status == 405 && a.header.Get("Allow") != "POST" {
				t.Errorf("Allow: got %q", a.header.Get("Allow"))
			}
			if test.says != "" {
				if len(a.Errors) == 0 || !strings.Contains(a.Errors[0].Message, test.says) {
					t.Errorf("got %s, want %q", a.body, test.says)
				}
			} else if len(a.Errors) > 0 {
				t.Error(a.body)
			}
		})
	}
}

func TestOPTIONS(t *testing.T) {
	a := newServer(nil).do(t, httptest.NewRequest(http.MethodOptions, "/graphql", nil))
	if a.status != 204 || a.header.Get("Allow") != "GET, POST" {
		t.Errorf("got %d %v", a.status, a.header)
	}
}
