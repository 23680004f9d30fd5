package database

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
)

// callerSQL reads the key with a hash, where its tenant is active, and of a connection of that tenant what a token in
// memory is judged by. Nearly every request begins with it, so its text is fixed and not built anew; ent/rule, which
// narrows what ent builds, has no part in it, so the statement itself says whose connection it may be. The asks come as a
// table a(n, hash, connection).
const callerSQL = `SELECT a.n, k.id, k.tenant_id, k.scopes, k.expires_at, k.last_used_at, k.revoked_at, k.seal,
	c.provider, c.state, c.generation, c.last_used_at
FROM %s
JOIN api_keys k ON k.hash = a.hash
JOIN tenants t ON t.id = k.tenant_id AND t.state = 'ACTIVE'
LEFT JOIN connections c ON c.id = a.connection AND c.tenant_id = k.tenant_id`

// aloneSQL has one ask.
var aloneSQL = fmt.Sprintf(callerSQL, "(SELECT 0 AS n, $1 AS hash, $2 AS connection) AS a")

// ask is one request's question.
type ask struct {
	hash       []byte
	connection uuid.UUID
	answer
	err error
	// done is closed when answer and err are there.
	done chan struct{}
}

// answer has neither where no key of an active tenant has the hash, and no row where the connection is not of its tenant.
type answer struct {
	key *ent.APIKey
	row *ent.Connection
}

// CallerKey returns the key that has the hash with what can end it and what its seal covers; nil where there is none, or
// where its tenant is not active. It is the one read that names no viewer, for it finds out who is calling. The connection
// that the context names (see Naming) is read in the same instant, for Ahead.
func (db *DB) CallerKey(ctx context.Context, hash []byte) (*ent.APIKey, error) {
	named := namedIn(ctx)
	a := &ask{hash: hash}
	if named != nil {
		a.connection = named.id
	}
	if err := db.ask(ctx, a); err != nil {
		return nil, fmt.Errorf("finding an API key: %w", err)
	}
	if named != nil {
		named.row.Store(a.row)
	}
	return a.key, nil
}

// ask has the question answered: on PostgreSQL together with those that wait, on SQLite, which has no round trips to save,
// at once.
func (db *DB) ask(ctx context.Context, a *ask) error {
	if db.together != nil {
		return db.together.ask(ctx, a)
	}
	// The look-up takes microseconds; to watch for the caller leaving meanwhile would cost more.
	rows, err := db.readers.QueryContext(context.WithoutCancel(ctx), aloneSQL, a.hash, a.connection)
	if err != nil {
		return err
	}
	if err := scanAnswers(rows, []*ask{a}); err != nil {
		return err
	}
	return a.err
}

// scanAnswers gives each ask its answer.
func scanAnswers(rows *sql.Rows, asks []*ask) error {
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scanAnswer(rows, asks); err != nil {
			return err
		}
	}
	return rows.Err()
}

// scanAnswer reads one row into the ask that it is for.
func scanAnswer(rows *sql.Rows, asks []*ask) error {
	var n int
	var scopes []byte
	var provider, state *string
	var generation *int64
	var lastUsed *time.Time
	k := &ent.APIKey{}
	err := rows.Scan(&n, &k.ID, &k.TenantID, &scopes, &k.ExpiresAt, &k.LastUsedAt, &k.RevokedAt, &k.Seal,
		&provider, &state, &generation, &lastUsed)
	if err != nil {
		return err
	}
	a := asks[n]
	if err := json.Unmarshal(scopes, &k.Scopes); err != nil { // one spoiled row is nothing to the others
		a.err = fmt.Errorf("reading an API key's scopes: %w", err)
		return nil
	}
	k.Hash = a.hash
	a.key = k
	if state != nil {
		a.row = &ent.Connection{ID: a.connection, TenantID: k.TenantID, Provider: *provider, State: connection.State(*state),
			Generation: *generation, LastUsedAt: lastUsed}
	}
	return nil
}
