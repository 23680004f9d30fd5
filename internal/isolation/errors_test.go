package isolation_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// TestBadRequests: whatever is wrong with a request, the error has a code and names the request (send checks that).
func TestBadRequests(t *testing.T) {
	w := newWorld(t, servicetest.SQLite(t))
	p := w.party(t, "amber")
	query := func(document string) string { return fmt.Sprintf(`{"query": %q}`, document) }
	deep := "{ __schema { types " + strings.Repeat("{ fields { type ", 30) + "{ name }" + strings.Repeat("} }", 30) + " } }"
	wide := "{ " + strings.Repeat("a: connections(first: 100) { nodes { id app { id } } } ", 60) + "}"
	for _, test := range []struct{ name, body, code string }{
		{"a field that there is not", query("{ viewer { password } }"), "BAD_USER_INPUT"},
		{"an argument that there is not", query("{ viewer(x: 1) { isOperator } }"), "BAD_USER_INPUT"},
		{"a syntax error", query("{ viewer {"), "BAD_USER_INPUT"},
		{"nothing", "", "BAD_USER_INPUT"},
		{"no JSON", "query", "BAD_USER_INPUT"},
		{"a batch", "[" + query("{ viewer { isOperator } }") + "]", "BAD_USER_INPUT"},
		{"two objects", query("{ viewer { isOperator } }") + query("{ viewer { isOperator } }"), "BAD_USER_INPUT"},
		{"a query that is no text", `{"query": 5}`, "BAD_USER_INPUT"},
		{"variables that are a list", `{"query": "{ viewer { isOperator } }", "variables": []}`, "BAD_USER_INPUT"},
		{"a variable of the wrong type", `{"query": "query($n: Int) { connections(first: $n) { nodes { id } } }", "variables": {"n": "ten"}}`, "BAD_USER_INPUT"},
		{"a variable that is missing", query("query($id: ID!) { connection(id: $id) { id } }"), "BAD_USER_INPUT"},
		{"an enum value that there is not", query("{ connections(filter: {kind: ROBOT}) { nodes { id } } }"), "BAD_USER_INPUT"},
		{"an operation that there is not", `{"query": "query A { viewer { isOperator } }", "operationName": "B"}`, "BAD_USER_INPUT"},
		{"two operations", query("query A { viewer { isOperator } } query B { viewer { isOperator } }"), "BAD_USER_INPUT"},
		{"an oversize body", query("{ viewer { isOperator } }" + strings.Repeat(" ", 1<<20)), "BAD_USER_INPUT"},
		{"a long document", query("{ viewer { " + strings.Repeat("isOperator ", 6000) + "} }"), "TOO_COMPLEX"},
		{"a wide document", query(wide), "TOO_COMPLEX"},
		{"a deep document", query(deep), "BAD_USER_INPUT"},
		{"deep brackets", query(strings.Repeat("{ viewer ", 6000)), "TOO_COMPLEX"},
		{"deep values", query("{ connections(filter: " + strings.Repeat("{app: ", 3000) + "1" + strings.Repeat("}", 3000) + ") { nodes { id } } }"), "TOO_COMPLEX"},
		{"fragments in a circle", query("{ viewer { ...a } } fragment a on Viewer { ...b } fragment b on Viewer { ...a }"), "BAD_USER_INPUT"},
		{"a subscription", query("subscription { connectionChanged { id } }"), "BAD_USER_INPUT"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := w.send(t, p.all, []byte(test.body))
			if got.code() != test.code || got.status >= http.StatusInternalServerError {
				t.Errorf("got %d %s, want %s", got.status, got.body[:min(len(got.body), 500)], test.code)
			}
		})
	}
}

// marker is text that only the log may have.
const marker = "internal-marker-dial-tcp-10.0.0.7"

// TestInternalTextStaysInside has every part below fail with a text of its own, and a table go away.
func TestInternalTextStaysInside(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		f := &flows{world: w, party: w.party(t, "amber")}
		one := f.party.values["connection"]
		f.breaker.update = func(connection.UpdateInput) error { return fmt.Errorf("asking: %w", errors.New(marker)) }
		f.hides(t, document(t, "updateConnection", args{"input": nil}), args{"input": args{"id": one, "subject": "s"}}, "INTERNAL")
		f.breaker.update = func(connection.UpdateInput) error { panic(marker) }
		f.hides(t, document(t, "updateConnection", args{"input": nil}), args{"input": args{"id": one, "subject": "s"}}, "INTERNAL")
		f.breaker.update = nil
		for _, method := range []string{"ReadRecord", "UnwrapDataKeys", "NewDataKey"} {
			w.Service.Vault.Before(method, func(context.Context) error { return errors.New(marker) })
			f.hides(t, readCredential, of(one), "")
			f.hides(t, refresh, args{"id": one}, "")
			f.hides(t, createConnection, f.codeInput(f.consent(t, f.party, "hidden@example.com", nil), ""), "")
			w.Service.Vault.Before(method, nil)
		}
		f.wire.breaks(errors.New(marker))
		f.hides(t, refresh, args{"id": one}, "")
		f.hides(t, createConnection, f.codeInput(f.consent(t, f.party, "hidden@example.com", nil), ""), "PROVIDER_UNAVAILABLE")
		f.wire.breaks(nil)
		if _, err := w.DB.SQL().ExecContext(t.Context(), "ALTER TABLE connections RENAME TO "+strings.ReplaceAll(marker, "-", "_")[:20]); err != nil {
			t.Fatal(err)
		}
		for _, field := range operations() {
			if field.Name == "createConnection" {
				continue // it goes on trying for a minute: what a grant gave must not be lost
			}
			given := rules[field.Name].own(f.party)
			f.hides(t, document(t, field.Name, given), given, "")
		}
		if !strings.Contains(string(w.logs.Bytes()), marker) {
			t.Error("the log does not have the text either")
		}
	})
}

// hides calls and looks for what must not be seen. An empty code stands for any.
func (f *flows) hides(t *testing.T, document string, given args, code string) {
	t.Helper()
	got := f.as(t, document, given)
	if code != "" && got.code() != code {
		t.Errorf("got %s, want %s", got.body, code)
	}
	for _, inside := range []string{marker, "internal_marker", "no such table", "relation", "SQLSTATE", "goroutine", ".go:", "sql:", "ent:"} {
		if strings.Contains(got.body, inside) {
			t.Errorf("%s: the answer has %q: %s", document[:min(len(document), 60)], inside, got.body)
		}
	}
}
