package grant_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/grantattempt"
	connections "github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// A crash is a panic in a hook of a process whose database was closed a moment before: nothing it does afterwards has an
// effect. What is left is in the database, in the vault and at the provider, and another process finds it.

// TestCrashDuringRefresh kills the process at each step of a refresh.
func TestCrashDuringRefresh(t *testing.T) {
	for _, test := range []struct {
		name string
		die  func(s *servicetest.Service)
		// rotations is how often the provider rotates in all. lost is true in the one window where a grant is lost.
		rotations int
		lost      bool
	}{
		{"after the claim", func(s *servicetest.Service) { s.Vault.Before("ReadRecord", s.CrashHook) }, 1, false},
		{"after the head was read", func(s *servicetest.Service) { s.Vault.Before("UnwrapDataKeys", s.CrashHook) }, 1, false},
		{"after the reserve", func(s *servicetest.Service) { s.Vault.After("NewDataKey", s.CrashHook) }, 1, false},
		{"after the spending mark", func(s *servicetest.Service) { s.OAuth.Before("Refresh", s.CrashHook) }, 1, false},
		{"answer unread", func(s *servicetest.Service) { s.OAuth.After("Refresh", s.CrashHook) }, 1, true},
		{"answer read, vault not written", func(s *servicetest.Service) { s.Vault.Before("WriteRecord", s.CrashHook) }, 1, true},
		{"vault away, not yet in escrow", func(s *servicetest.Service) {
			s.OAuth.After("Refresh", func(context.Context) error {
				s.Vault.Before("WriteRecord", servicetest.Fail(vault.ErrUnavailable))
				s.Vault.Before("ReadRecord", s.CrashHook)
				return nil
			})
		}, 1, true},
		{"vault written, row not", func(s *servicetest.Service) { s.Vault.After("WriteRecord", s.CrashHook) }, 1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			each(t, func(t *testing.T, k *kit) {
				c := k.connect()
				doomed := k.Process(t)
				test.die(doomed)
				if _, err := k.refreshOn(doomed, c); err == nil {
					t.Fatal("the process survived")
				}
				if _, err := k.refresh(c); !errors.Is(err, grant.ErrBusy) {
					t.Fatalf("while the lock lasts: got %v, want ErrBusy", err)
				}
				k.ExpireLocks(t)
				k.recovered(c, test.lost)
				k.rotations(test.rotations)
			})
		})
	}
}

// recovered refreshes in the surviving process and checks what came of it.
func (k *kit) recovered(c *ent.Connection, lost bool) {
	k.t.Helper()
	out, err := k.refresh(c)
	if !lost {
		k.refreshed(out, err, 2)
		k.safe(c, 2)
		return
	}
	k.failed(out, err)
	k.failing(c, connection.StateCONNECTED, "REFRESH_INTERRUPTED")
	k.Clock.Advance(time.Minute)
	k.ended(k.refresh(c))
	k.failing(c, connection.StateDISCONNECTED, "REFRESH_INTERRUPTED")
	if n := k.Locks(k.t); n != 0 {
		k.t.Errorf("%d locks are left", n)
	}
}

// TestReaderAfterACrash: a reader finds what is in the vault, and the row follows without anything being spent.
func TestReaderAfterACrash(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		doomed := k.Process(t)
		doomed.Vault.After("WriteRecord", doomed.CrashHook)
		_, _ = k.refreshOn(doomed, c)
		opened, err := k.Connections.Keeper().Open(k.one.Ctx, c)
		if err != nil || opened.Generation != 2 {
			t.Fatalf("got generation %d, %v", opened.Generation, err)
		}
		k.reachable(k.Row(t, c.ID))
		k.rotations(1)
	})
}

// TestTakeoverNamesWhatNobodyKnows: the mark of a dead process makes a refusal an interruption, not the user's doing.
func TestTakeoverNamesWhatNobodyKnows(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		for name, test := range map[string]struct{ spending, reason string }{
			"spent": {"1", "REFRESH_INTERRUPTED"}, "not spent": {"", "REVOKED"}, "an earlier one": {"0", "REVOKED"},
		} {
			c := k.Connect(t, k.one, name)
			k.lockRow(c, test.spending, 1)
			if _, err := k.Zoom.EndGrants(name, "", ""); err != nil {
				t.Fatal(err)
			}
			k.failed(k.refresh(c))
			k.failing(c, connection.StateCONNECTED, test.reason)
		}
	})
}

// input is what a caller wants of a connection.
func (k *kit) input(code string) connections.CreateInput {
	in := k.one.CodeInput(code)
	subject, metadata := "user-7", map[string]string{"team": "red"}
	in.Subject, in.Metadata = &subject, &metadata
	return in
}

// TestCrashDuringAuthorization kills the process at each step of a first authorization. Whatever was exchanged becomes the
// connection that was asked for; the code is never sent twice.
func TestCrashDuringAuthorization(t *testing.T) {
	for _, test := range []struct {
		name string
		die  func(s *servicetest.Service)
		// finishes is true where the answer was parked, exchanges how many codes the provider took.
		finishes  bool
		exchanges int
	}{
		{"code not sent", func(s *servicetest.Service) { s.OAuth.Before("Exchange", s.CrashHook) }, false, 0},
		{"answer unread", func(s *servicetest.Service) { s.OAuth.After("Exchange", s.CrashHook) }, false, 1},
		{"answer parked", func(s *servicetest.Service) { s.ZoomAPI.Before("Me", s.CrashHook) }, true, 1},
		{"user known", func(s *servicetest.Service) { s.ZoomAPI.After("Me", s.CrashHook) }, true, 1},
		{"vault not written", func(s *servicetest.Service) { s.Vault.Before("WriteRecord", s.CrashHook) }, true, 1},
		{"vault written, row not", func(s *servicetest.Service) { s.Vault.After("WriteRecord", s.CrashHook) }, true, 1},
	} {
		for _, by := range []string{"sweeper", "caller"} {
			t.Run(test.name+", picked up by the "+by, func(t *testing.T) {
				each(t, func(t *testing.T, k *kit) {
					code := k.Consent(t, user)
					doomed := k.Process(t)
					test.die(doomed)
					if _, _, err := doomed.Connections.Create(k.one.Ctx, k.input(code)); err == nil {
						t.Fatal("the process survived")
					}
					attempt := k.attempt()
					k.ExpireLocks(t)
					if by == "sweeper" {
						k.Clock.Advance(time.Minute)
						if got := k.sweep(); got.Attempts != 1 {
							t.Errorf("got %+v, want one attempt", got)
						}
					}
					k.finished(code, attempt, test.finishes)
					l := k.Zoom.Ledger().Totals
					if l.Exchanges != test.exchanges || l.Duplicates != 0 || l.Revocations != 0 {
						t.Errorf("got %+v", l)
					}
				})
			})
		}
	}
}

// attempt is the one attempt there is.
func (k *kit) attempt() *ent.GrantAttempt {
	k.t.Helper()
	a, err := k.DB.Ent.GrantAttempt.Query().Only(k.all())
	if err != nil {
		k.t.Fatal(err)
	}
	return a
}

// finished repeats the call and checks that it gives what the attempt came to.
func (k *kit) finished(code string, attempt *ent.GrantAttempt, finishes bool) {
	k.t.Helper()
	c, created, err := k.Connections.Create(k.one.Ctx, k.input(code))
	if !finishes {
		wantKind(k.t, err, errs.ProviderUnavailable)
		if got := k.attempt(); got.State != grantattempt.StateLOST || got.Answer != nil {
			k.t.Errorf("got %s", got.State)
		}
		if got := k.OAuth.Calls("Exchange"); got != 0 {
			k.t.Errorf("the code was sent again")
		}
		return
	}
	if err != nil || !created || c.ID != attempt.ConnectionID || c.Subject == nil || *c.Subject != "user-7" || c.Metadata["team"] != "red" {
		k.t.Fatalf("got %+v, created %v, %v", c, created, err)
	}
	k.safe(c, 1)
	if got := k.attempt(); got.State != grantattempt.StateDONE || got.Answer != nil {
		k.t.Errorf("got %s", got.State)
	}
	if got := k.events(c.ID); !slices.Equal(got, []string{"CONNECTION_CREATED"}) {
		k.t.Errorf("got events %v", got)
	}
}

// TestCrashDuringRenewal: the consent ended the older grant, so the connection must get the new one.
func TestCrashDuringRenewal(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		code := k.Consent(t, user)
		doomed := k.Process(t)
		doomed.Vault.Before("WriteRecord", doomed.CrashHook)
		if _, _, err := doomed.Connections.Create(k.one.Ctx, k.one.CodeInput(code)); err == nil {
			t.Fatal("the process survived")
		}
		k.ExpireLocks(t)
		k.failed(k.refresh(c)) // its token is dead; it must not be called dead before the parked answer is finished
		k.Clock.Advance(5 * time.Minute)
		k.failed(k.refresh(c))
		k.sweep()
		k.safe(c, 2)
	})
}

// TestParkedForLong: the access token of a parked answer expires before anybody gets to finish it.
func TestParkedForLong(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		code := k.Consent(t, user)
		doomed := k.Process(t)
		doomed.ZoomAPI.Before("Me", doomed.CrashHook)
		_, _, _ = doomed.Connections.Create(k.one.Ctx, k.input(code))
		k.ExpireLocks(t)
		k.Clock.Advance(5 * time.Hour)
		k.sweep()
		c, err := k.DB.Ent.Connection.Query().Only(k.all())
		if err != nil {
			t.Fatal(err)
		}
		k.safe(c, 1)
		k.rotations(1)
	})
}

// TestCrashWhileLanding kills an attempt between the vault's write and the end of the escrow.
func TestCrashWhileLanding(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		back := k.awayAfterRefresh()
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		back()
		doomed := k.Process(t)
		doomed.Vault.After("WriteRecord", doomed.CrashHook)
		_, _ = k.refreshOn(doomed, k.Row(t, c.ID))
		k.escrowed(1)
		k.ExpireLocks(t)
		k.sweep()
		k.escrowed(0)
		k.safe(c, 2)
		k.rotations(1)
	})
}

// TestCrashDuringDeletion kills the process at each step of a deletion and of its revocation.
func TestCrashDuringDeletion(t *testing.T) {
	for _, test := range []struct {
		name string
		die  func(s *servicetest.Service)
		// again is true where nothing has been deleted yet.
		again bool
	}{
		{"copied", func(s *servicetest.Service) { s.Vault.After("NewDataKey", s.CrashHook) }, true},
		{"buried", func(s *servicetest.Service) { s.Vault.Before("EraseRecord", s.CrashHook) }, false},
		{"erased", func(s *servicetest.Service) { s.Vault.After("EraseRecord", s.CrashHook) }, false},
		{"ended at the provider", func(s *servicetest.Service) { s.OAuth.After("Revoke", s.CrashHook) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			each(t, func(t *testing.T, k *kit) {
				c := k.connect()
				doomed := k.Process(t)
				test.die(doomed)
				dies(func() {
					_ = doomed.Connections.Delete(k.one.Ctx, c.ID)
					_, _ = grant.NewSweeper(doomed.Connections.Keeper(), 0).RunOnce(t.Context())
				})
				if test.again {
					k.delete(c.ID)
				}
				k.ExpireLocks(t)
				k.Clock.Advance(time.Minute)
				k.sweep()
				k.gone(c)
			})
		})
	}
}

// dies runs f, which a crash may end.
func dies(f func()) {
	defer func() { _ = recover() }()
	f()
}
