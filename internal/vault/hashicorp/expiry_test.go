package hashicorp_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
)

// loadFor uses the vault from several goroutines until the time is over; any error fails the test.
func loadFor(t *testing.T, v vault.Vault, d time.Duration) {
	t.Helper()
	tenant := newRef(t, v).Tenant
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var users sync.WaitGroup
	var rounds atomic.Int64
	for range 8 {
		users.Go(func() {
			ref := vault.Ref{Tenant: tenant, Connection: uuid.New()}
			var cas vault.CAS
			for generation := int64(1); ctx.Err() == nil; generation++ {
				dk, err := v.NewDataKey(t.Context(), tenant)
				if err != nil {
					t.Errorf("a data key: %v", err)
					return
				}
				h := vault.Header{Generation: generation, Attempt: uuid.New(), Origin: "refresh"}
				r, err := vault.SealRecord(dk, ref, h, tokens)
				if err == nil {
					cas, err = v.WriteRecord(t.Context(), ref, r, cas)
				}
				if err == nil {
					_, _, err = v.ReadRecord(t.Context(), ref)
				}
				if err != nil {
					t.Errorf("generation %d: %v", generation, err)
					return
				}
				rounds.Add(1)
			}
		})
	}
	users.Wait()
	t.Logf("%d rounds of a data key, a write and a read", rounds.Load())
}

// shortLived logs in through a proxy with tokens that live three seconds, and at most eight with renewals.
func shortLived(t *testing.T) (*proxy, hashicorp.Options) {
	t.Helper()
	s := sharedServer(t)
	p := newProxy(t, s)
	role := approle(t, s, map[string]any{"token_ttl": "3s", "token_max_ttl": "8s"})
	role.SecretID = secret.New(s.SecretID(t, role.Mount, "service"))
	o := p.through(rootOptions(s))
	o.Login = hashicorp.Login{AppRole: &role}
	return p, o
}

// TestExpiryUnderLoad outlives several tokens and their greatest age without one failed request.
func TestExpiryUnderLoad(t *testing.T) {
	t.Parallel()
	p, o := shortLived(t)
	v := openVault(t, o)
	var refused atomic.Int64
	p.set(countRefusals(&refused))
	loadFor(t, v, 12*time.Second)
	t.Logf("%d requests were refused and sent again", refused.Load()) // none, but where the machine stands still
	if renewals, logins := p.count("renew-self"), p.count("/login"); renewals < 3 || logins < 1 {
		t.Errorf("got %d renewals and %d logins, want several of both", renewals, logins)
	}
}

// countRefusals counts what the server refuses.
func countRefusals(n *atomic.Int64) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		seen := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		if seen.status == http.StatusForbidden {
			n.Add(1)
		}
	}
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// TestExpiryWithoutRenewal forbids renewals: a login takes their place, before the token ends.
func TestExpiryWithoutRenewal(t *testing.T) {
	t.Parallel()
	p, o := shortLived(t)
	v := openVault(t, o)
	refuseRenewal := refuse(1<<30, http.StatusBadRequest, `{"errors":["lease is not renewable"]}`, "renew-self")
	p.set(refuseRenewal)
	loadFor(t, v, 7*time.Second)
	if got := p.count("/login"); got < 2 {
		t.Errorf("got %d logins, want several", got)
	}
}

// TestExpiryUnnoticed keeps both renewals and logins from the server until the token has ended: the next request logs in
// by itself and succeeds.
func TestExpiryUnnoticed(t *testing.T) {
	t.Parallel()
	p, o := shortLived(t)
	o.Retries = -1
	v := openVault(t, o)
	tenant := newRef(t, v).Tenant
	p.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if matches(r, "renew-self") || matches(r, "/login") {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, r)
	})
	var err error
	for deadline := time.Now().Add(20 * time.Second); err == nil && time.Now().Before(deadline); {
		_, err = v.NewDataKey(t.Context(), tenant)
	}
	wantError(t, "once the token has ended and nobody lets us log in", err, vault.ErrUnavailable)
	p.set(nil)
	for deadline := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(deadline); {
		_, err = v.NewDataKey(t.Context(), tenant) // a failed login is remembered for a second
	}
	if err != nil {
		t.Error(err)
	}
	if got := p.count("/login"); got != 1 {
		t.Errorf("got %d logins, want 1", got)
	}
}

// TestExpiryOfAToken lets a token as it is end: it is renewed as long as that goes, and then everything is denied.
func TestExpiryOfAToken(t *testing.T) {
	t.Parallel()
	s := sharedServer(t)
	p := newProxy(t, s)
	s.Policy(t, "all", all)
	o := p.through(rootOptions(s))
	o.Login = tokenLogin(s.NewToken(t, 3*time.Second, "all"))
	v := openVault(t, o)
	loadFor(t, v, 7*time.Second)
	if got := p.count("renew-self"); got < 2 {
		t.Errorf("got %d renewals, want several", got)
	}
}
