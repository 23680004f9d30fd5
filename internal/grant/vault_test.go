package grant_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/escrow"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// TestVaultAwayBeforeTheSpend: whatever part of reserving fails, nothing is spent and the connection is not touched.
func TestVaultAwayBeforeTheSpend(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		for _, method := range []string{"ReadRecord", "UnwrapDataKeys", "NewDataKey"} {
			k.Vault.Before(method, servicetest.Fail(vault.ErrUnavailable))
			_, err := k.refresh(c)
			wantKind(t, err, errs.VaultUnavailable)
			k.Vault.Before(method, nil)
			row := k.safe(c, 1)
			if row.LastAttemptedAt != nil || !row.UpdatedAt.Equal(c.UpdatedAt) {
				t.Errorf("%s: the row was touched", method)
			}
		}
		k.rotations(0)
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
	})
}

// awayAfterRefresh makes the vault unavailable between the provider's answer and the write.
func (k *kit) awayAfterRefresh() (back func()) {
	k.OAuth.After("Refresh", func(context.Context) error {
		k.Vault.Away()
		return nil
	})
	return func() {
		k.OAuth.After("Refresh", nil)
		k.Vault.Away()()
	}
}

// escrowed fails unless n records wait in escrow.
func (k *kit) escrowed(n int) {
	k.t.Helper()
	if got, err := k.DB.Ent.Escrow.Query().Count(k.all()); err != nil || got != n {
		k.t.Fatalf("%d records wait in escrow, %v, want %d", got, err, n)
	}
}

// TestVaultAwayAfterTheAnswer: the record waits in escrow. Readers are served from there as soon as the vault opens it,
// and it lands with the sweeper, or before the next spend.
func TestVaultAwayAfterTheAnswer(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		for _, test := range []struct {
			user string
			land func(c *ent.Connection, generation int64)
		}{
			{"swept", func(c *ent.Connection, generation int64) {
				if got := k.sweep(); got.Escrows != 1 {
					t.Errorf("got %+v, want one escrow", got)
				}
			}},
			{"spent", func(c *ent.Connection, generation int64) {
				out, err := k.refresh(k.Row(t, c.ID))
				k.refreshed(out, err, generation+1)
			}},
		} {
			c := k.Connect(t, k.one, test.user)
			back := k.awayAfterRefresh()
			out, err := k.refresh(c)
			k.refreshed(out, err, 2)
			row := k.Row(t, c.ID)
			if !row.Escrowed || row.Generation != 2 || row.State != connection.StateCONNECTED {
				t.Fatalf("got %+v", row)
			}
			k.escrowed(1)
			if _, err := k.Connections.Keeper().Open(k.one.Ctx, row); !errs.Is(err, errs.VaultUnavailable) {
				t.Errorf("reading while the vault is away: got %v", err)
			}
			back()
			opened, err := k.Connections.Keeper().Open(k.one.Ctx, row)
			if err != nil || opened.Generation != 2 || !opened.Set.AccessToken.Equal(out.Set.AccessToken) {
				t.Errorf("reading from escrow: got generation %d, %v", opened.Generation, err)
			}
			test.land(row, 2)
			k.escrowed(0)
			row = k.Row(t, c.ID)
			if row.Escrowed {
				t.Error("the row still says that the record waits")
			}
			h, _, err := k.Vault.ReadRecord(t.Context(), k.ref(c))
			if err != nil || h.Generation != row.Generation || h.Attempt == uuid.Nil {
				t.Errorf("the vault holds generation %d, the row %d, %v", h.Generation, row.Generation, err)
			}
			if n := k.Locks(t); n != 0 {
				t.Errorf("%d locks are left", n)
			}
		}
	})
}

// TestVaultComesBackWithinTheBudget: a short absence is not worth an escrow.
func TestVaultComesBackWithinTheBudget(t *testing.T) {
	budgets := grant.Budgets{Provider: 10 * time.Second, Commit: 10 * time.Second}
	eachWith(t, servicetest.Options{Budgets: &budgets}, func(t *testing.T, k *kit) {
		c := k.connect()
		k.Vault.Before("WriteRecord", servicetest.Times(2, servicetest.Fail(vault.ErrUnavailable)))
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		k.escrowed(0)
		k.safe(c, 2)
	})
}

// TestVaultThatHangs: what exists in memory only does not wait for a vault that takes the call and does not answer. The
// cap of other calls is far away here: only a write that has one of its own ends.
func TestVaultThatHangs(t *testing.T) {
	budgets := grant.Budgets{Provider: time.Minute, Commit: 50 * time.Millisecond, Write: 50 * time.Millisecond, Store: time.Hour, Lock: 2 * time.Minute}
	eachWith(t, servicetest.Options{Budgets: &budgets}, func(t *testing.T, k *kit) {
		c := k.connect()
		hang := func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("%w: %w", vault.ErrUnavailable, ctx.Err())
		}
		k.OAuth.After("Refresh", func(context.Context) error {
			k.Vault.Before("WriteRecord", hang)
			k.Vault.Before("ReadRecord", hang)
			return nil
		})
		out, err := k.refresh(c)
		k.Vault.Before("WriteRecord", nil)
		k.Vault.Before("ReadRecord", nil)
		k.refreshed(out, err, 2)
		k.escrowed(1)
		if got := k.sweep(); got.Escrows != 1 {
			t.Errorf("got %+v, want one escrow", got)
		}
		k.escrowed(0)
		k.safe(k.Row(t, c.ID), 2)
	})
}

// TestEscrowThatIsOlderThanTheHead: the higher generation wins.
func TestEscrowThatIsOlderThanTheHead(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		back := k.awayAfterRefresh()
		_, err := k.refresh(c)
		if err != nil {
			t.Fatal(err)
		}
		back()
		old, err := k.DB.Ent.Escrow.Query().Where(escrow.ID(c.ID)).Only(k.all())
		if err != nil {
			t.Fatal(err)
		}
		out, err := k.refresh(k.Row(t, c.ID))
		k.refreshed(out, err, 3)
		err = k.DB.Ent.Escrow.Create().SetID(old.ID).SetGeneration(old.Generation).SetAttemptID(old.AttemptID).
			SetRecord(old.Record).SetKeyVersion(old.KeyVersion).Exec(k.one.Ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.DB.Ent.Connection.UpdateOneID(c.ID).SetEscrowed(true).Exec(k.one.Ctx); err != nil {
			t.Fatal(err)
		}
		k.reachable(k.Row(t, c.ID))
		if got := k.sweep(); got.Escrows != 1 {
			t.Errorf("got %+v, want one escrow", got)
		}
		k.escrowed(0)
		k.safe(c, 3)
	})
}

// TestEscrowThatDoesNotOpen is dropped: over a head that opens it would end a living connection.
func TestEscrowThatDoesNotOpen(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c, spoilt := k.connect(), k.Connect(t, k.one, "bob")
		sealed, _, err := k.Vault.ReadRecord(t.Context(), k.ref(c)) // sealed for another connection
		if err != nil {
			t.Fatal(err)
		}
		sealed.Generation = 9
		encoded, err := sealed.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		for connectionID, record := range map[uuid.UUID][]byte{c.ID: encoded, spoilt.ID: []byte("nothing at all")} {
			err = k.DB.Ent.Escrow.Create().SetID(connectionID).SetGeneration(9).SetAttemptID(id.New()).SetRecord(record).SetKeyVersion(1).Exec(k.one.Ctx)
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := k.sweep(); got.Escrows != 2 {
			t.Errorf("got %+v, want two escrows", got)
		}
		k.escrowed(0)
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		k.safe(c, 2)
	})
}

// TestEscrowWhileTheVaultIsAway is left for later, as is the one of a grant that is locked.
func TestEscrowWhileTheVaultIsAway(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		back := k.awayAfterRefresh()
		if _, err := k.refresh(c); err != nil {
			t.Fatal(err)
		}
		if _, err := grant.NewSweeper(k.Connections.Keeper(), 0).RunOnce(t.Context()); err == nil {
			t.Error("a sweep without a vault succeeded")
		}
		_, err := k.refresh(k.Row(t, c.ID))
		wantKind(t, err, errs.VaultUnavailable)
		k.rotations(1)
		back()
		k.lockedBySomebody(c)
		if got := k.sweep(); got.Escrows != 0 {
			t.Errorf("got %+v", got)
		}
		k.escrowed(1)
		k.ExpireLocks(t)
		k.sweep()
		k.escrowed(0)
		k.safe(c, 2)
	})
}

// lockedBySomebody holds the grant's lock as a process elsewhere would.
func (k *kit) lockedBySomebody(c *ent.Connection) { k.lockRow(c, "", int64(1)<<60) }

// lockRow writes the grant's lock.
func (k *kit) lockRow(c *ent.Connection, spending string, until int64) {
	k.t.Helper()
	columns, values := "grant_key, owner, until_ms", "$1, $2, $3"
	args := []any{c.GrantKey, id.New(), until}
	if spending != "" {
		columns, values = columns+", spending_generation", values+", "+spending
	}
	if _, err := k.DB.SQL().ExecContext(k.t.Context(), "INSERT INTO grant_locks ("+columns+") VALUES ("+values+")", args...); err != nil {
		k.t.Fatal(err)
	}
}

// TestWriteLandedBehindAnError: the answer to the write was lost, not the write.
func TestWriteLandedBehindAnError(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.Vault.After("WriteRecord", servicetest.Times(1, servicetest.Fail(vault.ErrUnavailable)))
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		if got := k.Vault.Calls("WriteRecord"); got != 2 { // one of them made the connection
			t.Errorf("the record was written %d times", got-1)
		}
		k.safe(c, 2)
		k.escrowed(0)
	})
}

// TestWriteLandedAndTheVaultStaysAway: the record is in the vault and in escrow; it is one and the same.
func TestWriteLandedAndTheVaultStaysAway(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.Vault.After("WriteRecord", func(context.Context) error {
			k.Vault.Away()
			return vault.ErrUnavailable
		})
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		k.escrowed(1)
		k.Vault.After("WriteRecord", nil)
		k.Vault.Away()()
		k.reachable(k.Row(t, c.ID))
		k.sweep()
		k.escrowed(0)
		k.safe(c, 2)
	})
}

// meanwhile runs f once, right before the next record is written.
func (k *kit) meanwhile(f func()) {
	k.Vault.Before("WriteRecord", servicetest.Times(1, func(context.Context) error {
		f()
		return nil
	}))
}

// TestRewrappedMeanwhile: somebody re-wrapped the record between reserve and commit. It is written with the new number.
func TestRewrappedMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.meanwhile(func() { k.rewrite(c, func(r vault.Record) vault.Record { return r }) })
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		k.safe(c, 2)
		k.rotations(1)
	})
}

// TestSomebodyStoredANewerSet: a refresh adopts what it finds, drops its own and revokes nothing.
func TestSomebodyStoredANewerSet(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		var theirs uuid.UUID
		k.meanwhile(func() { theirs = k.storeNewer(c, 7) })
		out, err := k.refresh(c)
		k.refreshed(out, err, 7)
		h, _, err := k.Vault.ReadRecord(t.Context(), k.ref(c))
		if err != nil || h.Attempt != theirs || h.Generation != 7 {
			t.Errorf("the head is generation %d, %v", h.Generation, err)
		}
		if row := k.Row(t, c.ID); row.Generation != 7 || row.State != connection.StateCONNECTED {
			t.Errorf("got %+v", row)
		}
		if n := k.Locks(t); n != 0 {
			t.Errorf("%d locks are left", n)
		}
		if got := k.Zoom.Ledger().Totals.Revocations; got != 0 {
			t.Errorf("%d revocations", got)
		}
	})
}

// storeNewer stores the present tokens again as a later generation of another attempt.
func (k *kit) storeNewer(c *ent.Connection, generation int64) (attempt uuid.UUID) {
	k.t.Helper()
	ctx := k.t.Context()
	r, cas, err := k.Vault.Vault.ReadRecord(ctx, k.ref(c))
	if err != nil {
		k.t.Fatal(err)
	}
	plain, err := vault.OpenRecord(ctx, k.Vault.Vault, k.ref(c), r)
	if err != nil {
		k.t.Fatal(err)
	}
	key, err := k.Vault.Vault.NewDataKey(ctx, k.one.ID)
	if err != nil {
		k.t.Fatal(err)
	}
	attempt = id.New()
	r, err = vault.SealRecord(key, k.ref(c), vault.Header{Generation: generation, Attempt: attempt, Origin: "refresh"}, plain)
	if err != nil {
		k.t.Fatal(err)
	}
	if _, err := k.Vault.Vault.WriteRecord(ctx, k.ref(c), r, cas); err != nil {
		k.t.Fatal(err)
	}
	return attempt
}

// TestRefusedWhileSomebodyStored: a refusal does not count where the head moved.
func TestRefusedWhileSomebodyStored(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		if _, err := k.Zoom.EndGrants(user, "", ""); err != nil {
			t.Fatal(err)
		}
		k.OAuth.Before("Refresh", func(context.Context) error {
			k.storeNewer(c, 2)
			return nil
		})
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		if row := k.Row(t, c.ID); row.Generation != 2 || row.FailureClass != "" {
			t.Errorf("got %+v", row)
		}
	})
}

// TestVaultAwayBehindARefusal: the end of a spend stays unknown where it cannot be judged, and is named so later.
func TestVaultAwayBehindAnUnknown(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		var calls atomic.Int64
		k.OAuth.After("Refresh", func(context.Context) error { // the provider has rotated
			if calls.Add(1) == 1 {
				return context.DeadlineExceeded
			}
			return nil
		})
		k.Vault.Before("ReadRecord", func(context.Context) error {
			if calls.Load() > 0 {
				return vault.ErrUnavailable
			}
			return nil
		})
		_, err := k.refresh(c)
		wantKind(t, err, errs.VaultUnavailable)
		if row := k.Row(t, c.ID); row.FailureClass != "" {
			t.Errorf("a fault of ours was written into the row: %s", row.FailureReason)
		}
		k.Vault.Before("ReadRecord", nil)
		k.OAuth.After("Refresh", nil)
		k.failed(k.refresh(c))
		k.failing(c, connection.StateCONNECTED, "REFRESH_INTERRUPTED")
	})
}
