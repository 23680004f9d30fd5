package grant_test

import (
	"context"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/grantattempt"
	"github.com/tokenkeep/tokenkeep/ent/revocationjob"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// These are ways that the model (internal/grant/model) found to lose a grant, or its name, walked by the real thing.

// TestParkedBetweenTheLooks: a process that lost its lock puts its answer into escrow while another one, which has just
// looked into the escrow, is about to spend. The row that is newer than the vault by then is not a restored vault's.
func TestParkedBetweenTheLooks(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		frozen := k.Process(t)
		answered := servicetest.NewGate()
		frozen.OAuth.After("Refresh", answered.Hook)
		first := async(func() (grant.Refreshed, error) { return k.refreshOn(frozen, c) })
		<-answered.Arrived
		k.ExpireLocks(t)
		frozen.Vault.Away()
		looked := once(func() {
			answered.Open()
			out, err := first()
			k.refreshed(out, err, 2)
		})
		k.DB.Ent.Escrow.Intercept(ent.InterceptFunc(func(next ent.Querier) ent.Querier {
			return ent.QuerierFunc(func(ctx context.Context, q ent.Query) (ent.Value, error) {
				v, err := next.Query(ctx, q)
				_ = looked(ctx)
				return v, err
			})
		}))
		if _, err := k.refresh(c); err != nil {
			t.Errorf("the other got %v", err)
		}
		k.sweep()
		k.safe(c, 2)
	})
}

// TestParkedWhileCalledLost: the sweeper has found an attempt without an answer when its process, which only stood still,
// parks one and dies. The answer is all there is of the grant.
func TestParkedWhileCalledLost(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		code := k.Consent(t, user)
		frozen := k.Process(t)
		answered := servicetest.NewGate()
		frozen.OAuth.After("Exchange", answered.Hook)
		frozen.ZoomAPI.Before("Me", frozen.CrashHook)
		wait := async(func() (struct{}, error) {
			_, _, err := frozen.Connections.Create(k.one.Ctx, k.input(code))
			return struct{}{}, err
		})
		<-answered.Arrived
		k.ExpireLocks(t)
		k.Clock.Advance(time.Minute)
		parks := once(func() {
			answered.Open()
			_, _ = wait()
		})
		k.DB.Ent.GrantAttempt.Use(func(next ent.Mutator) ent.Mutator {
			return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
				_ = parks(ctx)
				return next.Mutate(ctx, m)
			})
		})
		k.sweep()
		if got := k.attempt(); got.State != grantattempt.StatePARKED || got.Answer == nil {
			t.Fatalf("got %s", got.State)
		}
		attempt := k.attempt()
		k.ExpireLocks(t)
		k.Clock.Advance(time.Minute)
		k.sweep()
		k.finished(code, attempt, true)
	})
}

// TestRenewalIntoEscrowBesideALateRefresh: a refresh that lost its lock writes the very generation that a renewal has
// reserved, and then the vault goes away. The renewal's set, which waits in escrow, is the one that lives.
func TestRenewalIntoEscrowBesideALateRefresh(t *testing.T) {
	budgets := grant.Budgets{Provider: 5 * time.Second, Commit: 100 * time.Millisecond}
	eachWith(t, servicetest.Options{Budgets: &budgets}, func(t *testing.T, k *kit) {
		c := k.connect()
		code := k.Consent(t, user)
		frozen := k.Process(t)
		answered := servicetest.NewGate()
		frozen.OAuth.After("Refresh", answered.Hook)
		late := async(func() (grant.Refreshed, error) { return k.refreshOn(frozen, c) })
		<-answered.Arrived
		k.ExpireLocks(t)
		back := func() {}
		k.Vault.Before("WriteRecord", once(func() {
			answered.Open()
			out, err := late()
			k.refreshed(out, err, 2)
			back = k.Vault.Away()
		}))
		if _, _, err := k.Connections.Create(k.one.Ctx, k.one.CodeInput(code)); err != nil {
			t.Fatal(err)
		}
		k.escrowed(1)
		back()
		k.sweep()
		k.escrowed(0)
		k.safe(c, 3)
	})
}

// TestRenewalLeftForADeletedConnection: a renewal writes its record after the deletion has erased, and dies. Whoever
// resumes it makes a new connection, and the record of the old one goes.
func TestRenewalLeftForADeletedConnection(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		code := k.Consent(t, user)
		doomed := k.Process(t)
		doomed.Vault.Before("ReadRecord", once(func() { k.delete(c.ID) }))
		doomed.Vault.After("WriteRecord", doomed.CrashHook)
		if _, _, err := doomed.Connections.Create(k.one.Ctx, k.one.CodeInput(code)); err == nil {
			t.Fatal("the process survived")
		}
		k.ExpireLocks(t)
		k.Clock.Advance(time.Minute)
		k.sweep()
		k.sweep()
		k.erased(c.ID)
		made, err := k.DB.Ent.Connection.Query().Only(k.all())
		if err != nil || made.ID == c.ID {
			t.Fatalf("got %v, %v", made, err)
		}
		k.reachable(made)
	})
}

// TestRenewalRemembersWhatWasNotAnswered: a set that a renewal had stored was spent without an answer before the renewal
// could be settled. Settling it must not make the user's doing of it.
func TestRenewalRemembersWhatWasNotAnswered(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		code := k.Consent(t, user)
		doomed := k.Process(t)
		doomed.Vault.After("WriteRecord", doomed.CrashHook)
		_, _, _ = doomed.Connections.Create(k.one.Ctx, k.one.CodeInput(code))
		k.ExpireLocks(t)
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		k.OAuth.After("Refresh", servicetest.Times(2, servicetest.Fail(context.DeadlineExceeded)))
		k.failed(k.refresh(k.Row(t, c.ID)))
		k.Clock.Advance(time.Hour)
		k.sweep()
		if n, err := k.DB.Ent.GrantAttempt.Query().Where(grantattempt.StateNEQ(grantattempt.StateDONE)).Count(k.all()); err != nil || n != 0 {
			t.Fatalf("%d attempts are not done, %v", n, err)
		}
		_, _ = k.refresh(k.Row(t, c.ID))
		if row := k.Row(t, c.ID); row.FailureReason != "REFRESH_INTERRUPTED" {
			t.Errorf("got %s %s", row.State, row.FailureReason)
		}
	})
}

// TestDeletedAfterAnInterruption: the copy's token is spent and its successor was never seen, so nobody can say that the
// grant has ended.
func TestDeletedAfterAnInterruption(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.OAuth.After("Refresh", servicetest.Times(2, servicetest.Fail(context.DeadlineExceeded)))
		k.failed(k.refresh(c))
		k.failing(c, connection.StateCONNECTED, "REFRESH_INTERRUPTED")
		k.Clock.Advance(5 * time.Hour)
		k.delete(c.ID)
		k.sweep()
		job, err := k.DB.Ent.RevocationJob.Query().Only(k.all())
		if err != nil || job.State != revocationjob.StateEXPIRED || job.Outcome != "unknown: refresh unanswered" {
			t.Errorf("got %+v, %v", job, err)
		}
		if n := k.Locks(t); n != 0 {
			t.Errorf("%d locks are left", n)
		}
	})
}

// TestDeletedOverADeadRefresh: a refresh writes its set after the deletion's copy was made, and dies. That set is the only
// one that can end the grant.
func TestDeletedOverADeadRefresh(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.Clock.Advance(5 * time.Hour)
		doomed := k.Process(t)
		doomed.Vault.After("WriteRecord", doomed.CrashHook)
		k.Vault.After("NewDataKey", once(func() { _, _ = k.refreshOn(doomed, c) }))
		k.delete(c.ID)
		k.ExpireLocks(t)
		k.sweep()
		k.sweep()
		k.gone(c)
	})
}
