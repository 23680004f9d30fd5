package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// The documents, as an application would send them.
const (
	connectionFields = `id state credentialVersion accessTokenExpiresAt failure { class reason nextAttemptAt }`
	readQuery        = `query Read($id: ID!, $ttl: Int) { credential(of: {connection: $id}, minTTL: $ttl) { __typename ` +
		`... on Credential { version accessToken expiresAt } ` +
		`... on ReauthorizationRequired { failure { reason class } } ` +
		`... on CredentialUnavailable { code message retryAfter connection { ` + connectionFields + ` } } } }`
	createMutation  = `mutation Create($input: CreateConnectionInput!) { createConnection(input: $input) { created connection { ` + connectionFields + ` } } }`
	deleteMutation  = `mutation Delete($id: ID!) { deleteConnection(id: $id) { deletedId } }`
	refreshMutation = `mutation Refresh($id: ID!) { refreshConnection(id: $id) { connection { ` + connectionFields + ` } } }`
	rotateMutation  = `mutation Rotate($id: ID!) { rotateTenantKey(id: $id) { tenant { keyVersion } } }`
)

// connectionView is what the documents ask of a connection.
type connectionView struct {
	ID                   string
	State                string
	CredentialVersion    int64
	AccessTokenExpiresAt *time.Time
	Failure              *failureView
}

type failureView struct {
	Class, Reason string
	NextAttemptAt *time.Time
}

// readAnswer is the answer to readQuery.
type readAnswer struct {
	Credential struct {
		Typename    string `json:"__typename"`
		Version     int64
		AccessToken string
		ExpiresAt   *time.Time
		Connection  *connectionView
		Failure     *failureView
		Code        string
		Message     string
		RetryAfter  int
	}
}

// callError is an error in a GraphQL answer.
type callError struct {
	Code, Message, Field string
	RetryAfter           int
}

func (e *callError) Error() string {
	return fmt.Sprintf("%s: %s (field %s)", e.Code, e.Message, e.Field)
}

// codeOf is the GraphQL error's code; empty for what is none, such as a line that was cut.
func codeOf(err error) string {
	var e *callError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// call sends a document to a replica and decodes the data into an answer. Errors: *callError, and those of the line.
func (r *replica) call(ctx context.Context, key, document string, variables map[string]any, into any) error {
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, r.graphql, bytes.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Accept", "application/json")
	q.Header.Set("Authorization", "Bearer "+key)
	response, err := r.client.Do(q)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return err
	}
	var answer struct {
		Data   json.RawMessage
		Errors []struct {
			Message    string
			Extensions struct {
				Code, Field string
				RetryAfter  int
			}
		}
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("status %d, which is no GraphQL: %w", response.StatusCode, err)
	}
	if len(answer.Errors) > 0 {
		e := answer.Errors[0]
		return &callError{Code: e.Extensions.Code, Message: e.Message, Field: e.Extensions.Field, RetryAfter: e.Extensions.RetryAfter}
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer.Data, into)
}
