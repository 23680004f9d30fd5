package isolation_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

const credentialByID = `query($id: ID!) { credential(of: {connection: $id}) { __typename ... on Credential { accessToken } } }`

// TestReadAhead: the connection that a request names is read by the statement that finds its caller, and nobody gets
// another's by that; what ended before a request ends it, though everything it needs is in memory.
func TestReadAhead(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		one, two := w.Tenant(t, "one"), w.Tenant(t, "two")
		mine, gone, theirs := w.Connect(t, one, "ada"), w.Connect(t, one, "bob"), w.Connect(t, two, "eve")
		me, they := bearer("one", one.Key.Reveal()), bearer("two", two.Key.Reveal())
		ask := func(who identity, of uuid.UUID) string {
			t.Helper()
			got := w.post(t, who, credentialByID, map[string]any{"id": id.Connection.Format(of)})
			if got.code() != "" {
				return got.code()
			}
			_, kind, _ := strings.Cut(string(got.Data["credential"]), `"__typename":"`)
			kind, _, _ = strings.Cut(kind, `"`)
			return kind
		}
		expect := func(who identity, of uuid.UUID, want string) {
			t.Helper()
			if got := ask(who, of); got != want {
				t.Errorf("as %s: got %s, want %s", who.name, got, want)
			}
		}
		noted := w.NotedUses()
		for _, c := range []*ent.Connection{mine, gone, theirs} {
			expect(map[bool]identity{true: they, false: me}[c == theirs], c.ID, "Credential")
			for w.Row(t, c.ID).LastUsedAt == nil { // a use that is not noted yet has the row read whole
				<-noted
			}
		}
		reads := countReads(w)
		expect(me, mine.ID, "Credential")
		if n := reads.Load(); n != 0 {
			t.Errorf("a credential at hand took %d reads beside the one that finds the caller", n)
		}
		expect(me, theirs.ID, "NotConnected")
		expect(they, mine.ID, "NotConnected")
		if err := w.Connections.Delete(one.Ctx, gone.ID); err != nil {
			t.Fatal(err)
		}
		expect(me, gone.ID, "NotConnected")
		if _, err := w.callers.RevokeKey(one.Ctx, w.keyOf(t, one)); err != nil {
			t.Fatal(err)
		}
		expect(me, mine.ID, "UNAUTHENTICATED")
		expect(they, theirs.ID, "Credential")
	})
}

// countReads counts what ent reads from now on.
func countReads(w *world) *atomic.Int64 {
	n := new(atomic.Int64)
	w.DB.Ent.Intercept(ent.TraverseFunc(func(context.Context, ent.Query) error {
		n.Add(1)
		return nil
	}))
	return n
}

// keyOf is the id of the tenant's first key.
func (w *world) keyOf(t *testing.T, of *servicetest.Tenant) uuid.UUID {
	t.Helper()
	key, err := w.DB.Ent.APIKey.Query().First(of.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	return key.ID
}
