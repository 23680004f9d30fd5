package grant

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/google/uuid"
)

// Key names a grant at a provider, whichever tenant or connection holds it: provider, client id and external user.
// It is a digest, because it is shared by tenants that must not learn of one another.
type Key string

// KeyOfUser names the grant of an external user.
func KeyOfUser(provider, clientID, externalUserID string) Key {
	return keyOf("user", provider, clientID, externalUserID)
}

// KeyOfConnection names a grant whose provider does not say whose it is; nothing else can hold it.
func KeyOfConnection(provider, clientID string, connection uuid.UUID) Key {
	return keyOf("connection", provider, clientID, connection.String())
}

// keyOfAttempt names the lock of an attempt: its grant is not known yet.
func keyOfAttempt(attempt uuid.UUID) Key { return keyOf("attempt", attempt.String()) }

// CodeHash is what is kept of an authorization code to recognize it by. Codes are long and random, and dead within
// minutes, so a plain digest gives nothing away.
func CodeHash(provider, clientID, code string) []byte {
	return digest("code", provider, clientID, code)
}

func keyOf(parts ...string) Key { return Key(hex.EncodeToString(digest(parts...))) }

// digest hashes the parts with their lengths, so that no two lists of parts read the same.
func digest(parts ...string) []byte {
	h := sha256.New()
	h.Write([]byte("tokenkeep grant v1"))
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}
