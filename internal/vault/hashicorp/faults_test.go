package hashicorp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

// dataPath is what requests for the values of records have in common.
const dataPath = "/data/tokenkeep/tenants/"

// TestLandedBehindALostAnswer writes and loses the answer in every way: the write is in doubt and was sent once, and the
// head says whose it is.
func TestLandedBehindALostAnswer(t *testing.T) {
	s := sharedServer(t)
	for name, rule := range map[string]func(http.ResponseWriter, *http.Request, http.Handler){
		"502":           swallow(http.StatusBadGateway, "PUT", dataPath),
		"503":           swallow(http.StatusServiceUnavailable, "PUT", dataPath),
		"500":           swallow(http.StatusInternalServerError, "PUT", dataPath),
		"200 and no":    swallow(http.StatusOK, "PUT", dataPath),
		"connection":    cut("PUT", dataPath),
		"a late answer": hang(true, "PUT", dataPath),
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, s)
			o := p.through(rootOptions(s))
			o.Timeout = 500 * time.Millisecond
			v := openVault(t, o)
			ref := newRef(t, v)
			cas := write(t, v, ref, 1, 0)
			mine := seal(t, v, ref, 2)
			p.set(rule)
			_, err := v.WriteRecord(t.Context(), ref, mine, cas)
			wantError(t, "writing", err, vault.ErrUnavailable)
			if errors.Is(err, vault.ErrMismatch) {
				t.Error("a write that landed is reported as one that did not match")
			}
			if got := p.count("PUT", dataPath); got != 1 {
				t.Errorf("it was sent %d times, want once", got)
			}
			p.set(nil)
			if name == "a late answer" {
				awaitHead(t, v, ref, mine)
				return
			}
			if got, _ := head(t, v, ref); got.Attempt != mine.Attempt {
				t.Error("the head does not bear the attempt of the write that landed")
			}
		})
	}
}

// awaitHead reads until the head is the record: the server was still busy with it when its client left.
func awaitHead(t *testing.T, v vault.Vault, ref vault.Ref, want vault.Record) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if got, _ := head(t, v, ref); got.Attempt == want.Attempt {
			return
		}
	}
	t.Error("the write never landed")
}

// TestLostRace has two replicas over the same head: one commits, the other learns from the head whose it is.
func TestLostRace(t *testing.T) {
	s := sharedServer(t)
	a, b := openVault(t, rootOptions(s)), openVault(t, rootOptions(s))
	ref := newRef(t, a)
	cas := write(t, a, ref, 1, 0)
	mine, theirs := seal(t, a, ref, 2), seal(t, b, ref, 2)
	if _, err := b.WriteRecord(t.Context(), ref, theirs, cas); err != nil {
		t.Fatal(err)
	}
	_, err := a.WriteRecord(t.Context(), ref, mine, cas)
	wantError(t, "the loser", err, vault.ErrMismatch)
	if got, _ := head(t, a, ref); got.Attempt != theirs.Attempt || got.Generation != 2 {
		t.Errorf("got attempt %v in generation %d, want the winner's", got.Attempt, got.Generation)
	}
}

// everything calls each method once and returns the errors by name.
func everything(t *testing.T, v *hashicorp.Vault, ref vault.Ref, r vault.Record, cas vault.CAS) map[string]error {
	ctx := t.Context()
	errs := map[string]error{}
	_, _, errs["ReadRecord"] = v.ReadRecord(ctx, ref)
	_, errs["WriteRecord"] = v.WriteRecord(ctx, ref, r, cas)
	_, errs["WriteRecord anew"] = v.WriteRecord(ctx, vault.Ref{Tenant: ref.Tenant, Connection: uuid.New()}, r, 0)
	errs["EraseRecord"] = v.EraseRecord(ctx, vault.Ref{Tenant: ref.Tenant, Connection: uuid.New()})
	_, errs["ListRecords"] = v.ListRecords(ctx, ref.Tenant, uuid.Nil, 10)
	errs["CreateKey"] = v.CreateKey(ctx, uuid.New())
	_, errs["RotateKey"] = v.RotateKey(ctx, ref.Tenant)
	_, errs["KeyInfo"] = v.KeyInfo(ctx, ref.Tenant)
	errs["SetMinVersion"] = v.SetMinVersion(ctx, ref.Tenant, 1)
	errs["DestroyKey"] = v.DestroyKey(ctx, uuid.New())
	_, errs["NewDataKey"] = v.NewDataKey(ctx, ref.Tenant)
	_, errs["UnwrapDataKeys"] = v.UnwrapDataKeys(ctx, ref.Tenant, []vault.WrappedKey{r.Key})
	_, errs["RewrapDataKeys"] = v.RewrapDataKeys(ctx, ref.Tenant, []vault.WrappedKey{r.Key})
	_, errs["MAC"] = v.MAC(ctx, []byte("data"))
	errs["Health"] = v.Health(ctx)
	return errs
}

// wantAll fails unless every method failed with want.
func wantAll(t *testing.T, what string, errs map[string]error, want error) {
	t.Helper()
	for name, err := range errs {
		wantError(t, fmt.Sprintf("%s: %s", what, name), err, want)
	}
}

// TestAway takes the server away in every way it can go, and brings it back: meanwhile everything is unavailable, and
// afterwards everything works without anybody opening the vault again.
func TestAway(t *testing.T) {
	s := server.Start(t, server.Options{Dir: t.TempDir()})
	for name, c := range map[string]struct{ away, back func() }{
		"sealed":    {func() { s.Seal(t) }, func() { s.Unseal(t) }},
		"restarted": {func() { s.Stop(t) }, func() { s.Boot(t); s.Unseal(t) }},
		"killed":    {s.Kill, func() { s.Boot(t); s.Unseal(t) }},
		"unsealing": {func() { s.Stop(t); s.Boot(t) }, func() { s.Unseal(t) }},
		"frozen":    {func() { s.Freeze(t) }, func() { s.Thaw(t) }},
	} {
		t.Run(name, func(t *testing.T) {
			o := rootOptions(s)
			o.Timeout, o.Retries = 300*time.Millisecond, 1
			v := openVault(t, o)
			ref := newRef(t, v)
			cas := write(t, v, ref, 1, 0)
			r := seal(t, v, ref, 2)
			c.away()
			wantAll(t, name, everything(t, v, ref, r, cas), vault.ErrUnavailable)
			if _, err := hashicorp.Open(t.Context(), o); !errors.Is(err, vault.ErrUnavailable) {
				t.Errorf("opening another: got %v", err)
			}
			c.back()
			awaitPresent(t, v)
			if err := v.Health(t.Context()); err != nil {
				t.Errorf("health afterwards: %v", err)
			}
			got, now := head(t, v, ref)
			if got.Attempt != r.Attempt { // what reached a frozen server may have landed
				write(t, v, ref, got.Generation+1, now)
			}
			wantOpens(t, v, ref, 2)
		})
	}
}

// TestSlow waits no longer than the timeout, and asks a slow server no second time.
func TestSlow(t *testing.T) {
	s := sharedServer(t)
	p := newProxy(t, s)
	o := p.through(rootOptions(s))
	o.Timeout = 200 * time.Millisecond
	v := openVault(t, o)
	ref := newRef(t, v)
	write(t, v, ref, 1, 0)
	p.set(hang(false, dataPath))
	began := time.Now()
	_, _, err := v.ReadRecord(t.Context(), ref)
	wantError(t, "reading", err, vault.ErrUnavailable)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	if got := p.count(dataPath); got != 1 {
		t.Errorf("it was sent %d times, want once", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = v.WriteRecord(ctx, ref, vault.Record{}, 1)
	wantError(t, "writing nonsense", err, vault.ErrInvalid)
	_, _, err = v.ReadRecord(ctx, ref)
	wantError(t, "reading with an earlier deadline", err, vault.ErrUnavailable)
	wantError(t, "its cause", err, context.DeadlineExceeded)
}

// TestSlowServer has a server that answers after five seconds and a client that waits for it, as the default does.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	s := sharedServer(t)
	p := newProxy(t, s)
	v := openVault(t, p.through(rootOptions(s)))
	ref := newRef(t, v)
	p.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		<-time.After(5 * time.Second)
		next.ServeHTTP(w, r)
	})
	began := time.Now()
	if _, err := v.NewDataKey(t.Context(), ref.Tenant); err != nil || time.Since(began) < 5*time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
}

// TestRetries fails a few times and then lets pass: what may be repeated is, and a write only where it was refused
// before anything was done.
func TestRetries(t *testing.T) {
	s := sharedServer(t)
	for _, c := range []struct {
		status      int
		body        string
		read, write bool
	}{
		{http.StatusInternalServerError, `{"errors":["internal error"]}`, true, false},
		{http.StatusBadGateway, `<html>bad gateway</html>`, true, false},
		{http.StatusServiceUnavailable, `{"errors":["Vault is sealed"]}`, true, false},
		{http.StatusTooManyRequests, `{"errors":["request path \"x\": rate limit quota exceeded"]}`, true, true},
		{http.StatusPreconditionFailed, `{"errors":["required index state not present"]}`, true, true},
		{http.StatusBadRequest, `{"errors":["something else"]}`, false, false},
		{http.StatusNotFound, `{"errors":["no handler for route \"secret/data\". route entry not found."]}`, false, false},
		{http.StatusNotFound, `<html>not found</html>`, false, false},
		{http.StatusMethodNotAllowed, `{"errors":["unsupported operation"]}`, false, false},
	} {
		t.Run(fmt.Sprintf("%d %.20s", c.status, c.body), func(t *testing.T) {
			p := newProxy(t, s)
			v := openVault(t, p.through(rootOptions(s)))
			ref := newRef(t, v)
			cas := write(t, v, ref, 1, 0)
			next := seal(t, v, ref, 2)

			p.set(refuse(3, c.status, c.body, dataPath))
			_, _, err := v.ReadRecord(t.Context(), ref)
			wantOutcome(t, "reading", err, c.read)
			if got, want := p.count(dataPath), map[bool]int{true: 4, false: 1}[c.read]; got != want {
				t.Errorf("the read was sent %d times, want %d", got, want)
			}
			p.set(refuse(3, c.status, c.body, dataPath))
			_, err = v.WriteRecord(t.Context(), ref, next, cas)
			wantOutcome(t, "writing", err, c.write)
			if got, want := p.count(dataPath), map[bool]int{true: 4, false: 1}[c.write]; got != want {
				t.Errorf("the write was sent %d times, want %d", got, want)
			}
		})
	}
}

func wantOutcome(t *testing.T, what string, err error, ok bool) {
	t.Helper()
	if ok && err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if !ok {
		wantError(t, what, err, vault.ErrUnavailable)
		if errors.Is(err, vault.ErrNotFound) || errors.Is(err, vault.ErrNoKey) {
			t.Errorf("%s: %v: something that is there is reported as absent", what, err)
		}
	}
}

// TestKilledWhileWriting kills the server in the midst of writes, again and again: what it acknowledged is there.
func TestKilledWhileWriting(t *testing.T) {
	s := server.Start(t, server.Options{Dir: t.TempDir()})
	o := rootOptions(s)
	o.Timeout, o.Retries = 2*time.Second, -1
	v := openVault(t, o)
	ref := newRef(t, v)
	var acknowledged int64
	cas := vault.CAS(0)
	for round := range 4 {
		records := make([]vault.Record, 200)
		for i := range records {
			records[i] = seal(t, v, ref, acknowledged+1+int64(i))
		}
		var last vault.Record
		for i, r := range records {
			if i == 20+20*round {
				go s.Kill()
			}
			next, err := v.WriteRecord(t.Context(), ref, r, cas)
			if err != nil {
				wantError(t, "writing", err, vault.ErrUnavailable)
				last = r
				break
			}
			acknowledged, cas = r.Generation, next
		}
		t.Logf("killed after generation %d", acknowledged)
		s.Kill()
		s.Boot(t)
		s.Unseal(t)
		awaitPresent(t, v)
		got, number := head(t, v, ref)
		if got.Generation != acknowledged && (got.Generation != acknowledged+1 || got.Attempt != last.Attempt) {
			t.Fatalf("got generation %d, want %d, or the one in doubt", got.Generation, acknowledged)
		}
		acknowledged, cas = got.Generation, number
	}
	wantOpens(t, v, ref, acknowledged)
}
