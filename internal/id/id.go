// Package id turns the database's UUIDs into the ids callers see and back.
//
// Mechanism: an id is a prefix that names the kind of object and a UUIDv7 in TypeID form ("conn_01h455vb4pex5vsknk084sn02q").
// The prefix is presentation: databases and vaults hold the UUID. UUIDv7 begins with a millisecond clock, so the order
// of ids is the order of creation, which keyset pages rely on.
//
// Limit: an id names, it does not authorize.
package id

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
	"go.jetify.com/typeid"
	"go.jetify.com/typeid/base32"
)

// Prefix names a kind of object.
type Prefix string

// The prefixes of the public contract.
const (
	Tenant          Prefix = "ten"
	App             Prefix = "app"
	Connection      Prefix = "conn"
	Key             Prefix = "key"
	Event           Prefix = "evt"
	WebhookEndpoint Prefix = "whe"
	Audit           Prefix = "aud"
	Hold            Prefix = "hold"
)

// ErrMalformed says that a text is not an id, or not of the expected kind.
var ErrMalformed = errors.New("malformed id")

// New returns a fresh UUIDv7.
func New() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// Format returns the id of u with the prefix.
func (p Prefix) Format(u uuid.UUID) string {
	return string(p) + "_" + base32.Encode(u)
}

// Parse returns the UUID of an id that must have this prefix. Errors: ErrMalformed.
func (p Prefix) Parse(s string) (uuid.UUID, error) {
	prefix, u, err := Split(s)
	if err != nil {
		return uuid.Nil, err
	}
	if prefix != p {
		return uuid.Nil, fmt.Errorf("%w: it begins with %q, not %q", ErrMalformed, prefix, p)
	}
	return u, nil
}

// Split returns the prefix and the UUID of any id. Errors: ErrMalformed.
func Split(s string) (Prefix, uuid.UUID, error) {
	t, err := typeid.FromString(s)
	if err != nil {
		return "", uuid.Nil, ErrMalformed
	}
	u, err := uuid.FromBytes(t.UUIDBytes())
	if err != nil {
		return "", uuid.Nil, ErrMalformed
	}
	return Prefix(t.Prefix()), u, nil
}
