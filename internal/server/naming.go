package server

import (
	"bytes"
	"io"
	"net/http"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/id"
)

// maxPeeked is the longest body that is looked into before the caller is known, in bytes: a request for one credential is
// far shorter.
const maxPeeked = 4 << 10

// connectionIDLength is the length of a connection's id: the prefix, an underscore and the TypeID's 26 letters.
const connectionIDLength = len(id.Connection) + 1 + 26

// naming tells the layers below which connection the body of a request names first, so that it is read together with the
// caller's key. It reads the body and understands nothing of it: a wrong guess costs a look-up and gives nobody anything.
func naming(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.ContentLength > 0 && r.ContentLength <= maxPeeked {
			if u := firstNamed(peek(r)); u != uuid.Nil {
				r = r.WithContext(database.Naming(r.Context(), u))
			}
		}
		next.ServeHTTP(w, r)
	})
}

// peek returns the body as far as it can be read, and leaves it to be read.
func peek(r *http.Request) []byte {
	text := make([]byte, r.ContentLength)
	n, _ := io.ReadFull(r.Body, text) // the body gives the same error to who reads it next
	text = text[:n]
	r.Body = peeked{Reader: io.MultiReader(bytes.NewReader(text), r.Body), Closer: r.Body}
	return text
}

// peeked is a body of which a part was read.
type peeked struct {
	io.Reader
	io.Closer
}

// firstNamed is the first connection's id in the text; zero where there is none.
func firstNamed(text []byte) uuid.UUID {
	at := bytes.Index(text, []byte(id.Connection+"_"))
	if at < 0 || len(text) < at+connectionIDLength {
		return uuid.Nil
	}
	u, err := id.Connection.Parse(string(text[at : at+connectionIDLength]))
	if err != nil {
		return uuid.Nil
	}
	return u
}
