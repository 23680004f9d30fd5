package model

import (
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/id"
)

// Connection is a connection without what other rows say about it.
type Connection struct {
	ID                             string
	Kind                           ConnectionKind
	GrantType                      GrantType
	State                          ConnectionState
	Failure                        *ConnectionFailure
	Subject                        *string
	ExternalUserID                 *string
	ExternalAccountID              *string
	ExternalEmail                  *string
	ExternalDisplayName            *string
	Scopes                         []string
	Metadata                       map[string]string
	IsLocalRecordingTokenSupported bool
	IsOnBehalfTokenSupported       bool
	CredentialVersion              int64
	AccessTokenExpiresAt           *time.Time
	LastRefreshedAt                *time.Time
	LastAttemptedAt                *time.Time
	NextRefreshAt                  *time.Time
	LastUsedAt                     *time.Time
	CreatedAt                      time.Time
	UpdatedAt                      time.Time

	// Row is what the resolvers go on from; the schema has no such field.
	Row *ent.Connection
}

// IsNode says that a connection has an id of its own.
func (*Connection) IsNode() {}

// ConnectionOf makes a connection of its row; nil stays nil.
func ConnectionOf(c *ent.Connection) *Connection {
	if c == nil {
		return nil
	}
	return &Connection{
		ID:                             id.Connection.Format(c.ID),
		Kind:                           ConnectionKind(c.Kind),
		GrantType:                      GrantType(c.GrantType),
		State:                          ConnectionState(c.State),
		Failure:                        FailureOf(connection.FailureOf(c)),
		Subject:                        c.Subject,
		ExternalUserID:                 c.ExternalUserID,
		ExternalAccountID:              c.ExternalAccountID,
		ExternalEmail:                  c.ExternalEmail,
		ExternalDisplayName:            c.ExternalDisplayName,
		Scopes:                         List(c.Scopes),
		Metadata:                       c.Metadata,
		IsLocalRecordingTokenSupported: c.LocalRecordingToken,
		IsOnBehalfTokenSupported:       c.OnBehalfToken,
		CredentialVersion:              c.Generation,
		AccessTokenExpiresAt:           c.AccessTokenExpiresAt,
		LastRefreshedAt:                c.LastRefreshedAt,
		LastAttemptedAt:                c.LastAttemptedAt,
		NextRefreshAt:                  connection.NextRefresh(c),
		LastUsedAt:                     c.LastUsedAt,
		CreatedAt:                      c.CreatedAt,
		UpdatedAt:                      c.UpdatedAt,
		Row:                            c,
	}
}

// ConnectionsOf makes connections of their rows.
func ConnectionsOf(rows []*ent.Connection) []*Connection { return each(rows, ConnectionOf) }

// List makes an empty list of none, because the schema's lists are never null.
func List[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func each[A, B any](as []A, f func(A) B) []B {
	bs := make([]B, len(as))
	for i, a := range as {
		bs[i] = f(a)
	}
	return bs
}

// text is null for a text that is not there.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
