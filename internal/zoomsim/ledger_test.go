package zoomsim_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestLedgerFollowsEveryGrant(t *testing.T) {
	z := newZoom(t)
	if r := z.control("GET", "/_sim/ledger", ""); !strings.Contains(r.body, `"grants":[]`) {
		t.Errorf("at the start: got %s", r.body)
	}
	ada := z.connect("ada")
	ada2 := z.refresh(ada.Refresh)
	ada3 := z.refresh(ada2.Refresh)
	z.wantDead(ada.Refresh)
	z.wantDead("never-issued")
	bob := z.connect("bob@acme.test")

	r := z.control("GET", "/_sim/ledger", "")
	var got zoomsim.Ledger
	if err := json.Unmarshal([]byte(r.body), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Grants) != 2 {
		t.Fatalf("grants: got %d, want 2", len(got.Grants))
	}
	a, b := got.Grants[0], got.Grants[1]
	if a.Generation != 3 || a.Rotations != 2 || a.Exchanges != 1 || a.RefusedRefreshes != 1 || a.Status != zoomsim.GrantLive {
		t.Errorf("ada: got %+v", a)
	}
	if a.RefreshTokenSHA256 != hash(ada3.Refresh) || a.AccessTokenSHA256 != hash(ada3.Access) {
		t.Error("ada: the hashes are not those of her newest tokens")
	}
	u, _ := z.User("bob@acme.test")
	if b.UserID != u.ID || b.AccountID != u.AccountID || b.Email != u.Email || b.ClientID != clientID ||
		b.Generation != 1 || b.MaxConcurrentRefreshes != 0 || b.RefreshTokenSHA256 != hash(bob.Refresh) || !b.IssuedAt.Equal(z.clock()) {
		t.Errorf("bob: got %+v", b)
	}
	if want := (zoomsim.Totals{Exchanges: 2, Rotations: 2, RefusedRefreshes: 2, MaxConcurrentRefreshes: 1}); got.Totals != want {
		t.Errorf("totals: got %+v, want %+v", got.Totals, want)
	}
	if strings.Contains(r.body, "zsim_") {
		t.Error("the ledger contains a token in clear")
	}
}

func TestLedgerSeesConcurrentRefreshes(t *testing.T) {
	z := newZoom(t)
	tk := z.connect("ada")
	hold, err := z.Hold(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, GrantType: "refresh_token"}, zoomsim.BeforeProcessing)
	if err != nil {
		t.Fatal(err)
	}
	statuses := make(chan int)
	for range 3 {
		go func() {
			r, _ := z.try("/oauth/token", refreshForm(tk.Refresh))
			statuses <- r.status
		}()
		<-hold.Arrived()
	}
	if got := z.Ledger().Totals.Rotations; got != 0 {
		t.Errorf("rotations while held: got %d, want 0", got)
	}
	hold.Release()
	sum := <-statuses + <-statuses + <-statuses
	if want := 200 + 400 + 400; sum != want {
		t.Errorf("statuses: got a sum of %d, want %d", sum, want)
	}
	l := z.Ledger()
	if l.Grants[0].MaxConcurrentRefreshes != 3 || l.Totals.MaxConcurrentRefreshes != 3 {
		t.Errorf("concurrent refreshes: got %+v", l)
	}
}
