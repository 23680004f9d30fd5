package connection_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
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
		for range 10 {
			r, err := p.Connections.Credential(k.one.Ctx, connection.Selector{Connection: &c.ID}, nil)
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

// TestExpiredForFiftyReaders: one refresh serves them all, in each of two processes.
func TestExpiredForFiftyReaders(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.Connect(t, k.one, user)
		processes := []*servicetest.Service{k.Service, k.Process(t)}
		for round := int64(2); round < 4; round++ {
			k.Clock.Advance(2 * time.Hour)
			var group sync.WaitGroup
			for i := range 50 {
				group.Go(func() {
					r, err := processes[i%2].Connections.Credential(k.one.Ctx, connection.Selector{Connection: &c.ID}, nil)
					if err != nil || r.Credential == nil || r.Credential.Version != round {
						t.Errorf("got %+v, unavailable %+v, %v", r.Credential, r.Unavailable, err)
					}
				})
			}
			group.Wait()
			k.totals(1, int(round)-1)
		}
	})
}

// TestReadersOfAFailure: the provider is asked once for all who read, and not again until the time it put off the next
// attempt to.
func TestReadersOfAFailure(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.Connect(t, k.one, user)
		k.Clock.Advance(2 * time.Hour)
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Status: 429, RetryAfter: "1200", Body: "{}"})
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				r, err := k.Connections.Credential(k.one.Ctx, connection.Selector{Connection: &c.ID}, nil)
				if err != nil || r.Unavailable == nil || r.Unavailable.Code != "PROVIDER_UNAVAILABLE" {
					t.Errorf("got %+v, %v", r, err)
				}
			})
		}
		group.Wait()
		if got := k.OAuth.Calls("Refresh"); got != 1 {
			t.Errorf("the provider was asked %d times", got)
		}
		k.Clock.Advance(1199 * time.Second)
		if got := k.unavailable(k.read(c.ID), "PROVIDER_UNAVAILABLE"); got.RetryAfter != time.Second {
			t.Errorf("try again in %v, want a second", got.RetryAfter)
		}
		if got := k.OAuth.Calls("Refresh"); got != 1 {
			t.Errorf("the provider was asked %d times", got)
		}
		k.Zoom.ClearFaults()
		k.Clock.Advance(time.Second)
		k.served(k.read(c.ID), 2)
		k.wantEvents(c.ID, "CREATED", "FAILING", "RECOVERED")
	})
}

// TestFreshWhileFailing: a token that lives is handed out while refreshes fail.
func TestFreshWhileFailing(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Status: 503, Body: "{}"})
		if _, err := k.Connections.Refresh(k.one.Ctx, c.ID); err != nil {
			t.Fatal(err)
		}
		k.served(k.read(c.ID), 1)
		back := k.Vault.Away()
		k.served(k.read(c.ID), 1) // from memory
		back()
	})
}

func TestDisconnected(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.disconnect(c)
		calls := k.OAuth.Calls("Refresh")
		for range 3 {
			r := k.read(c.ID)
			if r.Reauthorization == nil || r.Reauthorization.Reason != "REVOKED" || r.Reauthorization.Class != "REAUTHORIZATION_REQUIRED" || r.Connection == nil {
				t.Errorf("got %+v", r)
			}
			k.Clock.Advance(time.Hour)
		}
		if got := k.OAuth.Calls("Refresh"); got != calls {
			t.Errorf("the provider was asked %d times", got-calls)
		}
	})
}

// TestLostRecord: the first reader finds out, and says what there is to do.
func TestLostRecord(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		if err := k.Vault.EraseRecord(t.Context(), vault.Ref{Tenant: k.one.ID, Connection: c.ID}); err != nil {
			t.Fatal(err)
		}
		if r := k.read(c.ID); r.Reauthorization == nil || r.Reauthorization.Reason != "RECORD_MISSING" {
			t.Errorf("got %+v", r)
		}
		k.wantEvents(c.ID, "CREATED", "DISCONNECTED")
	})
}

// TestOurOwnFaults are said to be ours, and the connection is not touched.
func TestOurOwnFaults(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		back := k.Vault.Away()
		k.unavailable(k.read(c.ID), "VAULT_UNAVAILABLE")
		k.Clock.Advance(2 * time.Hour)
		k.unavailable(k.read(c.ID), "VAULT_UNAVAILABLE")
		back()
		if row := k.Row(t, c.ID); connection.FailureOf(row) != nil || !row.UpdatedAt.Equal(c.UpdatedAt) {
			t.Errorf("got %+v", row)
		}
		k.served(k.read(c.ID), 2)
		wrong := secret.New("wrong")
		if _, err := k.Apps.Update(k.one.Ctx, app.UpdateInput{ID: k.one.App.ID, ClientSecret: &wrong}); err != nil {
			t.Fatal(err)
		}
		k.Clock.Advance(2 * time.Hour)
		for range 3 {
			k.unavailable(k.read(c.ID), "APP_MISCONFIGURED")
		}
		if got := k.OAuth.Calls("Refresh"); got != 2 {
			t.Errorf("the provider was asked %d times", got)
		}
		right := secret.New(servicetest.ClientSecret)
		if _, err := k.Apps.Update(k.one.Ctx, app.UpdateInput{ID: k.one.App.ID, ClientSecret: &right}); err != nil {
			t.Fatal(err)
		}
		k.served(k.read(c.ID), 3)
	})
}

// TestReaderMeetsAnotherProcess: it waits for the other's refresh, or for its failure, and no longer than its patience.
func TestReaderMeetsAnotherProcess(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.Connect(t, k.one, user)
		other := k.Process(t)
		for _, test := range []struct {
			point zoomsim.Point
			check func(r connection.Result)
		}{
			{zoomsim.AfterProcessing, func(r connection.Result) { k.served(r, 2) }},
			{zoomsim.BeforeProcessing, func(r connection.Result) { k.unavailable(r, "PROVIDER_UNAVAILABLE") }},
		} {
			k.Clock.Advance(2 * time.Hour)
			fault := zoomsim.Fault{Endpoint: zoomsim.EndpointToken, GrantType: "refresh_token"}
			if test.point == zoomsim.BeforeProcessing {
				fault.Status, fault.Body = 429, "{}"
			}
			hold, err := k.Zoom.Hold(fault, test.point)
			if err != nil {
				t.Fatal(err)
			}
			var group sync.WaitGroup
			group.Go(func() { _, _ = other.Connections.Refresh(k.one.Ctx, c.ID) })
			<-hold.Arrived()
			looked := servicetest.NewGate()
			looked.Open()
			k.Vault.After("ReadRecord", looked.Hook)
			results := make(chan connection.Result, 1)
			group.Go(func() {
				r, err := k.Connections.Credential(k.one.Ctx, connection.Selector{Connection: &c.ID}, nil)
				if err != nil {
					t.Error(err)
				}
				results <- r
			})
			<-looked.Arrived
			hold.Release()
			test.check(<-results)
			group.Wait()
			k.Vault.After("ReadRecord", nil)
		}
	})
}

// TestReaderWaitsOnce: whoever refreshes, a reader's patience is one and the same.
func TestReaderWaitsOnce(t *testing.T) {
	const patience = 300 * time.Millisecond
	eachWith(t, servicetest.Options{ReaderWait: patience}, func(t *testing.T, k *kit) {
		c := k.Connect(t, k.one, user)
		k.Clock.Advance(2 * time.Hour)
		hold, err := k.Zoom.Hold(zoomsim.Fault{Endpoint: zoomsim.EndpointToken}, zoomsim.AfterProcessing)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []*servicetest.Service{k.Service, k.Process(t)} { // the one who refreshes, and another
			began := time.Now()
			r, err := s.Connections.Credential(k.one.Ctx, connection.Selector{Connection: &c.ID}, nil)
			if err != nil {
				t.Fatal(err)
			}
			k.unavailable(r, "REFRESHING")
			if took := time.Since(began); took > 8*patience {
				t.Errorf("waited for %v", took)
			}
			_, err = s.Connections.Refresh(k.one.Ctx, c.ID)
			fails(t, err, errs.Conflict, "id")
		}
		gone, leave := context.WithCancel(k.one.Ctx)
		leave()
		if _, err := k.Connections.Credential(gone, connection.Selector{Connection: &c.ID}, nil); err == nil {
			t.Error("a caller who left got an answer")
		}
		hold.Release()
		if err := k.Connections.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		k.served(k.read(c.ID), 2)
	})
}

// TestLastUsed is written now and then, not with each read, and by one of many readers.
func TestLastUsed(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		n := count(k.Service)
		reads := func() {
			var group sync.WaitGroup
			for range 20 {
				group.Go(func() { _, _ = k.Connections.Credential(k.one.Ctx, connection.Selector{Connection: &c.ID}, nil) })
			}
			group.Wait()
		}
		first := k.Clock.Now()
		reads()
		<-n.wrote
		k.Clock.Advance(4 * time.Minute)
		reads()
		if row := k.Row(t, c.ID); row.LastUsedAt == nil || !row.LastUsedAt.Equal(first) {
			t.Errorf("got last used %v, want %v", row.LastUsedAt, first)
		}
		k.Clock.Advance(2 * time.Minute)
		second := k.Clock.Now()
		reads()
		if err := k.Connections.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		row := k.Row(t, c.ID)
		if row.LastUsedAt == nil || !row.LastUsedAt.Equal(second) || n.writes.Load() != 2 {
			t.Errorf("got last used %v after %d writes, want %v after 2", row.LastUsedAt, n.writes.Load(), second)
		}
		if !row.UpdatedAt.Equal(c.UpdatedAt) {
			t.Error("a use is no update")
		}
	})
}

func TestCredentials(t *testing.T) {
	eachWith(t, keys(), func(t *testing.T, k *kit) {
		key, _, err := k.keep(k.App(t, k.one, "keys"), "", "s3cret", nil)
		if err != nil {
			t.Fatal(err)
		}
		well, foreign, over, lost := k.Connect(t, k.one, "well"), k.Connect(t, k.other, "foreign"), k.connect(), k.Connect(t, k.one, "lost")
		k.disconnect(over)
		if err := k.Vault.EraseRecord(t.Context(), vault.Ref{Tenant: k.one.ID, Connection: lost.ID}); err != nil {
			t.Fatal(err)
		}
		ids := []uuid.UUID{over.ID, well.ID, foreign.ID, key.ID, uuid.New(), well.ID, lost.ID}
		got, err := k.Connections.Credentials(k.one.Ctx, ids, nil)
		if err != nil || len(got) != len(ids) {
			t.Fatalf("got %d, %v", len(got), err)
		}
		k.served(got[1], 2)
		k.served(got[5], 2)
		if got[0].Reauthorization == nil || got[2].NotConnected == "" || got[3].Credential == nil || got[4].NotConnected == "" ||
			got[6].Reauthorization == nil || got[6].Reauthorization.Reason != "RECORD_MISSING" {
			t.Errorf("got %+v", got)
		}
		for i, r := range got {
			if r.Connection != nil && r.Connection.ID != ids[i] {
				t.Errorf("%d: got %s, want %s", i, r.Connection.ID, ids[i])
			}
		}
		_, err = k.Connections.Credentials(k.one.Ctx, make([]uuid.UUID, 101), nil)
		fails(t, err, errs.BadUserInput, "connections")
		if none, err := k.Connections.Credentials(k.one.Ctx, nil, nil); err != nil || len(none) != 0 {
			t.Errorf("got %v, %v", none, err)
		}
	})
}

func TestLookup(t *testing.T) {
	eachWith(t, keys(), func(t *testing.T, k *kit) {
		connect := func(user, subject, kind string) *ent.Connection {
			c, _, err := k.create(k.Consent(t, user), func(in *connection.CreateInput) { in.Subject, in.Kind = &subject, &kind })
			if err != nil {
				t.Fatal(err)
			}
			k.Clock.Advance(time.Minute)
			return c
		}
		ada, bob, install := connect("ada", "s1", "USER"), connect("bob", "s2", "USER"), connect("cyd", "ws", "INSTALLATION")
		connect("dan", "s2", "USER") // bob's subject, another external user
		a := k.App(t, k.one, "keys")
		for range 2 {
			if _, _, err := k.keep(a, "", "s3cret", func(in *connection.CreateInput) { in.Subject = ptr("s3") }); err != nil {
				t.Fatal(err)
			}
		}
		for name, test := range map[string]struct {
			of    connection.Lookup
			want  *ent.Connection
			kind  errs.Kind
			field string
		}{
			"subject":              {connection.Lookup{Provider: "zoom", Kind: "USER", Subject: ptr("s1")}, ada, "", ""},
			"external user":        {connection.Lookup{Provider: "zoom", Kind: "USER", ExternalUserID: bob.ExternalUserID}, bob, "", ""},
			"both":                 {connection.Lookup{Provider: "zoom", Kind: "USER", Subject: ptr("s2"), ExternalUserID: bob.ExternalUserID}, bob, "", ""},
			"both, not of one":     {connection.Lookup{Provider: "zoom", Kind: "USER", Subject: ptr("s1"), ExternalUserID: bob.ExternalUserID}, nil, "", ""},
			"app":                  {connection.Lookup{Provider: "zoom", App: &k.one.App.ID, Kind: "USER", Subject: ptr("s1")}, ada, "", ""},
			"other app":            {connection.Lookup{Provider: "zoom", App: &a.ID, Kind: "USER", Subject: ptr("s1")}, nil, "", ""},
			"installation":         {connection.Lookup{Provider: "zoom", Kind: "INSTALLATION"}, install, "", ""},
			"other kind":           {connection.Lookup{Provider: "zoom", Kind: "INSTALLATION", Subject: ptr("s1")}, nil, "", ""},
			"unknown provider":     {connection.Lookup{Provider: "zooom", Kind: "USER", Subject: ptr("s1")}, nil, "", ""},
			"two users":            {connection.Lookup{Provider: "zoom", Kind: "USER", Subject: ptr("s2")}, nil, errs.Conflict, "of.lookup"},
			"two without identity": {connection.Lookup{Provider: "keys", Kind: "USER", Subject: ptr("s3")}, nil, errs.Conflict, "of.lookup"},
			"nobody named":         {connection.Lookup{Provider: "zoom", Kind: "USER"}, nil, errs.BadUserInput, "of.lookup.subject"},
			"no provider":          {connection.Lookup{Provider: " ", Kind: "USER", Subject: ptr("s1")}, nil, errs.BadUserInput, "of.lookup.provider"},
		} {
			r, err := k.Connections.Credential(k.one.Ctx, connection.Selector{Lookup: &test.of}, nil)
			switch {
			case test.kind != "":
				fails(t, err, test.kind, test.field)
			case err != nil:
				t.Errorf("%s: %v", name, err)
			case test.want == nil && r.NotConnected == "", test.want != nil && (r.Credential == nil || r.Connection.ID != test.want.ID):
				t.Errorf("%s: got %+v", name, r)
			}
			if r, err := k.Connections.Credential(k.other.Ctx, connection.Selector{Lookup: &test.of}, nil); err == nil && r.NotConnected == "" {
				t.Errorf("%s: another tenant got %+v", name, r)
			}
		}
	})
}

// TestLookupOfOneUserInTwoApps takes the connection that works, the newest consent first.
func TestLookupOfOneUserInTwoApps(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		second := zoomsim.Client{ID: "second-client", Secret: servicetest.ClientSecret, RedirectURIs: []string{servicetest.RedirectURI}, Scopes: servicetest.Scopes}
		if err := k.Zoom.PutClient(second); err != nil {
			t.Fatal(err)
		}
		a, err := k.Apps.Create(k.one.Ctx, app.CreateInput{Provider: "zoom", ClientID: second.ID, ClientSecret: secret.New(second.Secret),
			RedirectURIs: []string{servicetest.RedirectURI}, Scopes: servicetest.Scopes})
		if err != nil {
			t.Fatal(err)
		}
		first := k.connect()
		newer, created, err := k.create(k.ConsentTo(t, second.ID, user), func(in *connection.CreateInput) { in.App = &a.ID })
		if err != nil || !created {
			t.Fatalf("created %v, %v", created, err)
		}
		of := connection.Selector{Lookup: &connection.Lookup{Provider: "zoom", Kind: "USER", ExternalUserID: first.ExternalUserID}}
		if r, err := k.Connections.Credential(k.one.Ctx, of, nil); err != nil || r.Connection.ID != newer.ID {
			t.Errorf("got %+v, %v", r, err)
		}
		if _, err := k.Zoom.EndGrants(user, second.ID, ""); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			k.Clock.Advance(2 * time.Hour)
			k.read(newer.ID)
		}
		if r, err := k.Connections.Credential(k.one.Ctx, of, nil); err != nil || r.Credential == nil || r.Connection.ID != first.ID {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

// TestMemoryIsNotTheAuthority: another process refreshes, disconnects or deletes, and this one does not go on serving what
// it remembers.
func TestMemoryIsNotTheAuthority(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
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
