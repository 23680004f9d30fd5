package interop_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/oauth"
)

// caller asks a running Tokenkeep with one key.
type caller struct {
	// graphql is the address of the API.
	graphql string
	key     string
}

// answer is a GraphQL response.
type answer struct {
	Data   json.RawMessage
	Errors []graphQLError
}

type graphQLError struct {
	Message    string
	Extensions struct{ Code, Field, RequestID string }
}

// The types of the contract, as far as the tests look at them.
type (
	connectionView struct {
		ID                                                 string
		State                                              string
		Failure                                            *failureView
		ExternalUserID, ExternalEmail, ExternalDisplayName string
		Scopes, MissingScopes                              []string
		Metadata                                           map[string]string
		CredentialVersion                                  int
		AccessTokenExpiresAt                               time.Time
	}
	failureView struct {
		Class, Reason, Message, ProviderCode string
		HTTPStatus, Attempts                 int
		NextAttemptAt                        *time.Time
	}
	credentialView struct {
		Typename    string `json:"__typename"`
		Version     int
		TokenType   string
		AccessToken string
		ExpiresAt   time.Time
		Scopes      []string
		// Code and RetryAfter are those of a CredentialUnavailable.
		Code       string
		RetryAfter int
	}
)

const connectionFields = `id state externalUserId externalEmail externalDisplayName scopes missingScopes metadata credentialVersion
	accessTokenExpiresAt failure { class reason message providerCode httpStatus attempts nextAttemptAt }`

// ask makes a request. The error is the transport's; GraphQL's are in the answer.
func (c caller) ask(query string, variables map[string]any) (answer, error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequest(http.MethodPost, c.graphql, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.key)
	resp, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	var a answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return answer{}, fmt.Errorf("status %d: %w", resp.StatusCode, err)
	}
	return a, nil
}

// get makes a request that must succeed and decodes the field.
func (c caller) get(t *testing.T, to any, field, query string, variables map[string]any) {
	t.Helper()
	if failed := c.try(t, to, field, query, variables); failed != nil {
		t.Fatalf("%s failed: %+v", field, *failed)
	}
}

// try makes a request and decodes the field; it returns the error of GraphQL, if there is one.
func (c caller) try(t *testing.T, to any, field, query string, variables map[string]any) *graphQLError {
	t.Helper()
	a, err := c.ask(query, variables)
	if err != nil {
		t.Fatalf("asking for %s: %v", field, err)
	}
	if len(a.Errors) > 0 {
		return &a.Errors[0]
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(a.Data, &fields); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(fields[field], to); err != nil {
		t.Fatalf("reading %s from %s: %v", field, fields[field], err)
	}
	return nil
}

// newTenant makes a tenant and returns a caller with its first key. The caller is an operator.
func (c caller) newTenant(t *testing.T, name string) caller {
	t.Helper()
	var made struct{ APIKey string }
	c.get(t, &made, "createTenant", `mutation($i: CreateTenantInput!) { createTenant(input: $i) { apiKey } }`,
		map[string]any{"i": map[string]any{"name": name}})
	return caller{graphql: c.graphql, key: made.APIKey}
}

func (c caller) createApp(t *testing.T, provider, clientID, secret string) (id string) {
	t.Helper()
	var made struct{ App struct{ ID string } }
	c.get(t, &made, "createOAuthApp", `mutation($i: CreateOAuthAppInput!) { createOAuthApp(input: $i) { app { id } } }`,
		map[string]any{"i": map[string]any{"provider": provider, "clientId": clientID, "clientSecret": secret,
			"redirectUris": []string{redirectURI}, "scopes": allScopes()}})
	return made.App.ID
}

// setSecret changes an app's client secret.
func (c caller) setSecret(t *testing.T, app, secret string) {
	t.Helper()
	var made struct{}
	c.get(t, &made, "updateOAuthApp", `mutation($i: UpdateOAuthAppInput!) { updateOAuthApp(input: $i) { app { id } } }`,
		map[string]any{"i": map[string]any{"id": app, "clientSecret": secret}})
}

type appView struct {
	State   string
	Failure *failureView
}

func (c caller) app(t *testing.T, id string) appView {
	t.Helper()
	var a appView
	c.get(t, &a, "app", `query($id: ID!) { app(id: $id) { state failure { class reason } } }`, map[string]any{"id": id})
	return a
}

type created struct {
	Connection connectionView
	Created    bool
}

// connect hands a code over; metadata that is nil is left out.
func (c caller) connect(t *testing.T, app string, code oauth.Code, metadata map[string]string) (created, *graphQLError) {
	t.Helper()
	grant := map[string]any{"code": code.Code.Reveal(), "redirectUri": code.RedirectURI}
	if !code.Verifier.IsZero() {
		grant["codeVerifier"] = code.Verifier.Reveal()
	}
	input := map[string]any{"app": app, "grant": map[string]any{"authorizationCode": grant}}
	if metadata != nil {
		input["metadata"] = metadata
	}
	var made created
	failed := c.try(t, &made, "createConnection", `mutation($i: CreateConnectionInput!) { createConnection(input: $i) { created connection { `+
		connectionFields+` } } }`, map[string]any{"i": input})
	return made, failed
}

// connection reads a connection; nil where there is none.
func (c caller) connection(t *testing.T, id string) *connectionView {
	t.Helper()
	var got *connectionView
	c.get(t, &got, "connection", `query($id: ID!) { connection(id: $id) { `+connectionFields+` } }`, map[string]any{"id": id})
	return got
}

// connections returns the ids of those that a filter lets through.
func (c caller) connections(t *testing.T, filter map[string]any) (ids []string, total int) {
	t.Helper()
	var page struct {
		Nodes      []connectionView
		TotalCount int
	}
	c.get(t, &page, "connections", `query($f: ConnectionFilter) { connections(filter: $f) { totalCount nodes { id } } }`, map[string]any{"f": filter})
	for _, n := range page.Nodes {
		ids = append(ids, n.ID)
	}
	return ids, page.TotalCount
}

func (c caller) refresh(t *testing.T, id string) connectionView {
	t.Helper()
	var made struct{ Connection connectionView }
	c.get(t, &made, "refreshConnection", `mutation($id: ID!) { refreshConnection(id: $id) { connection { `+connectionFields+` } } }`, map[string]any{"id": id})
	return made.Connection
}

func (c caller) delete(t *testing.T, id string) {
	t.Helper()
	var made struct{ DeletedID string }
	c.get(t, &made, "deleteConnection", `mutation($id: ID!) { deleteConnection(id: $id) { deletedId } }`, map[string]any{"id": id})
	if made.DeletedID != id {
		t.Errorf("deleted %q, want %q", made.DeletedID, id)
	}
}

const credentialQuery = `query($id: ID!) { credential(of: {connection: $id}) { __typename
	... on Credential { version tokenType accessToken expiresAt scopes }
	... on CredentialUnavailable { code retryAfter } } }`

func (c caller) credential(t *testing.T, id string) credentialView {
	t.Helper()
	var got credentialView
	c.get(t, &got, "credential", credentialQuery, map[string]any{"id": id})
	return got
}

// credentials asks n times at once.
func (c caller) credentials(t *testing.T, id string, n int) []credentialView {
	t.Helper()
	type outcome struct {
		answer answer
		err    error
	}
	outcomes, start := make(chan outcome, n), make(chan struct{})
	for range n {
		go func() {
			<-start
			a, err := c.ask(credentialQuery, map[string]any{"id": id})
			outcomes <- outcome{a, err}
		}()
	}
	close(start)
	all := make([]credentialView, n)
	for i := range n {
		o := <-outcomes
		if o.err != nil || len(o.answer.Errors) > 0 {
			t.Fatalf("asking for a credential: %v, %+v", o.err, o.answer.Errors)
		}
		var data struct{ Credential credentialView }
		if err := json.Unmarshal(o.answer.Data, &data); err != nil {
			t.Fatal(err)
		}
		all[i] = data.Credential
	}
	return all
}
