package connection_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// counts are statements that went through ent. wrote yields a value for each write that is done.
type counts struct {
	reads, writes atomic.Int64
	wrote         chan struct{}
}

// count counts what the process asks of its database from now on.
func count(s *servicetest.Service) *counts {
	c := &counts{wrote: make(chan struct{}, 1000)}
	s.DB.Ent.Intercept(ent.InterceptFunc(func(next ent.Querier) ent.Querier {
		return ent.QuerierFunc(func(ctx context.Context, q ent.Query) (ent.Value, error) {
			c.reads.Add(1)
			return next.Query(ctx, q)
		})
	}))
	s.DB.Ent.Use(func(next ent.Mutator) ent.Mutator {
		return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
			defer func() { c.wrote <- struct{}{} }()
			c.writes.Add(1)
			return next.Mutate(ctx, m)
		})
	})
	return c
}

// TestFreshRead costs one read of the row, and nothing else: no write, no vault, no provider.
func TestFreshRead(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.served(k.read(c.ID), 1)
		if err := k.Connections.Drain(t.Context()); err != nil { // the first use is noted now
			t.Fatal(err)
		}
		p := k.Process(t)
		warm, err := p.Connections.Credential(k.one.Ctx, connection.Selector{Connection: &c.ID}, nil)
		if err != nil || warm.Credential == nil {
			t.Fatalf("got %+v, %v", warm, err)
		}
		n, vaultCalls := count(p), p.Vault.Calls("ReadRecord")+p.Vault.Calls("UnwrapDataKeys")
		for i := range 10 {
			r, err := p.Connections.Credential(k.one.Ctx, connection.Selector{Connection: &c.ID, Bare: i%2 == 0}, nil)
			if err != nil {
				t.Fatal(err)
			}
			k.served(r, 1)
		}
		if n.reads.Load() != 10 || n.writes.Load() != 0 {
			t.Errorf("ten reads took %d queries and %d writes", n.reads.Load(), n.writes.Load())
		}
		if got := p.Vault.Calls("ReadRecord") + p.Vault.Calls("UnwrapDataKeys"); got != vaultCalls {
			t.Errorf("the vault was asked %d times", got-vaultCalls)
		}
		if _, err := p.Connections.Credentials(k.one.Ctx, []uuid.UUID{c.ID, c.ID}, nil); err != nil || n.reads.Load() != 11 {
			t.Errorf("two at once took %d queries, %v", n.reads.Load()-10, err)
		}
		k.totals(1, 0)
	})
}

func TestCredential(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		got := k.served(k.read(c.ID), 1)
		if got.TokenType != "bearer" || got.APIURL != k.ZoomURL || len(got.Scopes) != len(c.Scopes) || !got.ExpiresAt.Equal(*c.AccessTokenExpiresAt) ||
			!got.RevalidateAfter.Equal(k.Clock.Now().Add(30*time.Second)) {
			t.Errorf("got %+v", got)
		}
		k.Clock.Advance(time.Hour - 2*time.Minute - 50*time.Second) // 49 s are left after the minute of connect and this
		got = k.served(k.readFor(k.one.Ctx, c.ID, ptr(5)), 1)
		if got.RevalidateAfter.After(*got.ExpiresAt) {
			t.Errorf("a cache may use it until %v, it expires at %v", got.RevalidateAfter, got.ExpiresAt)
		}
		for _, ctx := range []context.Context{k.one.As(t, tenant.ConnectionsRead, tenant.ConnectionsWrite), servicetest.Operator(t, k.one.ID)} {
			_, err := k.Connections.Credential(ctx, connection.Selector{Connection: &c.ID}, nil)
			fails(t, err, errs.Forbidden, "")
			_, err = k.Connections.Credentials(ctx, []uuid.UUID{c.ID}, nil)
			fails(t, err, errs.Forbidden, "")
		}
		_, err := k.Connections.Credential(k.one.Ctx, connection.Selector{Connection: &c.ID}, ptr(-1))
		fails(t, err, errs.BadUserInput, "minTTL")
		_, err = k.Connections.Credential(k.one.Ctx, connection.Selector{}, nil)
		fails(t, err, errs.BadUserInput, "of")
	})
}

// TestForeignAndUnknownAreAlike: nothing tells another tenant's connection from one that never was.
func TestForeignAndUnknownAreAlike(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.served(k.read(c.ID), 1)
		foreign, unknown := k.readFor(k.other.Ctx, c.ID, nil), k.readFor(k.other.Ctx, uuid.New(), nil)
		if foreign.NotConnected == "" || foreign.NotConnected != unknown.NotConnected || foreign.Connection != nil {
			t.Errorf("got %+v and %+v", foreign, unknown)
		}
		many, err := k.Connections.Credentials(k.other.Ctx, []uuid.UUID{c.ID, uuid.New()}, nil)
		if err != nil || many[0] != many[1] || many[0].NotConnected == "" {
			t.Errorf("got %+v, %v", many, err)
		}
	})
}

// TestMinTTL: a token that lives long enough is handed out; asking for more than half of a token's life is asking for half.
func TestMinTTL(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.Connect(t, k.one, user)
		for _, step := range []struct {
			left    time.Duration
			minTTL  *int
			version int64
		}{
			{3000 * time.Second, nil, 1},
			{3000 * time.Second, ptr(1 << 40), 1},
			{1800 * time.Second, ptr(3599), 1},
			{1799 * time.Second, ptr(3599), 2}, // half is 1799.5 s
			{61 * time.Second, nil, 2},
			{60 * time.Second, nil, 2},
			{59 * time.Second, ptr(0), 2},
			{59 * time.Second, nil, 3},
			{1 * time.Second, ptr(0), 3},
			{0, ptr(0), 4},
		} {
			row := k.Row(t, c.ID)
			k.Clock.Advance(row.AccessTokenExpiresAt.Add(-step.left).Sub(k.Clock.Now()))
			k.served(k.readFor(k.one.Ctx, c.ID, step.minTTL), step.version)
		}
	})
}

// TestMinTTLOfShortLives: the clamp keeps short-lived tokens from being refreshed at each read.
func TestMinTTLOfShortLives(t *testing.T) {
	k := local(t, servicetest.Options{})
	if err := k.Zoom.SetSwitches(zoomsim.Switches{AccessLifeSeconds: 20}); err != nil {
		t.Fatal(err)
	}
	c := k.Connect(t, k.one, user)
	for range 10 {
		k.served(k.readFor(k.one.Ctx, c.ID, ptr(3600)), 1)
		k.Clock.Advance(time.Second)
	}
	k.totals(1, 0)
}

// TestMemoryIsNotTheAuthority: another process refreshes, disconnects or deletes, and this one does not go on serving what
// it remembers.
func TestMemoryIsNotTheAuthority(t *testing.T) {
	for name, bare := range map[string]bool{"whole row": false, "bare": true} {
		t.Run(name, func(t *testing.T) { memoryIsNotTheAuthority(t, bare) })
	}
}

func memoryIsNotTheAuthority(t *testing.T, bare bool) {
	t.Helper()
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.served(k.read(c.ID), 1)
		if err := k.Connections.Drain(t.Context()); err != nil { // the first use is noted now: a bare read looks at that
			t.Fatal(err)
		}
		k.Service, k.bare = k.Process(t), bare
		other := k.Process(t)
		k.served(k.read(c.ID), 1)
		if _, err := other.Connections.Refresh(k.one.Ctx, c.ID); err != nil {
			t.Fatal(err)
		}
		k.served(k.read(c.ID), 2)
		if err := k.DB.Ent.Connection.UpdateOneID(c.ID).SetState("DISCONNECTED").Exec(k.one.Ctx); err != nil {
			t.Fatal(err)
		}
		if r := k.read(c.ID); r.Reauthorization == nil || r.Reauthorization.Reason != "REVOKED" {
			t.Errorf("got %+v", r)
		}
		if err := k.DB.Ent.Connection.UpdateOneID(c.ID).SetState("PENDING").Exec(k.one.Ctx); err != nil {
			t.Fatal(err)
		}
		k.unavailable(k.read(c.ID), "PENDING")
		_, err := k.Connections.Refresh(k.one.Ctx, c.ID)
		fails(t, err, errs.Conflict, "id")
		if err := k.DB.Ent.Connection.UpdateOneID(c.ID).SetState("CONNECTED").Exec(k.one.Ctx); err != nil {
			t.Fatal(err)
		}
		k.served(k.read(c.ID), 2)
		if err := other.Connections.Delete(k.one.Ctx, c.ID); err != nil {
			t.Fatal(err)
		}
		if k.read(c.ID).NotConnected == "" {
			t.Error("a deleted connection's credential was handed out")
		}
	})
}
