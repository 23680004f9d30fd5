package main

import "encoding/json"

// request is a GraphQL request as the rows send it. The reference decodes into it; the service does not know it.
type request struct {
	Query     string    `json:"query"`
	Variables variables `json:"variables"`
}

// variables are those of all rows.
type variables struct {
	ID       string            `json:"id,omitempty"`
	IDs      []string          `json:"ids,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Input    *createInput      `json:"input,omitempty"`
}

type createInput struct {
	App      string            `json:"app"`
	Grant    grantInput        `json:"grant"`
	Metadata map[string]string `json:"metadata"`
}

type grantInput struct {
	AuthorizationCode codeInput `json:"authorizationCode"`
}

type codeInput struct {
	Code        string `json:"code"`
	RedirectURI string `json:"redirectUri"`
}

// answer is a GraphQL answer to any of the rows. The reference encodes it.
type answer struct {
	Data data `json:"data"`
}

type data struct {
	Credential        *credential  `json:"credential,omitempty"`
	Credentials       []credential `json:"credentials,omitempty"`
	Connections       *page        `json:"connections,omitempty"`
	CreateConnection  *created     `json:"createConnection,omitempty"`
	RefreshConnection *refreshed   `json:"refreshConnection,omitempty"`
}

type credential struct {
	Typename        string  `json:"__typename"`
	Version         int     `json:"version"`
	TokenType       string  `json:"tokenType"`
	AccessToken     string  `json:"accessToken"`
	ExpiresAt       *string `json:"expiresAt"`
	APIURL          *string `json:"apiUrl"`
	RevalidateAfter string  `json:"revalidateAfter"`
}

type page struct {
	Edges    []edge   `json:"edges"`
	PageInfo pageInfo `json:"pageInfo"`
}

type edge struct {
	Node node `json:"node"`
}

type pageInfo struct {
	HasNextPage bool    `json:"hasNextPage"`
	EndCursor   *string `json:"endCursor"`
}

type created struct {
	Created    bool `json:"created"`
	Connection node `json:"connection"`
}

type refreshed struct {
	Connection node `json:"connection"`
}

type node struct {
	ID             string            `json:"id"`
	State          string            `json:"state"`
	ExternalUserID *string           `json:"externalUserId"`
	ExternalEmail  *string           `json:"externalEmail"`
	Metadata       map[string]string `json:"metadata"`
	CreatedAt      string            `json:"createdAt"`
	UpdatedAt      string            `json:"updatedAt"`
}

// nodeFields are the fields of node.
const nodeFields = `{ id state externalUserId externalEmail metadata createdAt updatedAt }`

// credentialFields are the fields of credential.
const credentialFields = `{ __typename ... on Credential { version tokenType accessToken expiresAt apiUrl revalidateAfter } }`

// The documents of the rows, as an application would send them.
const (
	credentialQuery = `query Credential($id: ID!) { credential(of: {connection: $id}) ` + credentialFields + ` }`
	// credentialsQuery asks for many.
	credentialsQuery = `query Credentials($ids: [ID!]!) { credentials(connections: $ids) ` + credentialFields + ` }`
	refreshMutation  = `mutation Refresh($id: ID!) { refreshConnection(id: $id) { connection ` + nodeFields + ` } }`
	connectionsQuery = `query Connections($metadata: Metadata) { connections(first: 10, filter: {metadata: $metadata}) ` +
		`{ edges { node ` + nodeFields + ` } pageInfo { hasNextPage endCursor } } }`
	createMutation = `mutation Create($input: CreateConnectionInput!) { createConnection(input: $input) ` +
		`{ created connection ` + nodeFields + ` } }`
)

// encode makes a request's body.
func encode(query string, v variables) []byte {
	body, err := json.Marshal(request{Query: query, Variables: v})
	if err != nil { // strings always encode
		panic(err)
	}
	return body
}
