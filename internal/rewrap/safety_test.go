package rewrap_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/rewrap"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// TestAnInterruptedRotationEnds fails each call of the vault in turn, before and after it did its work, and lets another
// process go on.
func TestAnInterruptedRotationEnds(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		all := k.connect(4)
		k.parked()
		version := 1
		for _, after := range []bool{false, true} {
			for n := 1; ; n++ {
				k.rotate()
				version++
				if k.interrupted(n, after) {
					break
				}
				k.elapse()
				k.complete()
				k.wantInfo(version, version)
				for _, c := range all {
					k.opens(c)
				}
			}
			k.elapse()
			if version < 8 {
				t.Errorf("only %d calls were failed", version)
			}
		}
		if err := k.refresh(all[0]); err != nil {
			t.Error(err)
		}
	})
}

// interrupted runs until the nth call fails; true where there are fewer calls than that.
func (k *kit) interrupted(n int, after bool) bool {
	k.t.Helper()
	s := k.on(&failing{Vault: k.Vault, n: n, after: after})
	for range 1000 {
		did, err := s.RunOnce(k.t.Context())
		switch {
		case errors.Is(err, errInjected):
			return false
		case err != nil:
			k.t.Fatal(err)
		case did.Finished > 0:
			return true
		case did.Rounds == 0:
			k.elapse()
		}
	}
	k.t.Fatal("the rounds have no end")
	return false
}

// TestACrashBetweenVaultAndRow: the vault has a new version, and the process that ordered it is gone.
func TestACrashBetweenVaultAndRow(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect(1)[0]
		if err := rewrap.Request(t.Context(), k.DB.Ent, k.one.ID, time.Now().UTC()); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Vault.RotateKey(t.Context(), k.one.ID); err != nil {
			t.Fatal(err)
		}
		k.complete()
		k.wantInfo(2, 2)
		if got := k.tenantRow().KeyVersion; got != 2 {
			t.Errorf("the row says version %d, want 2", got)
		}
		k.opens(c)
	})
}

// TestAKilledProcessKeepsItsLease: nobody is at it while the lease lasts, anybody afterwards.
func TestAKilledProcessKeepsItsLease(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		k.connect(1)
		k.rotate()
		_, err := k.DB.SQL().ExecContext(t.Context(), `UPDATE key_rotations SET owner = $1, until_ms = `+k.DB.NowMillis()+` + 60000`, uuid.New())
		if err != nil {
			t.Fatal(err)
		}
		if did := k.run(); did.Rounds != 0 {
			t.Errorf("got %+v beside a lease that lasts", did)
		}
		k.elapse()
		k.complete()
		k.wantInfo(2, 2)
	})
}

// TestALateWriterKeepsTheMinimum: a refresh that took its data key before the rotation answers after the first pass.
func TestALateWriterKeepsTheMinimum(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect(2)[0]
		gate := servicetest.NewGate()
		k.OAuth.Before("Refresh", servicetest.Times(1, gate.Hook))
		done := make(chan error, 1)
		go func() { done <- k.refresh(c) }()
		<-gate.Arrived // its data key is in its hand
		k.rotate()
		k.run()
		k.elapse()
		if did := k.run(); did.Finished != 0 || did.Stale != 0 {
			t.Errorf("got %+v while a refresh holds an old data key, want no end", did)
		}
		k.wantInfo(2, 1)
		gate.Open()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := k.record(c.ID).Key.Version; got != 1 {
			t.Fatalf("the late record is under version %d: the test proves nothing", got)
		}
		k.elapse()
		if did := k.run(); did.Stale != 1 || did.Rewrapped != 1 || did.Finished != 0 {
			t.Errorf("got %+v, want the late record re-wrapped, and no end", did)
		}
		k.elapse()
		if did := k.run(); did.Finished != 1 {
			t.Errorf("got %+v, want the end", did)
		}
		k.wantInfo(2, 2)
		k.opens(c)
	})
}

// TestWhatDoesNotOpenKeepsTheMinimum: a value under an older version that nobody can re-wrap.
func TestWhatDoesNotOpenKeepsTheMinimum(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		_, job := k.parked()
		k.rotate()
		broken, err := vault.WithWrappedKey(k.seal(vault.PurposeRevocation, job).Bytes, vault.WrappedKey{Version: 1, Bytes: []byte("no key")})
		if err != nil {
			t.Fatal(err)
		}
		if err := k.DB.Ent.RevocationJob.UpdateOneID(job).SetSealed(broken.Bytes).SetKeyVersion(1).Exec(k.one.System(t)); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if did := k.run(); did.Finished != 0 {
				t.Fatalf("got %+v", did)
			}
			k.elapse()
		}
		k.wantInfo(2, 1)
		if err := k.DB.Ent.RevocationJob.DeleteOneID(job).Exec(k.one.System(t)); err != nil {
			t.Fatal(err)
		}
		k.complete()
		k.wantInfo(2, 2)
	})
}

// TestAnEscrowIsRewrapped: what waits for the vault is moved where it waits, and lands.
func TestAnEscrowIsRewrapped(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect(1)[0]
		k.Vault.Before("WriteRecord", servicetest.Fail(vault.ErrUnavailable))
		if err := k.refresh(c); err != nil {
			t.Fatal(err)
		}
		k.Vault.Before("WriteRecord", nil)
		if !k.Row(t, c.ID).Escrowed {
			t.Fatal("nothing is in escrow: the test proves nothing")
		}
		k.rotate()
		k.complete()
		k.wantInfo(2, 2)
		row, err := k.DB.Ent.Escrow.Get(k.one.System(t), c.ID)
		if err != nil || row.KeyVersion != 2 {
			t.Fatalf("got %+v, %v, want version 2", row, err)
		}
		k.opens(c)
		if err := k.refresh(c); err != nil {
			t.Error(err)
		}
		k.opens(c)
	})
}

// TestRotationsBesideEverything rotates again and again while connections are made, refreshed, escrowed and deleted, by two
// re-wrappers. Every connection that lives opens afterwards, and nothing is left under an older version.
func TestRotationsBesideEverything(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		all := k.connect(6)
		gone := sync.Map{}
		var work sync.WaitGroup
		for w, c := range all {
			work.Go(func() { k.use(rand.New(rand.NewPCG(seed, uint64(w))), c, &gone) })
		}
		stop := make(chan struct{})
		var loops sync.WaitGroup
		for range 2 {
			loops.Go(func() { k.keepRewrapping(stop) })
		}
		for range 4 {
			k.rotate()
		}
		work.Wait()
		close(stop)
		loops.Wait()
		k.rotate()
		k.complete()
		k.wantInfo(6, 6)
		for _, c := range all {
			if _, deleted := gone.Load(c.ID); !deleted {
				k.opens(c)
				if got := k.record(c.ID).Key.Version; got != 6 && !k.Row(t, c.ID).Escrowed {
					t.Errorf("a record is under version %d, want 6", got)
				}
			}
		}
	})
}

// use refreshes a connection, with the vault away at times, and may delete it in the end.
func (k *kit) use(random *rand.Rand, c *ent.Connection, gone *sync.Map) {
	for range 6 {
		if random.IntN(4) == 0 {
			k.Vault.Before("WriteRecord", servicetest.Times(1, servicetest.Fail(vault.ErrUnavailable)))
		}
		// The failed write may be that of an escrow which lands before anything is spent: then nothing was, and the caller is
		// told to come back.
		if err := k.refresh(c); err != nil && !errs.Is(err, errs.VaultUnavailable) {
			k.t.Errorf("refreshing: %v", err)
		}
	}
	if random.IntN(3) > 0 {
		return
	}
	gone.Store(c.ID, true)
	if err := k.Connections.Delete(k.one.Ctx, c.ID); err != nil {
		k.t.Errorf("deleting: %v", err)
	}
	k.Connect(k.t, k.one, "new-"+id.New().String()[24:])
}

// keepRewrapping does rounds, past the waits, and stops short of what cannot be undone: the refreshes of the test are
// slower than the waits that it leaves out.
func (k *kit) keepRewrapping(stop chan struct{}) {
	s := k.on(noMinimum{k.Vault})
	for {
		select {
		case <-stop:
			return
		default:
		}
		// A write to the vault may be made to fail by the hook that is meant for refreshes.
		if _, err := s.RunOnce(k.t.Context()); err != nil && !errors.Is(err, vault.ErrUnavailable) {
			k.t.Errorf("re-wrapping: %v", err)
			return
		}
		if _, err := k.DB.SQL().ExecContext(k.t.Context(), `UPDATE key_rotations SET not_before_ms = 0`); err != nil {
			k.t.Error(err)
			return
		}
	}
}

// noMinimum is a vault whose minimum version stays.
type noMinimum struct{ vault.Vault }

func (noMinimum) SetMinVersion(context.Context, uuid.UUID, int) error { return nil }
