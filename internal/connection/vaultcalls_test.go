package connection_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

// counting is a kit on a real Vault server, before which every request is counted.
type counting struct {
	*kit
	*server.Counter
}

func newCounting(t *testing.T) counting {
	t.Helper()
	t.Parallel()
	s := server.Start(t, server.Options{})
	s.Write(t, "secret/config", map[string]any{"max_versions": 1})
	counter, err := server.Count(s.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = counter.Close() })
	open := func(t testing.TB) vault.Vault {
		v, err := hashicorp.Open(t.Context(), hashicorp.Options{
			Address: counter.URL, Login: hashicorp.Login{Token: secret.New(s.Token())}, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = v.Close() })
		return v
	}
	return counting{local(t, servicetest.Options{OpenVault: open}), counter}
}

// cold is another process, which remembers nothing; what it asks from now on is counted. One read ahead of the counting
// settles what is asked once per process: whether Vault takes the header for its active node.
func (c counting) cold() *servicetest.Service {
	c.t.Helper()
	p := c.Process(c.t)
	if _, _, err := p.Vault.ReadRecord(c.t.Context(), vault.Ref{Tenant: c.one.ID, Connection: uuid.New()}); !errors.Is(err, vault.ErrNotFound) {
		c.t.Fatal(err)
	}
	c.Take()
	return p
}

// asked fails unless that many heads were read and that many batches unwrapped since the last call, and nothing else.
func (c counting) asked(what string, reads, unwraps int) {
	c.t.Helper()
	c.askedAlso(what, reads, unwraps, 0, 0)
}

func (c counting) askedAlso(what string, reads, unwraps, keys, writes int) {
	c.t.Helper()
	passed := c.Take()
	for _, kind := range []struct {
		text string
		want int
	}{
		{"GET /v1/secret/data/", reads},
		{"/v1/transit/decrypt/", unwraps},
		{"/v1/transit/datakey/", keys},
		{"PUT /v1/secret/data/", writes},
		{"", reads + unwraps + keys + writes},
	} {
		if got := server.Matching(passed, kind.text); got != kind.want {
			const most = 8
			c.t.Errorf("%s: got %d requests %q of Vault, want %d:\n%s", what, got, kind.text, kind.want, strings.Join(passed[max(0, len(passed)-most):], "\n"))
		}
	}
}

// many connects n users.
func (c counting) many(n int) []uuid.UUID {
	c.t.Helper()
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = c.Connect(c.t, c.one, fmt.Sprintf("user%d", i)).ID
	}
	return ids
}

// credentials asks a process for many and returns how many it handed out.
func (c counting) credentials(p *servicetest.Service, ids []uuid.UUID) (results []connection.Result, served int) {
	c.t.Helper()
	results, err := p.Connections.Credentials(c.one.Ctx, ids, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range results {
		if r.Credential != nil {
			served++
		}
	}
	return results, served
}

// TestVaultCalls counts what Vault is asked for what is done most often, at the server.
func TestVaultCalls(t *testing.T) {
	c := newCounting(t)
	ids := c.many(2)
	p := c.cold()
	read := func(connectionID uuid.UUID) {
		t.Helper()
		r, err := p.Connections.Credential(c.one.Ctx, connection.Selector{Connection: &connectionID}, nil)
		if err != nil || r.Credential == nil {
			t.Fatalf("got %+v, %v", r, err)
		}
	}
	refresh := func(p *servicetest.Service, connectionID uuid.UUID) *ent.Connection {
		t.Helper()
		row, err := p.Connections.Refresh(c.one.Ctx, connectionID)
		if err != nil || row.FailureClass != "" {
			t.Fatalf("got %+v, %v", row, err)
		}
		return row
	}
	read(ids[0])
	c.asked("a credential that is not in memory", 1, 1)
	read(ids[0])
	c.asked("a credential that is", 0, 0)

	p = c.cold()
	refresh(p, ids[0])
	c.askedAlso("a process's first refresh for an app, whose secret is opened", 1, 2, 1, 1)
	refresh(p, ids[1])
	c.askedAlso("every other refresh", 1, 1, 1, 1)
	read(ids[1])
	c.asked("a credential that was just refreshed", 0, 0)
}

// TestVaultCallsOfMany: a hundred at once cost a read for each and one call that unwraps all their keys.
func TestVaultCallsOfMany(t *testing.T) {
	c := newCounting(t)
	ids := c.many(100)
	p := c.cold()
	if _, served := c.credentials(p, ids); served != 100 {
		t.Fatalf("%d were handed out", served)
	}
	c.asked("a hundred that are not in memory", 100, 1)
	if _, served := c.credentials(p, append(ids[:99:99], ids[0])); served != 100 {
		t.Errorf("%d were handed out", served)
	}
	c.asked("a hundred that are", 0, 0)
	if _, err := p.Connections.Refresh(c.one.Ctx, ids[5]); err != nil {
		t.Fatal(err)
	}
	fresh := c.cold()
	if _, served := c.credentials(fresh, ids[:50]); served != 50 {
		t.Errorf("%d were handed out", served)
	}
	c.asked("fifty that are not in memory", 50, 1)
	if _, served := c.credentials(fresh, ids); served != 100 {
		t.Errorf("%d were handed out", served)
	}
	c.asked("a hundred of which fifty are", 50, 1)
}

// TestVaultCallsWithABadRecord: one data key that does not unwrap makes Vault refuse the batch; the others are handed out
// all the same, and nobody asks for them one by one.
func TestVaultCallsWithABadRecord(t *testing.T) {
	c := newCounting(t)
	ids := c.many(100)
	const bad = 42
	ref := vault.Ref{Tenant: c.one.ID, Connection: ids[bad]}
	record, cas, err := c.Vault.ReadRecord(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := c.Vault.NewDataKey(t.Context(), c.other.ID)
	if err != nil {
		t.Fatal(err)
	}
	record.Key = foreign.Wrapped
	if _, err := c.Vault.WriteRecord(t.Context(), ref, record, cas); err != nil {
		t.Fatal(err)
	}
	p := c.cold()
	results, served := c.credentials(p, ids)
	if served != 99 || results[bad].Reauthorization == nil {
		t.Errorf("%d were handed out, and instead of one %+v", served, results[bad])
	}
	// Beside the hundred and the one: what the refresh looks at that the bad one comes to.
	c.askedAlso("a hundred of which one is bad", 101, 2, 1, 0)
}
