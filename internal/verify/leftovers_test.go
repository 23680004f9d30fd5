package verify_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/grantattempt"
	"github.com/tokenkeep/tokenkeep/ent/revocationjob"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/verify"
)

// escrowed connects, and refreshes while the vault takes no records.
func (k *kit) escrowed() *ent.Connection {
	k.t.Helper()
	c := k.connect()
	k.Vault.Before("WriteRecord", servicetest.Fail(vault.ErrUnavailable))
	k.refresh(c)
	k.Vault.Before("WriteRecord", nil)
	return c
}

func TestEscrowWaiting(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.escrowed()
		k.repairs(verify.EscrowWaiting)
		if row := k.Row(t, c.ID); row.Escrowed {
			t.Error("the row still says that its set waits")
		}
		k.lives(c.ID, 2)
	})
}

// TestEscrowOfARowThatWasLost becomes the record, of which the row is rebuilt.
func TestEscrowOfARowThatWasLost(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.escrowed()
		k.exec("DELETE FROM connections")
		k.repairs(verify.EscrowWaiting, verify.RowMissing)
		k.lives(c.ID, 2)
	})
}

func TestEscrowStale(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.escrowed()
		restore := k.backUpDatabase()
		k.refresh(c) // lands it first
		restore()
		k.finds(verify.EscrowStale, verify.RowBehind)
		k.repairs(verify.EscrowStale, verify.RowBehind)
		k.lives(c.ID, 3)
	})
}

func TestEscrowUnreadable(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		err := k.DB.Ent.Escrow.Create().SetID(c.ID).SetGeneration(9).SetAttemptID(id.New()).SetRecord([]byte("nothing at all")).SetKeyVersion(1).Exec(k.one.Ctx)
		if err != nil {
			t.Fatal(err)
		}
		k.repairs(verify.EscrowUnreadable)
		k.lives(c.ID, 1)
	})
}

// parked leaves an authorization whose answer is parked, as a crash does.
func (k *kit) parked() *ent.GrantAttempt {
	k.t.Helper()
	doomed := k.process()
	doomed.ZoomAPI.Before("Me", doomed.CrashHook)
	if _, _, err := doomed.Connections.Create(k.one.Ctx, k.one.CodeInput(k.Consent(k.t, user))); err == nil {
		k.t.Fatal("the process survived")
	}
	k.ExpireLocks(k.t)
	return k.DB.Ent.GrantAttempt.Query().Where(grantattempt.StateEQ(grantattempt.StatePARKED)).OnlyX(k.all())
}

// TestAttempts: a parked answer that opens is the sweeper's; one that does not is ended.
func TestAttempts(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		a := k.parked()
		k.clean()
		a.Answer[len(a.Answer)-1]++
		k.exec("UPDATE grant_attempts SET answer = $1", a.Answer)
		k.repairs(verify.AttemptUnreadable)
		if a = k.DB.Ent.GrantAttempt.GetX(k.all(), a.ID); a.State != grantattempt.StateLOST || len(a.Answer) != 0 {
			t.Errorf("got %s with an answer of %d bytes", a.State, len(a.Answer))
		}
	})
}

// TestAuthorizationOnItsWay: its record is there before its row, which is nobody's fault.
func TestAuthorizationOnItsWay(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		doomed := k.process()
		doomed.Vault.After("WriteRecord", doomed.CrashHook)
		if _, _, err := doomed.Connections.Create(k.one.Ctx, k.one.CodeInput(k.Consent(t, user))); err == nil {
			t.Fatal("the process survived")
		}
		k.ExpireLocks(t)
		k.clean()
		k.Clock.Advance(time.Minute)
		if _, err := grant.NewSweeper(k.Connections.Keeper(), 0).RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		k.clean()
		row := k.DB.Ent.Connection.Query().OnlyX(k.all())
		k.lives(row.ID, row.Generation)
	})
}

func TestRevocationUnreadable(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		if err := k.Connections.Delete(k.one.Ctx, c.ID); err != nil {
			t.Fatal(err)
		}
		k.clean()
		job := k.DB.Ent.RevocationJob.Query().OnlyX(k.all())
		job.Sealed[len(job.Sealed)-1]++
		k.exec("UPDATE revocation_jobs SET sealed = $1", job.Sealed)
		k.repairs(verify.RevocationUnreadable)
		if job = k.DB.Ent.RevocationJob.GetX(k.all(), job.ID); job.State != revocationjob.StateEXPIRED || len(job.Sealed) != 0 {
			t.Errorf("got %s with a copy of %d bytes", job.State, len(job.Sealed))
		}
	})
}

// TestErasurePending is a passing state for a minute.
func TestErasurePending(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.Vault.Before("EraseRecord", servicetest.Fail(vault.ErrUnavailable))
		if err := k.Connections.Delete(k.one.Ctx, c.ID); err != nil {
			t.Fatal(err)
		}
		k.Vault.Before("EraseRecord", nil)
		k.clean()
		k.Clock.Advance(2 * time.Minute)
		k.repairs(verify.ErasurePending)
		k.erased(c)
	})
}

func TestMetadataIndex(t *testing.T) {
	for name, spoil := range map[string]string{
		"a pair is gone":     "DELETE FROM connection_metadata WHERE id = (SELECT MIN(id) FROM connection_metadata)",
		"all are gone":       "DELETE FROM connection_metadata",
		"a value is another": "UPDATE connection_metadata SET pair_digest = key_digest",
		"a key is another":   "UPDATE connection_metadata SET key_digest = pair_digest WHERE id = (SELECT MIN(id) FROM connection_metadata)",
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, k *kit) {
				c := k.connect()
				m := map[string]string{"team": "red", "plan": "pro"}
				if _, err := k.Connections.Update(k.one.Ctx, connection.UpdateInput{ID: c.ID, Metadata: &m}); err != nil {
					t.Fatal(err)
				}
				k.clean()
				k.exec(spoil)
				k.repairs(verify.MetadataIndex)
				k.lives(c.ID, 1)
			})
		})
	}
}

// TestCrashInTheMiddle: a repair that died is found and finished by the next run.
func TestCrashInTheMiddle(t *testing.T) {
	for name, test := range map[string]struct {
		method string
		set    func(h *servicetest.Hooks, method string, f servicetest.Hook)
		before func(k *kit) *ent.Connection
		found  verify.Kind
	}{
		"a record is erased and not noted": {"EraseRecord", (*servicetest.Hooks).After, (*kit).deletedInTheVault, ""},
		"a record is not erased yet":       {"EraseRecord", (*servicetest.Hooks).Before, (*kit).deletedInTheVault, verify.RecordDeleted},
		"an escrow is landed and kept":     {"WriteRecord", (*servicetest.Hooks).After, (*kit).escrowed, verify.EscrowStale},
		"an escrow is not landed yet":      {"WriteRecord", (*servicetest.Hooks).Before, (*kit).escrowed, verify.EscrowWaiting},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, k *kit) {
				test.before(k)
				doomed := k.process()
				test.set(&doomed.Vault.Hooks, test.method, doomed.CrashHook)
				if _, _, err := k.runOn(doomed, true); err == nil {
					t.Fatal("the process survived")
				}
				k.ExpireLocks(t)
				if test.found == "" {
					k.clean()
					return
				}
				k.repairs(test.found)
			})
		})
	}
}

// deletedInTheVault leaves the record of a deleted connection, as an older vault has it.
func (k *kit) deletedInTheVault() *ent.Connection {
	k.t.Helper()
	c := k.connect()
	restore := k.backUpVault()
	if err := k.Connections.Delete(k.one.Ctx, c.ID); err != nil {
		k.t.Fatal(err)
	}
	restore()
	return c
}

// TestBesideRefreshes: while connections are refreshed and deleted nothing is found, repaired or lost.
func TestBesideRefreshes(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		users := []string{"ann", "bob", "cyd", "dee"}
		var all []*ent.Connection
		for _, u := range users {
			all = append(all, k.Connect(t, k.one, u))
		}
		k.Clock.Advance(time.Minute)
		beside := k.process()
		const rounds = 8
		done := make(chan error, len(all))
		for _, c := range all {
			go func() { done <- k.refreshTimes(beside, c, rounds) }()
		}
		for running := len(all); running > 0; {
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
				running--
			default:
				if found, _, err := k.runOn(k.Service, true); err != nil || len(found) != 0 {
					t.Errorf("got %+v, %v", found, err)
				}
			}
		}
		for _, c := range all {
			k.lives(c.ID, rounds+1)
		}
	})
}

// refreshTimes refreshes again and again; a lock that verify holds is waited for.
func (k *kit) refreshTimes(s *servicetest.Service, c *ent.Connection, times int64) error {
	for generation := int64(1); generation <= times; {
		out, err := s.Connections.Keeper().Refresh(k.one.Ctx, c.ID, grant.Wanted{IfGeneration: generation})
		switch {
		case errors.Is(err, grant.ErrBusy):
		case err != nil:
			return err
		default:
			generation = out.Generation
		}
		if out.Verdict != nil {
			return fmt.Errorf("a refresh was refused: %+v", out.Verdict)
		}
	}
	return nil
}

// TestInUse: a finding whose lock somebody holds is told as such; nothing is done.
func TestInUse(t *testing.T) {
	t.Parallel()
	url := servicetest.SQLite(t)
	budgets := grant.Budgets{Claim: time.Millisecond}
	k := &kit{Service: servicetest.New(t, url, servicetest.Options{Budgets: &budgets}), t: t}
	k.one = k.Tenant(t, "one")
	c := k.connect()
	k.exec("UPDATE connections SET generation = 7")
	k.exec("INSERT INTO grant_locks (grant_key, owner, until_ms) VALUES ($1, $2, $3)", c.GrantKey, id.New(), int64(1)<<60)
	k.kinds(k.run(true), false, verify.InUse)
	k.ExpireLocks(t)
	k.kinds(k.run(true), false, verify.RolledBack)
}
