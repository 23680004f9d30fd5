package isolation_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"math/big"
	"net/http"
	"net/http/httptrace"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

const whoAmI = "{ viewer { scopes } }"

// text is the key that an identity sends.
func (who identity) text() string { return strings.TrimPrefix(who.headers[0][1], "Bearer ") }

// guesses are what somebody would try who knows how others hash keys: everything but the vault's pepper.
func guesses(key string) [][]byte {
	sum := sha256.Sum256([]byte(key))
	domain := sha256.Sum256([]byte("tokenkeep.apikey.1\x00" + key))
	mac := func(pepper []byte) []byte {
		m := hmac.New(sha256.New, pepper)
		_, _ = m.Write([]byte("tokenkeep.apikey.1\x00" + key))
		return m.Sum(nil)
	}
	return [][]byte{sum[:], domain[:], mac(nil), mac([]byte("tokenkeep")), []byte(key)}
}

// TestOnlyPepperedHashesAreKept: what the database holds of a key is none of the hashes that can be had without the vault,
// and rows that hold those do not let anybody in.
func TestOnlyPepperedHashesAreKept(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		p := w.party(t, "amber")
		for _, r := range w.rows(t, "SELECT * FROM api_keys") {
			if len(r.text("hash")) != sha256.Size {
				t.Errorf("a hash of %d bytes", len(r.text("hash")))
			}
			for _, who := range []identity{p.admin, p.all} {
				for i, guess := range guesses(who.text()) {
					if bytes.Contains([]byte(r.text("hash")), guess) {
						t.Errorf("the hash is guess %d", i)
					}
				}
			}
		}
		forgotten := unknownKey(t, w, p)
		like, _ := id.Key.Parse(p.values["first key"])
		for i, guess := range guesses(forgotten) {
			w.exec(t, `INSERT INTO api_keys (id, tenant_id, name, prefix, hash, scopes, created_at)
				SELECT $1, tenant_id, name, prefix, $2, scopes, created_at FROM api_keys WHERE id = $3`, id.New().String(), guess, like.String())
			if got := w.post(t, bearer("a guess", forgotten), whoAmI, nil); got.status != http.StatusUnauthorized {
				t.Errorf("guess %d: got %d %s", i, got.status, got.body)
			}
		}
	})
}

// TestKeysHave256Bits: over some keys, each of the 256 bits is sometimes set and sometimes not.
func TestKeysHave256Bits(t *testing.T) {
	w := newWorld(t, servicetest.SQLite(t))
	p := w.party(t, "amber")
	form := regexp.MustCompile(`^tk_[0-9A-Za-z]{49}$`)
	either, both := new(big.Int), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	for range 64 {
		_, who := w.key(t, p, "one of many", read)
		if !form.MatchString(who.text()) {
			t.Fatalf("a key of the form %d characters", len(who.text()))
		}
		bits := base62Digits(who.text()[3:46])
		either.Or(either, bits)
		both.And(both, bits)
	}
	if full := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)); either.Cmp(full) != 0 || both.Sign() != 0 {
		t.Errorf("bits that never change: set in some %x, set in all %x", either, both)
	}
}

func base62Digits(text string) *big.Int {
	n := new(big.Int)
	for _, c := range text {
		n.Mul(n, big.NewInt(62))
		n.Add(n, big.NewInt(int64(strings.IndexRune("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", c))))
	}
	return n
}

// TestKeysEnd: a key works until the last microsecond and not in the next, and a revoked one not once more, also on a
// connection that was open before.
func TestKeysEnd(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		p := w.party(t, "amber")
		expiring := w.expiring(t, p, time.Hour)
		w.Clock.Advance(time.Hour - time.Microsecond)
		w.must(t, expiring, whoAmI, nil, nil)
		w.Clock.Advance(time.Microsecond)
		if got := w.post(t, expiring, whoAmI, nil); got.code() != "UNAUTHENTICATED" {
			t.Errorf("at its end: got %s", got.body)
		}

		keyID, revoked := w.key(t, p, "revoked", read)
		w.must(t, revoked, whoAmI, nil, nil)
		w.must(t, p.admin, document(t, "revokeAPIKey", args{"id": nil}), args{"id": keyID}, nil)
		reused := false
		trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPost, w.address, strings.NewReader(`{"query": "`+whoAmI+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if got := w.do(t, revoked, r); got.code() != "UNAUTHENTICATED" || !reused {
			t.Errorf("revoked, on an open connection (%t): got %s", reused, got.body)
		}

		own, _ := id.Key.Parse(p.values["first key"])
		w.must(t, p.admin, document(t, "revokeAPIKey", args{"id": nil}), args{"id": id.Key.Format(own)}, nil)
		if got := w.post(t, p.admin, whoAmI, nil); got.code() != "UNAUTHENTICATED" {
			t.Errorf("a key that revoked itself: got %s", got.body)
		}
		w.must(t, p.all, whoAmI, nil, nil)
	})
}

// TestNobodyMakesKeysBeyondHisOwn: through keys nobody comes by what he does not have.
func TestNobodyMakesKeysBeyondHisOwn(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		p := w.party(t, "amber")
		inside := w.operatorIdentity().inside(p.values["tenant"])
		for _, scope := range scopesOfContract() {
			given := args{"input": args{"name": "climbing", "scopes": []string{scope}}}
			want := ""
			if scope == credentials || scope == tenantAdmin {
				want = "FORBIDDEN"
			}
			if got := w.post(t, inside, document(t, "createAPIKey", given), given); got.code() != want {
				t.Errorf("%s by the operator: got %s, want %q", scope, got.code(), want)
			}
			if got := w.post(t, p.all, document(t, "createAPIKey", given), given); got.code() != "FORBIDDEN" {
				t.Errorf("%s by a key without TENANT_ADMIN: got %s", scope, got.code())
			}
		}
	})
}
