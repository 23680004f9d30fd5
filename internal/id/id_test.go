package id_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"
	"go.jetify.com/typeid"

	"github.com/tokenkeep/tokenkeep/internal/id"
)

// TestFormat: ids are TypeIDs, as the library makes them, and are read back.
func TestFormat(t *testing.T) {
	for _, u := range []uuid.UUID{{}, id.New(), uuid.Max} {
		got := id.Connection.Format(u)
		want, err := typeid.FromUUIDBytesWithPrefix("conn", u[:])
		if err != nil || got != want.String() {
			t.Errorf("got %s, want %s, %v", got, want, err)
		}
		if back, err := id.Connection.Parse(got); err != nil || back != u {
			t.Errorf("%s: got %s, %v, want %s", got, back, err, u)
		}
		if _, err := id.App.Parse(got); !errors.Is(err, id.ErrMalformed) {
			t.Errorf("%s as an app's: got %v", got, err)
		}
	}
}
