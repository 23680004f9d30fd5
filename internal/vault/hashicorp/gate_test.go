package hashicorp_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

// TestGate seals the server beneath ten thousand readers: Vault sees the few who were first, and probes with growing
// pauses; whoever insists still reaches it; and all of it ends by itself.
func TestGate(t *testing.T) {
	s := server.Start(t, server.Options{Dir: t.TempDir()})
	p := newProxy(t, s)
	o := p.through(rootOptions(s))
	o.Retries = 2
	v := openVault(t, o)
	ref := newRef(t, v)
	cas := write(t, v, ref, 1, 0)
	next := seal(t, v, ref, 2)
	s.Seal(t)
	p.set(nil)
	began := time.Now()
	for range 10_000 {
		if _, _, err := v.ReadRecord(t.Context(), ref); !errors.Is(err, vault.ErrAway) {
			t.Fatalf("got %v", err)
		}
	}
	// The first read is sent three times; afterwards only probes are, at least 50 ms apart.
	reads, probes, most := p.count(dataPath), p.count("sys/health"), 2+int(time.Since(began)/(minProbePause/2))
	t.Logf("10000 reads in %v: %d requests, %d probes", time.Since(began), reads, probes)
	if reads != o.Retries+1 || probes > most {
		t.Errorf("got %d reads and %d probes, want %d and at most %d", reads, probes, o.Retries+1, most)
	}
	if _, err := v.WriteRecord(vault.Insist(t.Context()), ref, next, cas); !errors.Is(err, vault.ErrAway) || p.count("PUT", dataPath) != 1 {
		t.Errorf("insisting: got %v after %d writes, want one that was sent", err, p.count("PUT", dataPath))
	}
	s.Unseal(t)
	back := time.Now()
	awaitPresent(t, v)
	t.Logf("back after %v", time.Since(back))
	if took := time.Since(back); took > 5*time.Second {
		t.Errorf("it took %v to notice", took)
	}
	if _, err := v.WriteRecord(t.Context(), ref, next, cas); err != nil {
		t.Error(err)
	}
}

// minProbePause is the package's.
const minProbePause = 100 * time.Millisecond

// TestGateInsisting opens with the first request that succeeds: no probe is waited for.
func TestGateInsisting(t *testing.T) {
	s := sharedServer(t)
	p := newProxy(t, s)
	o := p.through(rootOptions(s))
	o.Retries = -1
	v := openVault(t, o)
	ref := newRef(t, v)
	cas := write(t, v, ref, 1, 0)
	next := seal(t, v, ref, 2)
	sealed := refuse(1<<30, http.StatusServiceUnavailable, `{"errors":["Vault is sealed"]}`)
	p.set(sealed)
	if _, err := v.MAC(t.Context(), []byte("x")); !errors.Is(err, vault.ErrAway) || vault.Absent(v) == nil {
		t.Fatalf("got %v, and it is %v", err, vault.Absent(v))
	}
	p.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if matches(r, "sys/health") {
			sealed(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
	if _, err := v.WriteRecord(vault.Insist(t.Context()), ref, next, cas); err != nil {
		t.Fatal(err)
	}
	wantOpens(t, v, ref, 2)
}

// TestGateOneSlowRequest lets one request hang: Vault answers the probe, so that nobody else is kept from it.
func TestGateOneSlowRequest(t *testing.T) {
	s := sharedServer(t)
	p := newProxy(t, s)
	o := p.through(rootOptions(s))
	o.Timeout = 200 * time.Millisecond
	v := openVault(t, o)
	ref := newRef(t, v)
	write(t, v, ref, 1, 0)
	p.set(hang(false, dataPath))
	for range 3 {
		_, _, err := v.ReadRecord(t.Context(), ref)
		wantError(t, "reading", err, vault.ErrUnavailable)
		if _, err := v.NewDataKey(t.Context(), ref.Tenant); err != nil {
			t.Errorf("beside a request that hangs: %v", err)
		}
	}
	if p.count("sys/health") == 0 {
		t.Error("nobody looked")
	}
}

// TestGateWithoutHealth has something in front of Vault that keeps sys/health from us: one request that fails must not be the
// end of all others, and a Vault that is sealed is found sealed, and found back, all the same.
func TestGateWithoutHealth(t *testing.T) {
	s := server.Start(t, server.Options{Dir: t.TempDir()})
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound} {
		p := newProxy(t, s)
		o := p.through(rootOptions(s))
		o.Retries = -1
		v := openVault(t, o)
		ref := newRef(t, v)
		write(t, v, ref, 1, 0)
		looked := make(chan struct{}, 1<<10)
		hidden := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if matches(r, "sys/health") {
				w.WriteHeader(status)
				looked <- struct{}{}
				return
			}
			next.ServeHTTP(w, r)
		}
		once := refuse(1, http.StatusBadGateway, "", dataPath)
		p.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			hidden(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { once(w, r, next) }))
		})
		_, _, err := v.ReadRecord(t.Context(), ref)
		wantError(t, "the request that fails", err, vault.ErrUnavailable)
		await(t, looked)
		wantOpens(t, v, ref, 1)

		s.Seal(t)
		_, _, err = v.ReadRecord(t.Context(), ref)
		wantError(t, "sealed", err, vault.ErrAway)
		await(t, looked)
		await(t, looked) // the second look is there only because the first said that it is sealed
		if vault.Absent(v) == nil {
			t.Errorf("status %d: a sealed Vault is taken for one that is there", status)
		}
		s.Unseal(t)
		awaitPresent(t, v)
		wantOpens(t, v, ref, 1)
	}
}

// await waits for a signal.
func await(t *testing.T, signal <-chan struct{}) {
	t.Helper()
	select {
	case <-signal:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing happens")
	}
}

// TestGateCancelled has callers leave: that says nothing of Vault.
func TestGateCancelled(t *testing.T) {
	s := sharedServer(t)
	v := openVault(t, rootOptions(s))
	ref := newRef(t, v)
	left, leave := context.WithCancel(t.Context())
	leave()
	late, end := context.WithTimeout(t.Context(), 0)
	defer end()
	for _, ctx := range []context.Context{left, late} {
		_, _, err := v.ReadRecord(ctx, ref)
		wantError(t, "reading", err, vault.ErrUnavailable)
		if errors.Is(err, vault.ErrAway) || vault.Absent(v) != nil {
			t.Errorf("got %v, and it is %v", err, vault.Absent(v))
		}
	}
}

// TestOpenWhileAway opens a vault that is sealed, or whose server is down: where that is allowed it works as soon as the
// server does, with one login however many wait, and a login that is refused fails all the same.
func TestOpenWhileAway(t *testing.T) {
	s := server.Start(t, server.Options{Dir: t.TempDir()})
	role := approle(t, s, nil)
	role.SecretID = secret.New(s.SecretID(t, role.Mount, "service"))
	o := rootOptions(s)
	o.Retries, o.Timeout = -1, 2*time.Second
	o.Login = hashicorp.Login{AppRole: &role}
	for name, c := range map[string]struct{ away, back func() }{
		"sealed":  {func() { s.Seal(t) }, func() { s.Unseal(t) }},
		"stopped": {func() { s.Stop(t) }, func() { s.Boot(t); s.Unseal(t) }},
	} {
		t.Run(name, func(t *testing.T) {
			c.away()
			_, err := hashicorp.Open(t.Context(), o)
			wantError(t, "opening", err, vault.ErrAway)
			o := o
			o.StartAway = true
			v := openVault(t, o)
			wantError(t, "using it", v.Health(t.Context()), vault.ErrAway)
			c.back()
			awaitPresent(t, v)
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if err := v.CreateKey(t.Context(), uuid.New()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		})
	}
	o.StartAway = true
	o.Login = tokenLogin("hvs.nonsense")
	_, err := hashicorp.Open(t.Context(), o)
	wantError(t, "a token that is nobody's", err, vault.ErrDenied)
}
