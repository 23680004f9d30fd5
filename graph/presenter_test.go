package graph_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/graph"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
)

const deletion = `mutation($id: ID!) { deleteConnection(id: $id) { deletedId } }`

// hidden stands for text that is only for the log.
const hidden = "dial tcp 10.1.2.3: refused"

func TestEveryKindHasItsCode(t *testing.T) {
	kinds := []errs.Kind{
		errs.Unauthenticated, errs.Forbidden, errs.NotFound, errs.BadUserInput, errs.Conflict, errs.RateLimited, errs.TooComplex,
		errs.ReauthorizationRequired, errs.ProviderRejected, errs.ProviderUnavailable, errs.VaultUnavailable, errs.AppMisconfigured,
	}
	for _, kind := range kinds {
		s := newServer(nil)
		s.connections.remove = func(uuid.UUID) error {
			return errs.New(kind, "said to callers").WithField("a.field").WithRetryAfter(1500 * time.Millisecond).WithCause(errors.New(hidden))
		}
		a := s.post(t, deletion, map[string]any{"id": id.Connection.Format(id.New())})
		a.fails(t, string(kind), "a.field", "said to callers")
		if got := a.Errors[0].Extensions["retryAfter"]; got != 2.0 {
			t.Errorf("%s: retryAfter: got %v, want 2", kind, got)
		}
		if strings.Contains(a.body, hidden) || !strings.Contains(s.log.String(), hidden) {
			t.Errorf("%s: the cause belongs into the log and nowhere else: %s", kind, a.body)
		}
	}
}

// TestFaultsOfOursSayNothing has errors that nobody made for callers, and panics.
func TestFaultsOfOursSayNothing(t *testing.T) {
	for name, fault := range map[string]func(uuid.UUID) error{
		"a plain error":         func(uuid.UUID) error { return errors.New(hidden) },
		"an internal one":       func(uuid.UUID) error { return errs.New(errs.Internal, hidden) },
		"a panic with an error": func(uuid.UUID) error { panic(errors.New("tk_secret")) },
		"a panic with a text":   func(uuid.UUID) error { panic("tk_secret") },
		"a fault of Go's":       func(uuid.UUID) error { return []error{}[len(hidden)] },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(nil)
			s.connections.remove = fault
			a := s.post(t, deletion, map[string]any{"id": id.Connection.Format(id.New())})
			a.fails(t, "INTERNAL", "", "something went wrong on our side")
			if strings.Contains(a.body, hidden) {
				t.Errorf("internal text left: %s", a.body)
			}
			if got := s.log.String(); !strings.Contains(got, `"level":"ERROR"`) || !strings.Contains(got, "req-1") || strings.Contains(got, "tk_secret") {
				t.Errorf("the log: %s", got)
			}
		})
	}
}

// TestErrorsOfTheValidatorNameTheField sends variables that do not fit; what the variable is called does not matter.
func TestErrorsOfTheValidatorNameTheField(t *testing.T) {
	create := `mutation($x: CreateConnectionInput!) { createConnection(input: $x) { created } }`
	code := map[string]any{"code": "c", "redirectUri": "u"}
	for _, test := range []struct {
		name, query string
		variables   map[string]any
		field       string
	}{
		{"missing", create, nil, "input"},
		{"null", create, map[string]any{"x": nil}, "input"},
		{"missing inside", create, map[string]any{"x": map[string]any{}}, "grant"},
		{"missing deep inside", create, map[string]any{"x": map[string]any{"grant": map[string]any{"authorizationCode": map[string]any{"code": "c"}}}}, "grant.authorizationCode.redirectUri"},
		{"unknown", create, map[string]any{"x": map[string]any{"grant": map[string]any{"authorizationCode": code}, "colour": "red"}}, "colour"},
		{"no enum value", create, map[string]any{"x": map[string]any{"grant": map[string]any{"authorizationCode": code}, "kind": "ROBOT"}}, "kind"},
		{"an enum in lower case", create, map[string]any{"x": map[string]any{"grant": map[string]any{"authorizationCode": code}, "kind": "user"}}, "kind"},
		{"a number for a text", create, map[string]any{"x": map[string]any{"grant": map[string]any{"authorizationCode": code}, "subject": 7}}, "subject"},
		{"NUL", create, map[string]any{"x": map[string]any{"grant": map[string]any{"authorizationCode": code}, "subject": "a\x00b"}}, "subject"},
		{"a text for a number", `query($n: Int) { connections(first: $n) { nodes { id } } }`, map[string]any{"n": "seven"}, "first"},
		{"a fraction", `query($n: Int) { connections(first: $n) { nodes { id } } }`, map[string]any{"n": 1.5}, "first"},
		{"inside of a literal", `query($s: [ConnectionState!]) { connections(filter: {state: $s}) { nodes { id } } }`, map[string]any{"s": []any{"CONNECTED", nil}}, "filter.state[1]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(nil)
			s.post(t, test.query, test.variables).fails(t, "BAD_USER_INPUT", test.field, "")
		})
	}
}

func TestParserAndLimits(t *testing.T) {
	s := newServer(nil)
	s.post(t, `{ viewer { `, nil).fails(t, "BAD_USER_INPUT", "", "Expected Name")
	s.post(t, `{ viewr { isOperator } }`, nil).fails(t, "BAD_USER_INPUT", "", `Did you mean "viewer"`)
	s.post(t, `{ a`+strings.Repeat(" a", graph.MaxTokens)+` }`, nil).fails(t, "TOO_COMPLEX", "", "too long")
	s.post(t, strings.Repeat("{a", 1001)+strings.Repeat("}", 1001), nil).fails(t, "TOO_COMPLEX", "", "too deeply")
	wide := `{ ` + strings.Repeat(`c: connections(first: 100) { nodes { id } }`, 1) + ` }`
	tight := newServer(func(o *graph.Options) { o.Complexity = 100 })
	tight.post(t, wide, nil).fails(t, "TOO_COMPLEX", "", "exceeds the limit of 100")
	tight.post(t, `query($n: Int) { connections(last: $n) { nodes { id } } }`, map[string]any{"n": 90}).fails(t, "TOO_COMPLEX", "", "exceeds")
	tight.post(t, `query($n: [ID!]!) { nodes(ids: $n) { id __typename } }`, map[string]any{"n": make([]int, 60)}).fails(t, "TOO_COMPLEX", "", "exceeds")
	s.post(t, `{ viewer { ... @defer { isOperator } } }`, nil).fails(t, "BAD_USER_INPUT", "", "Unknown directive")
}

// TestNothingIsSuggestedWithoutIntrospection: a schema that may not be read is not to be guessed, either.
func TestNothingIsSuggestedWithoutIntrospection(t *testing.T) {
	s := newServer(func(o *graph.Options) { o.Introspection = false })
	for _, query := range []string{
		`{ viewr { isOperator } }`,
		`{ viewer { isOperatr } }`,
		`{ viewer { tenant } }`,
		`{ connection(idd: "x") { id } }`,
		`{ connections(filter: {subjct: "x"}) { nodes { id } } }`,
		`{ connections(filter: {kind: USR}) { nodes { id } } }`,
		`query($f: ConnectionFiltr) { connections(filter: $f) { nodes { id } } }`,
		`{ node(id: "x") { ... on Conn { id } } }`,
	} {
		a := s.post(t, query, nil)
		a.fails(t, "BAD_USER_INPUT", "", "")
		if strings.Contains(a.body, "Did you mean") {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	s.post(t, `{ __schema { queryType { name } } }`, nil).fails(t, "FORBIDDEN", "", "introspection is switched off")
	s.post(t, `{ ... { __type(name: "Query") { name } } }`, nil).fails(t, "FORBIDDEN", "", "introspection is switched off")
	s.must(t, `{ __typename }`, nil)
}

func TestNobodyGetsTheSchemaOnly(t *testing.T) {
	s := newServer(nil)
	s.viewer = nil
	s.must(t, `{ __typename __schema { queryType { name } } }`, nil)
	for _, query := range []string{
		`{ viewer { isOperator } }`, `{ __typename ...f } fragment f on Query { providers { key } }`,
		`mutation { deleteConnection(id: "x") { deletedId } }`, `{ ... on Query { node(id: "x") { id } } }`,
	} {
		a := s.post(t, query, nil)
		a.fails(t, "UNAUTHENTICATED", "", "nobody is signed in")
		if a.status != 401 || a.Data != nil {
			t.Errorf("%s: got %d %s", query, a.status, a.body)
		}
	}
}

// TestTheLogHasNoNamesOfCallers: a field that the schema does not have is named by the caller, and may be anything.
func TestTheLogHasNoNamesOfCallers(t *testing.T) {
	for variables, want := range map[string]string{
		`{"in": {"zsim_rt_secret": 1}}`:                                            `"error":"(unknown)"`,
		`{"in": {"grant": {"authorizationCode": {"zsim_rt_secret": 1}}}}`:          `"error":"grant.authorizationCode.(unknown)"`,
		`{"in": {"grant": {"apiKey": {"apiKey": ["zsim_rt_secret"]}}}}`:            `"error":"grant.apiKey.apiKey"`,
		`{"in": {"metadata": {"zsim_rt_secret": 1}, "grant": {"apiKey": {}}}}`:     `"error":"`,
		`{"zsim_rt_secret": {"in": 1}}`:                                            `"error":"input"`,
		`{"in": {"grant": {"apiKey": {"apiKey": "k", "username": ["x", "y"]}}}}`:   `"error":"grant.apiKey.username"`,
		`{"in": {"kind": "zsim_rt_secret", "grant": {"apiKey": {"apiKey": "k"}}}}`: `"error":"kind"`,
	} {
		s := newServer(nil)
		r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(
			`{"query": "mutation($in: CreateConnectionInput!) { createConnection(input: $in) { created } }", "variables": `+variables+`}`))
		r.Header.Set("Content-Type", "application/json")
		if a := s.do(t, r); len(a.Errors) == 0 {
			t.Errorf("%s: got %s, want an error", variables, a.body)
		}
		if got := s.log.String(); strings.Contains(got, "secret") || !strings.Contains(got, want) {
			t.Errorf("%s: the log has %s, want %s", variables, got, want)
		}
	}
}

// TestFragmentsThatMultiply has few fragments spread one another twice: written out they come to more fields than there
// is memory for. They are refused before anything walks them, of anybody, also where a variable of them is wrong.
func TestFragmentsThatMultiply(t *testing.T) {
	s := newServer(nil)
	var bomb strings.Builder
	for i := range 200 {
		fmt.Fprintf(&bomb, "fragment f%d on Query { ...f%d ...f%d } ", i, i+1, i+1)
	}
	for name, test := range map[string]struct {
		query, code, field string
		variables          map[string]any
	}{
		"at the root":      {"{ ...f0 } " + bomb.String() + "fragment f200 on Query { __typename }", "TOO_COMPLEX", "", nil},
		"with a variable":  {"query($n: Int) { ...f0 } " + bomb.String() + "fragment f200 on Query { apps(first: $n) { nodes { id } } }", "BAD_USER_INPUT", "first", map[string]any{"n": "x"}},
		"of the schema":    {"{ a: __schema { description } b: __schema { description } c: __schema { description } d: __schema { description } e: __schema { description } }", "TOO_COMPLEX", "", nil},
		"schema, as usual": {"{ __schema { queryType { name } } }", "", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.post(t, test.query, test.variables)
			if test.code != "" {
				a.fails(t, test.code, test.field, "")
			}
		})
	}
}
