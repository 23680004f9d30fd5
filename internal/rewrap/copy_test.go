package rewrap_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/rewrap"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/embedded"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
	"github.com/tokenkeep/tokenkeep/internal/vault/moving"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// move is a world whose processes know the source, both vaults, or the target, as open says when they start.
type move struct {
	t            *testing.T
	intoEmbedded bool
	server       *server.Server
	folder       string
	open         func(t testing.TB) vault.Vault

	old *servicetest.Service
	one *servicetest.Tenant
}

// eachMove runs the test in both directions on every database, against a real Vault server.
func eachMove(t *testing.T, test func(t *testing.T, m *move)) {
	t.Helper()
	for _, name := range []string{"into hashicorp", "into embedded"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servicetest.EachDatabase(t, func(t *testing.T, url string) {
				m := &move{t: t, intoEmbedded: name == "into embedded", folder: t.TempDir()}
				m.server = server.Start(t, server.Options{NoPepper: !m.intoEmbedded})
				m.open = m.source
				budgets := grant.Budgets{Provider: 10 * time.Second, Commit: 20 * time.Millisecond, Claim: 20 * time.Second}
				m.old = servicetest.New(t, url, servicetest.Options{Budgets: &budgets, OpenVault: func(t testing.TB) vault.Vault { return m.open(t) }})
				m.one = m.old.Tenant(t, "one")
				test(t, m)
			})
		})
	}
}

func (m *move) embedded(t testing.TB) vault.Movable {
	t.Helper()
	v, err := embedded.Open(t.Context(), embedded.Options{Path: filepath.Join(m.folder, "vault.db"), RootKey: secret.NewBytes(bytes.Repeat([]byte{7}, 32))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func (m *move) hashicorp(t testing.TB) vault.Movable {
	t.Helper()
	v, err := hashicorp.Open(t.Context(), hashicorp.Options{
		Address: m.server.Address(), Login: hashicorp.Login{Token: secret.New(m.server.Token())}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func (m *move) pair(t testing.TB) *moving.Vault {
	if m.intoEmbedded {
		return moving.New(m.hashicorp(t), m.embedded(t))
	}
	return moving.New(m.embedded(t), m.hashicorp(t))
}

func (m *move) source(t testing.TB) vault.Vault {
	if m.intoEmbedded {
		return m.hashicorp(t)
	}
	return m.embedded(t)
}

func (m *move) both(t testing.TB) vault.Vault {
	v := m.pair(t)
	if err := v.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	return v
}

func (m *move) target(t testing.TB) vault.Vault {
	v := m.pair(t).To()
	if err := vault.CheckAlone(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	return v
}

// process starts a process that opens its vault so.
func (m *move) process(open func(testing.TB) vault.Vault) *servicetest.Service {
	m.t.Helper()
	m.open = open
	return m.old.Process(m.t)
}

// copier is a copy by a process of its own.
func (m *move) copier() *rewrap.Copy {
	return rewrap.NewCopy(rewrap.CopyOptions{DB: m.old.DB, Vault: m.pair(m.t), Lock: time.Millisecond, Batch: 3})
}

func (m *move) prepare() {
	m.t.Helper()
	for range 2 {
		if err := m.copier().Prepare(m.t.Context(), false); err != nil {
			m.t.Fatal(err)
		}
	}
}

// finish copies, verifies and declares the move finished.
func (m *move) finish() rewrap.CopyProgress {
	m.t.Helper()
	c := m.copier()
	did, err := c.Run(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	m.verified(c, 0)
	if err := c.Finish(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	return did
}

// verified fails unless a verification finds so much.
func (m *move) verified(c *rewrap.Copy, want int) rewrap.CopyVerified {
	m.t.Helper()
	var all []rewrap.CopyFinding
	got, err := c.Verify(m.t.Context(), func(f rewrap.CopyFinding) error { all = append(all, f); return nil })
	if err != nil || got.Findings != want || len(all) != want {
		m.t.Fatalf("got %+v, %v, findings %v, want %d", got, err, all, want)
	}
	return got
}

// lives fails unless a process opens what lives at the provider, and refreshes it.
func (m *move) lives(s *servicetest.Service, user string, connectionID uuid.UUID) {
	m.t.Helper()
	for range 2 {
		row := s.Row(m.t, connectionID)
		if row == nil || row.State != connection.StateCONNECTED || row.FailureClass != "" {
			m.t.Fatalf("%s: got %+v", user, row)
		}
		opened, err := s.Connections.Keeper().Open(m.one.Ctx, row)
		if err != nil {
			m.t.Fatalf("%s: opening: %v", user, err)
		}
		sum := sha256.Sum256([]byte(opened.Set.RefreshToken.Reveal()))
		all := s.Ledger(user)
		if g := all[len(all)-1]; g.Status != zoomsim.GrantLive || g.RefreshTokenSHA256 != hex.EncodeToString(sum[:]) {
			m.t.Fatalf("%s: generation %d is stored and is not what lives at the provider: %s %s", user, opened.Generation, g.Status, g.EndedReason)
		}
		if _, err := s.Connections.Keeper().Refresh(m.one.Ctx, row.ID, grant.Wanted{IfGeneration: row.Generation, Now: true}); err != nil {
			m.t.Fatalf("%s: refreshing: %v", user, err)
		}
		s.Clock.Advance(time.Minute)
	}
}

// TestCopy moves everything that there is to move, once.
func TestCopy(t *testing.T) {
	eachMove(t, func(t *testing.T, m *move) {
		k := &kit{Service: m.old, t: t, one: m.one}
		before := k.connect(7)
		attempt, job := k.parked()
		// One waits in escrow, sealed under the source.
		m.old.Vault.Before("WriteRecord", servicetest.Fail(vault.ErrUnavailable))
		_, _ = m.old.Connections.Keeper().Refresh(m.one.Ctx, before[0].ID, grant.Wanted{IfGeneration: 1})
		m.old.Vault.Before("WriteRecord", nil)
		if !m.old.Row(t, before[0].ID).Escrowed {
			t.Fatal("nothing waits in escrow")
		}
		if _, err := m.old.Tenancy.RotateKey(servicetest.Operator(t, uuid.Nil), m.one.ID); err != nil {
			t.Fatal(err)
		}
		if err := m.pair(t).Check(t.Context()); !errors.Is(err, vault.ErrMoving) {
			t.Errorf("not prepared: got %v", err)
		}
		m.prepare()
		both := m.process(m.both)
		_, err := both.Tenancy.RotateKey(servicetest.Operator(t, uuid.Nil), m.one.ID)
		if err == nil || !errors.Is(err, vault.ErrMoving) {
			t.Errorf("rotating: got %v", err)
		}
		during := both.Connect(t, m.one, "during")
		// Seven records are in the source and so not in the target, where one is not missed, because a newer one waits in escrow; four
		// values are sealed in the database: client secret, answer, revocation and escrow.
		if got := m.verified(m.copier(), 7+6+4); got.Connections != 8 {
			t.Errorf("got %+v", got)
		}

		did := m.finish()
		if did.Records != 7 || did.Values != 4 {
			t.Errorf("got %+v", did)
		}
		if err := vault.CheckAlone(t.Context(), m.pair(t).From()); !errors.Is(err, vault.ErrMoving) {
			t.Errorf("the source alone: got %v", err)
		}
		both.Clock.Advance(time.Minute)
		m.lives(both, "during", during.ID)

		alone := m.process(m.target)
		after := alone.Connect(t, m.one, "after")
		alone.Clock.Advance(time.Minute)
		if _, err := grant.NewSweeper(alone.Connections.Keeper(), 0).RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, c := range before {
			m.lives(alone, fmt.Sprintf("user%d", i), c.ID)
		}
		m.lives(alone, "during", during.ID)
		m.lives(alone, "after", after.ID)
		if _, err := alone.Tenancy.Authenticate(t.Context(), m.one.Key); err != nil {
			t.Errorf("the API key: %v", err)
		}
		k.unseals(alone, attempt, job)
		if row := k.tenantRow(); row.KeyVersion != 1 && !m.intoEmbedded {
			t.Errorf("the tenant's row says key version %d", row.KeyVersion)
		}
		if version, err := alone.Vault.RotateKey(t.Context(), m.one.ID); err != nil || version != 2 {
			t.Errorf("rotating afterwards: version %d, %v", version, err)
		}
	})
}

// TestForgottenProcess has a process that nobody told of the move make records in the source to its end: what it had begun when
// the move is declared finished is moved, too, and after that it is told.
func TestForgottenProcess(t *testing.T) {
	eachMove(t, func(t *testing.T, m *move) {
		forgotten := m.source(t)
		record := func(ref vault.Ref) vault.Record {
			dk, err := forgotten.NewDataKey(t.Context(), ref.Tenant)
			if err != nil {
				t.Fatal(err)
			}
			r, err := vault.SealRecord(dk, ref, vault.Header{Generation: 1, Attempt: uuid.New(), Origin: "exchange"}, secret.NewBytes([]byte("late")))
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		late, later := vault.Ref{Tenant: m.one.ID, Connection: uuid.New()}, vault.Ref{Tenant: m.one.ID, Connection: uuid.New()}
		if _, _, err := forgotten.ReadRecord(t.Context(), late); !errors.Is(err, vault.ErrNotFound) {
			t.Fatal(err)
		}
		m.prepare()
		finishing, waited := false, 0
		c := rewrap.NewCopy(rewrap.CopyOptions{DB: m.old.DB, Vault: m.pair(t), Lock: time.Millisecond, Batch: 3, Report: func(p rewrap.CopyProgress) {
			if !finishing || !p.Waiting {
				return
			}
			if waited++; waited > 1 {
				return
			}
			if _, err := forgotten.WriteRecord(t.Context(), late, record(late), 0); err != nil {
				t.Error(err)
			}
		}})
		if _, err := c.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.verified(c, 0)
		finishing = true
		if err := c.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if waited == 0 {
			t.Error("what was under way is not waited for")
		}
		if _, _, err := forgotten.ReadRecord(t.Context(), later); !errors.Is(err, vault.ErrUnavailable) || errors.Is(err, vault.ErrNotFound) {
			t.Errorf("beginning a record in what was left: got %v", err)
		}
		target := m.target(t)
		r, _, err := target.ReadRecord(t.Context(), late)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := vault.OpenRecord(t.Context(), target, late, r); err != nil {
			t.Error(err)
		}
		waited = 0
		if err := c.Finish(t.Context()); err != nil || waited != 0 {
			t.Errorf("finished once more: %v, after %d waits", err, waited)
		}
	})
}

// TestAnotherSource names a vault as the source that is not the service's: nothing may be said to have moved out of it.
func TestAnotherSource(t *testing.T) {
	eachMove(t, func(t *testing.T, m *move) {
		m.old.Connect(t, m.one, "ada")
		right, folder := m.server, m.folder
		if m.intoEmbedded {
			m.server = server.Start(t, server.Options{})
		} else {
			m.folder = t.TempDir()
		}
		c := m.copier()
		if err := c.Prepare(t.Context(), false); !errors.Is(err, vault.ErrNoKey) || !strings.Contains(err.Error(), "TOKENKEEP_VAULT_FROM") {
			t.Errorf("preparing: got %v", err)
		}
		if same, err := m.pair(t).SamePepper(t.Context()); err == nil && same {
			t.Error("another vault's pepper was carried")
		}
		if got, err := c.Verify(t.Context(), func(rewrap.CopyFinding) error { return nil }); err == nil && got.Findings == 0 {
			t.Errorf("verifying: got %+v", got)
		}

		// Where it is the right one and a tenant's key is in neither vault, the move is not finished in silence.
		m.server, m.folder = right, folder
		two := m.old.Tenant(t, "two")
		m.prepare()
		if err := m.pair(t).DestroyKey(t.Context(), two.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := m.copier().Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.verified(m.copier(), 1)
	})
}

// TestTurnBack begins a move and takes it back: the vault that was to be left has everything again.
func TestTurnBack(t *testing.T) {
	eachMove(t, func(t *testing.T, m *move) {
		c := m.old.Connect(t, m.one, "ada")
		m.prepare()
		both := m.process(m.both)
		moved := both.Connect(t, m.one, "bob")
		both.Clock.Advance(time.Minute)
		m.lives(both, "ada", c.ID)

		m.intoEmbedded = !m.intoEmbedded
		if err := m.copier().Prepare(t.Context(), false); !errors.Is(err, vault.ErrMoving) {
			t.Errorf("without being told: got %v", err)
		}
		if _, err := m.copier().Run(t.Context()); !errors.Is(err, vault.ErrMoving) {
			t.Errorf("copying the wrong way: got %v", err)
		}
		if err := m.copier().Prepare(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		m.finish()
		alone := m.process(m.target)
		m.lives(alone, "ada", c.ID)
		m.lives(alone, "bob", moved.ID)
	})
}

// unseals fails unless what parked made opens in the process.
func (k *kit) unseals(s *servicetest.Service, attempt, job uuid.UUID) {
	k.t.Helper()
	ctx := k.one.System(k.t)
	a, err := s.DB.Ent.GrantAttempt.Get(ctx, attempt)
	if err != nil {
		k.t.Fatal(err)
	}
	j, err := s.DB.Ent.RevocationJob.Get(ctx, job)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, c := range []struct {
		purpose vault.Purpose
		object  uuid.UUID
		sealed  []byte
	}{{vault.PurposeAnswer, attempt, a.Answer}, {vault.PurposeRevocation, job, j.Sealed}} {
		if len(c.sealed) == 0 {
			continue
		}
		got, err := vault.Unseal(k.t.Context(), s.Vault, vault.Place{Tenant: k.one.ID, Purpose: c.purpose, Object: c.object}, c.sealed)
		if err != nil || !got.Equal(secret.NewBytes([]byte("value"))) {
			k.t.Errorf("%s: %v", c.purpose, err)
		}
	}
}

// moveStorm is a random run beside a copy.
type moveStorm struct {
	*move
	mu    sync.Mutex
	rng   *rand.Rand
	users []string
}

func (s *moveStorm) intn(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n)
}

// TestCopyStorm repeats with REWRAPTEST_SEED: processes that know the source alone and such that know both connect, read,
// refresh, delete and sweep, while two copies run, are cut off and begin again. The provider's ledger judges.
func TestCopyStorm(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("REWRAPTEST_SEED"); text != "" {
		parsed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("REWRAPTEST_SEED: %v", err)
		}
		seed = parsed
	}
	t.Logf("repeat with REWRAPTEST_SEED=%d", seed)
	eachMove(t, func(t *testing.T, m *move) {
		s := &moveStorm{move: m, rng: rand.New(rand.NewPCG(seed, 1))}
		for i := range 8 {
			s.users = append(s.users, fmt.Sprintf("user%d", i))
			if i < 6 {
				m.old.Connect(t, m.one, s.users[i])
			}
		}
		m.old.Clock.Advance(time.Minute)
		m.old.Clock.Tick(time.Microsecond)
		m.prepare()
		processes := []*servicetest.Service{m.old, m.process(m.both), m.process(m.both)}
		ctx, stop := context.WithCancel(t.Context())
		var copies, steps sync.WaitGroup
		for range 2 {
			copies.Go(func() { s.copyAgainAndAgain(ctx) })
		}
		for i := range 6 {
			steps.Go(func() {
				for range 30 {
					s.step(processes[i%3])
				}
			})
		}
		steps.Wait()
		stop()
		copies.Wait()
		s.end(processes[1])
	})
}

// copyAgainAndAgain copies, each time until it is cut off.
func (s *moveStorm) copyAgainAndAgain(ctx context.Context) {
	for ctx.Err() == nil {
		cut, cancel := context.WithTimeout(ctx, time.Duration(1+s.intn(60))*time.Millisecond)
		c := s.copier()
		_, err := c.Run(cut)
		if err != nil && cut.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			s.t.Errorf("copying: %v", err)
		}
		cancel()
	}
}

// step does one random thing; what it answers does not matter.
func (s *moveStorm) step(p *servicetest.Service) {
	ctx, user := s.one.Ctx, s.users[s.intn(len(s.users))]
	s.old.Clock.Advance(time.Second)
	row := s.find(user)
	switch n := s.intn(20); {
	case row == nil, n < 2:
		code := s.old.Consent(s.t, user)
		for range 3 { // as a caller who got no answer
			if _, _, err := p.Connections.Create(ctx, s.one.CodeInput(code)); err == nil {
				return
			}
		}
	case n < 4:
		_ = p.Connections.Delete(ctx, row.ID)
	case n < 6:
		_, _ = grant.NewSweeper(p.Connections.Keeper(), 0).RunOnce(s.t.Context())
	case n < 10:
		_, _ = p.Connections.Keeper().Open(ctx, row)
	default:
		_, _ = p.Connections.Keeper().Refresh(ctx, row.ID, grant.Wanted{IfGeneration: row.Generation, Now: n%2 == 0})
	}
}

// find is the user's connection; nil where there is none.
func (s *moveStorm) find(user string) *ent.Connection {
	u, _ := s.old.Zoom.User(user)
	row, err := s.old.DB.Ent.Connection.Query().Where(connection.ExternalUserID(u.ID)).Only(tenant.System(s.t.Context(), uuid.Nil))
	if err != nil && !ent.IsNotFound(err) {
		s.t.Errorf("reading: %v", err)
	}
	return row
}

// end lets everything come to its end, finishes the move and compares what is believed of each user with what is so.
func (s *moveStorm) end(both *servicetest.Service) {
	settle := func(p *servicetest.Service) {
		for range 4 {
			s.old.Clock.Advance(20 * time.Minute)
			if _, err := grant.NewSweeper(p.Connections.Keeper(), 0).RunOnce(s.t.Context()); err != nil {
				s.t.Fatalf("sweeping: %v", err)
			}
		}
	}
	settle(both)
	did := s.finish()
	alone := s.process(s.target)
	settle(alone)
	for _, user := range s.users {
		row, grants := s.find(user), s.old.Ledger(user)
		switch {
		case row != nil:
			s.lives(alone, user, row.ID)
		case len(grants) > 0 && grants[len(grants)-1].Status == zoomsim.GrantLive:
			s.t.Errorf("%s was deleted and lives at the provider", user)
		}
	}
	if l := s.old.Zoom.Ledger().Totals; l.Duplicates != 0 || l.MaxConcurrentRefreshes > 1 {
		s.t.Errorf("got %+v", l)
	}
	s.t.Logf("the last copy moved %d records and %d values; the provider says %+v", did.Records, did.Values, s.old.Zoom.Ledger().Totals)
}
