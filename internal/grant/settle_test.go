package grant_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"entgo.io/ent/dialect"

	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// breakWrites makes every change of a table fail until mend is called.
func (k *kit) breakWrites(table string) (mend func()) {
	k.t.Helper()
	broken := []string{"CREATE TRIGGER broken BEFORE UPDATE ON " + table + " BEGIN SELECT RAISE(ABORT, 'broken on purpose'); END"}
	mended := []string{"DROP TRIGGER broken"}
	if k.DB.Dialect == dialect.Postgres {
		broken = []string{
			"CREATE FUNCTION broken() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'broken on purpose'; END $$ LANGUAGE plpgsql",
			"CREATE TRIGGER broken BEFORE UPDATE ON " + table + " FOR EACH ROW EXECUTE FUNCTION broken()",
		}
		mended = []string{"DROP TRIGGER broken ON " + table, "DROP FUNCTION broken"}
	}
	k.exec(broken...)
	return func() { k.exec(mended...) }
}

func (k *kit) exec(statements ...string) {
	k.t.Helper()
	for _, s := range statements {
		if _, err := k.DB.SQL().ExecContext(context.WithoutCancel(k.t.Context()), s); err != nil {
			k.t.Errorf("%s: %v", s, err)
		}
	}
}

// said is a log handler that tells of each message with a text.
type said struct {
	slog.Handler
	text string
	ch   chan struct{}
}

func listen(text string) said {
	return said{Handler: slog.NewTextHandler(io.Discard, nil), text: text, ch: make(chan struct{}, 100)}
}

// Handle implements slog.Handler.
func (s said) Handle(_ context.Context, r slog.Record) error {
	if r.Message == s.text {
		s.ch <- struct{}{}
	}
	return nil
}

// TestSettlementIsTriedUntilItWorks: the database refuses for a while after the provider has answered.
func TestSettlementIsTriedUntilItWorks(t *testing.T) {
	for name, away := range map[string]bool{"record in the vault": false, "record in escrow": true} {
		t.Run(name, func(t *testing.T) {
			tried := listen("storing failed and is tried again")
			eachWith(t, servicetest.Options{Logger: slog.New(tried)}, func(t *testing.T, k *kit) {
				c := k.connect()
				mend, back := k.breakWrites("connections"), func() {}
				if away {
					back = k.awayAfterRefresh()
				}
				wait := async(func() (grant.Refreshed, error) { return k.refresh(c) })
				<-tried.ch
				mend()
				out, err := wait()
				k.refreshed(out, err, 2)
				back()
				k.sweep()
				k.safe(c, 2)
				k.escrowed(0)
			})
		})
	}
}

// TestSettlementGivesUpWhereTheVaultHasIt: what is in the vault can be picked up by anybody, so nobody holds the lock for
// ever; without it the settlement would wait for the database as long as the process lives.
func TestSettlementGivesUpWhereTheVaultHasIt(t *testing.T) {
	budgets := grant.Budgets{Provider: 200 * time.Millisecond, Commit: 50 * time.Millisecond, Lock: 1500 * time.Millisecond}
	eachWith(t, servicetest.Options{Budgets: &budgets}, func(t *testing.T, k *kit) {
		c := k.Connect(t, k.one, user)
		mend := k.breakWrites("connections")
		_, err := k.refresh(c)
		wantKind(t, err, errs.VaultUnavailable)
		mend()
		out, err := k.refresh(c)
		k.refreshed(out, err, 2) // reconciled: nothing was spent
		k.rotations(1)
		k.safe(c, 2)
	})
}

// TestVerdictThatCannotBeWritten: the failure is not in the row, and the next attempt is as careful as this one was.
func TestVerdictThatCannotBeWritten(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		mend := k.breakWrites("connections")
		k.OAuth.After("Refresh", servicetest.Times(1, servicetest.Fail(context.DeadlineExceeded)))
		_, err := k.refresh(c)
		wantKind(t, err, errs.VaultUnavailable)
		mend()
		k.failed(k.refresh(c))
		k.failing(c, connection.StateCONNECTED, "REFRESH_INTERRUPTED")
	})
}

// TestTakenOverWhileSettling: the process was frozen for longer than the lock; somebody else has it now. What is in the
// vault stands, and the other's lock is not touched.
func TestTakenOverWhileSettling(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.Vault.After("WriteRecord", servicetest.Times(1, func(context.Context) error {
			k.exec("DELETE FROM grant_locks")
			k.lockedBySomebody(c)
			return nil
		}))
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		if n := k.Locks(t); n != 1 {
			t.Errorf("%d locks, want the other's", n)
		}
		k.exec("DELETE FROM grant_locks")
		k.safe(c, 2)
	})
}

// TestTakenOverWhileJudging: a verdict of one who lost the lock is not written.
func TestTakenOverWhileJudging(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		if _, err := k.Zoom.EndGrants(user, "", ""); err != nil {
			t.Fatal(err)
		}
		k.OAuth.Before("Refresh", func(context.Context) error {
			k.exec("DELETE FROM grant_locks")
			k.lockedBySomebody(c)
			return nil
		})
		if _, err := k.refresh(c); !errors.Is(err, grant.ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
		if row := k.Row(t, c.ID); row.FailureClass != "" {
			t.Errorf("got %s", row.FailureReason)
		}
	})
}

// TestLockIsLostBeforeTheSpend: who lost the lock, or the connection, does not call the provider.
func TestLockIsLostBeforeTheSpend(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.Vault.After("NewDataKey", func(context.Context) error {
			k.ExpireLocks(t)
			return nil
		})
		if _, err := k.refresh(c); !errors.Is(err, grant.ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
		if got := k.OAuth.Calls("Refresh"); got != 0 {
			t.Errorf("the provider was called %d times", got)
		}
		k.Vault.After("NewDataKey", nil)
		k.safe(c, 1)
	})
}

// TestLateAnswerBeatsAVerdict: a process is frozen with the provider's answer in hand. Another one takes over, spends the
// old token and is refused; while it judges, the first wakes up and stores. The verdict is on a generation that is past.
func TestLateAnswerBeatsAVerdict(t *testing.T) {
	for name, away := range map[string]bool{"in the vault": false, "in escrow": true} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, k *kit) {
				c := k.connect()
				frozen := k.Process(t)
				answered, judging := servicetest.NewGate(), servicetest.NewGate()
				frozen.OAuth.After("Refresh", answered.Hook)
				first := async(func() (grant.Refreshed, error) { return k.refreshOn(frozen, c) })
				<-answered.Arrived
				k.ExpireLocks(t)
				k.OAuth.Before("Refresh", func(context.Context) error { // the next reading of the head is the judge's
					k.Vault.Before("ReadRecord", judging.Hook)
					return nil
				})
				second := async(func() (grant.Refreshed, error) { return k.refresh(c) })
				<-judging.Arrived
				if away {
					frozen.Vault.Away()
				}
				answered.Open()
				out, err := first()
				k.refreshed(out, err, 2)
				judging.Open()
				if _, err := second(); err != nil {
					t.Errorf("the other got %v", err)
				}
				k.sweep()
				k.safe(c, 2)
			})
		})
	}
}
