package isolation_test

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// TestOutsiders tries every operation, with values that exist, as all who have no business here.
func TestOutsiders(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		a, b := w.party(t, "amber"), w.party(t, "birch")
		outsiders := append(w.malformed(a), w.ended(t, a)...)
		outsiders = append(outsiders, nobody)
		before := w.snapshot(t, a)
		said := map[string]bool{}
		for _, f := range operations() {
			given := rules[f.Name].own(a)
			for _, who := range outsiders {
				got := w.post(t, who, document(t, f.Name, given), given)
				checkRefused(t, f.Name, who, got, a, http.StatusUnauthorized, "UNAUTHENTICATED")
				if strings.HasPrefix(who.name, "ended: ") {
					said[got.comparable()] = true
				}
			}
			w.checkStrayTenant(t, f.Name, a, b)
		}
		if len(said) != 1 {
			t.Errorf("keys that ended or never were got %d different answers, want one for all", len(said))
		}
		if diff := cmp.Diff(before, w.snapshot(t, a)); diff != "" {
			t.Errorf("somebody outside changed something (-before +after):\n%s", diff)
		}
		t.Logf("%d operations, %d identities outside: %d calls", len(operations()), len(outsiders)+1, len(operations())*(len(outsiders)+1))
	})
}

// checkRefused checks that a call was refused as a whole, and said nothing of the party's.
func checkRefused(t *testing.T, operation string, who identity, got answer, p *party, status int, code string) {
	t.Helper()
	if got.status != status || got.code() != code || len(got.Errors) != 1 || got.Data[operation] != nil && string(got.Data[operation]) != "null" {
		t.Errorf("%s as %s: got %d %s, want %d and the error %s", operation, who.name, got.status, got.body, status, code)
	}
	for _, mark := range p.marks {
		if strings.Contains(got.comparable(), mark) {
			t.Errorf("%s as %s: the answer has %q:\n%s", operation, who.name, mark, got.body)
		}
	}
}

// malformed are headers that are no key.
func (w *world) malformed(p *party) []identity {
	key := p.all.headers[0][1]
	header := func(name string, values ...string) identity {
		who := identity{name: name}
		for _, v := range values {
			who.headers = append(who.headers, [2]string{"Authorization", v})
		}
		return who
	}
	bare := strings.TrimPrefix(key, "Bearer ")
	return []identity{
		header("an empty header", ""), header("no key behind Bearer", "Bearer "), header("a bare key", bare),
		header("a key as basic", "Basic "+base64.StdEncoding.EncodeToString([]byte("user:"+bare))),
		header("a key with a typing error", key[:len(key)-1]+string(key[len(key)-1]^1)), header("a key cut short", key[:len(key)-7]),
		header("a key and more", key+" "+bare), header("two keys", key, key), header("a key and a wrong one", key, "Bearer nonsense"),
		header("a key's id", "Bearer "+p.values["key"]), header("a tenant's id", "Bearer "+p.values["tenant"]),
		header("an operator's key with a typing error", "Bearer "+w.operator[:len(w.operator)-1]+"-"),
		header("a key of thousands of characters", "Bearer tk_"+strings.Repeat("A", 5000)),
	}
}

// ended are keys that are well formed and worth nothing: of tenant p, of a suspended tenant, and one that never was.
func (w *world) ended(t *testing.T, p *party) []identity {
	t.Helper()
	revokedID, revoked := w.key(t, p, "revoked", read, write, credentials, appsWrite)
	w.must(t, revoked, "{ viewer { isOperator } }", nil, nil) // it worked, and is in the memory of those who check
	w.must(t, p.admin, `mutation($id: ID!) { revokeAPIKey(id: $id) { apiKey { id } } }`, map[string]any{"id": revokedID}, nil)
	expired := w.expiring(t, p, time.Minute)
	w.must(t, expired, "{ viewer { isOperator } }", nil, nil)
	w.Clock.Advance(time.Minute)
	suspended := w.party(t, "cedar")
	w.exec(t, "UPDATE tenants SET state = 'SUSPENDED' WHERE id = $1", suspended.id.String())
	all := []identity{revoked, expired, suspended.admin, bearer("unknown", unknownKey(t, w, p))}
	for i := range all {
		all[i].name = "ended: " + all[i].name
	}
	return all
}

// expiring is a key of all scopes that lasts for a while.
func (w *world) expiring(t *testing.T, p *party, life time.Duration) identity {
	t.Helper()
	var made struct{ CreateAPIKey struct{ Secret string } }
	w.must(t, p.admin, `mutation($at: DateTime!) { createAPIKey(input: {name: "expiring", scopes: [TENANT_ADMIN], expiresAt: $at}) { secret } }`,
		map[string]any{"at": w.Clock.Now().Add(life)}, &made)
	p.marks = append(p.marks, made.CreateAPIKey.Secret)
	return bearer("expiring", made.CreateAPIKey.Secret, tenantAdmin)
}

// unknownKey is a key that was real in another installation: made by this one, and gone from its database.
func unknownKey(t *testing.T, w *world, p *party) string {
	t.Helper()
	keyID, who := w.key(t, p, "forgotten "+rand.Text(), read)
	u, err := id.Key.Parse(keyID)
	if err != nil {
		t.Fatal(err)
	}
	w.exec(t, "DELETE FROM api_keys WHERE id = $1", u.String())
	return strings.TrimPrefix(who.headers[0][1], "Bearer ")
}

// checkStrayTenant: a key of B cannot act in A, and is told the same of a tenant that nobody has.
func (w *world) checkStrayTenant(t *testing.T, operation string, a, b *party) {
	t.Helper()
	given := rules[operation].own(a)
	who := b.admin.inside(a.values["tenant"])
	got := w.post(t, who, document(t, operation, given), given)
	checkRefused(t, operation, who, got, a, http.StatusNotFound, "NOT_FOUND")
	nowhere := w.post(t, b.admin.inside(absent("tenant", a.values["tenant"])), document(t, operation, given), given)
	if diff := cmp.Diff(nowhere.comparable(), got.comparable()); diff != "" {
		t.Errorf("%s: a foreign tenant in the header differs from an absent one:\n%s", operation, diff)
	}
}
