package grant_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/grantattempt"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/zoom"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// create makes a connection from the code on the process.
func (k *kit) create(s *servicetest.Service, code string) (*ent.Connection, bool, error) {
	return s.Connections.Create(k.one.Ctx, k.one.CodeInput(code))
}

// TestLaterConsentStays: two codes of one user are exchanged, and the earlier answer is stored last. At the provider only
// the later grant lives, so it must not be overwritten.
func TestLaterConsentStays(t *testing.T) {
	for _, test := range []struct {
		name string
		// renewal is true where the user is connected already.
		renewal bool
	}{{"first connection", false}, {"renewal", true}} {
		t.Run(test.name, func(t *testing.T) {
			each(t, func(t *testing.T, k *kit) {
				want := int64(1)
				if test.renewal {
					k.connect()
					want = 2
				}
				slow, fast := k.Process(t), k.Service
				gate := servicetest.NewGate()
				slow.ZoomAPI.After("Me", servicetest.Times(1, gate.Hook))
				first, second := k.Consent(t, user), k.Consent(t, user)
				wait := async(func() (*ent.Connection, error) {
					c, _, err := k.create(slow, first)
					return c, err
				})
				<-gate.Arrived // the first code was exchanged and its user is known
				k.Clock.Advance(time.Second)
				c, _, err := k.create(fast, second)
				if err != nil {
					t.Fatal(err)
				}
				k.reachable(k.Row(t, c.ID))
				gate.Open()
				same, err := wait()
				if err != nil || same.ID != c.ID {
					t.Errorf("the first call got %v, %v", same, err)
				}
				k.safe(c, want)
			})
		})
	}
}

// TestNewerSetWhileAuthorizing: the head moved between reserve and commit. Both sets are tried, and the one that works
// stays.
func TestNewerSetWhileAuthorizing(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.meanwhile(func() { k.storeNewer(c, 5) }) // the older grant's tokens, which the consent has ended
		renewed, created, err := k.create(k.Service, k.Consent(t, user))
		if err != nil || created || renewed.ID != c.ID {
			t.Fatalf("got %+v, created %v, %v", renewed, created, err)
		}
		k.safe(c, 6)
	})
}

// TestWorkingSetStaysWhileAuthorizing: the same, but it is this consent's tokens that do not work.
func TestWorkingSetStaysWhileAuthorizing(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		k.meanwhile(func() {
			k.storeNewer(c, 5)
			asked := 0
			k.ZoomAPI.Before("Me", func(context.Context) error {
				if asked++; asked == 1 { // the stored set is tried first
					return nil
				}
				return &zoom.Error{Kind: zoom.KindUnauthorized}
			})
		})
		if err := k.Zoom.SetSwitches(zoomsim.Switches{ConsentKeepsEarlierGrants: true}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := k.create(k.Service, k.Consent(t, user)); err != nil {
			t.Fatal(err)
		}
		row := k.Row(t, c.ID)
		opened, err := k.Connections.Keeper().Open(k.one.Ctx, row)
		if err != nil || opened.Generation != 5 || row.Generation != 5 || row.State != connection.StateCONNECTED {
			t.Errorf("got generation %d, row %+v, %v", opened.Generation, row, err)
		}
	})
}

// TestRenewalOfWhatIsErasedOrSpoilt: a new consent is written over it, above every generation there was.
func TestRenewalOfWhatIsErasedOrSpoilt(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		out, err := k.refresh(c)
		k.refreshed(out, err, 2)
		for generation, spoil := range map[int64]func(){
			3: func() {
				if err := k.Vault.EraseRecord(t.Context(), k.ref(c)); err != nil {
					t.Fatal(err)
				}
			},
			4: func() { k.rewrite(c, func(r vault.Record) vault.Record { r.Ciphertext[20] ^= 1; return r }) },
		} {
			_ = generation
			spoil()
			k.Clock.Advance(time.Hour)
			k.ended(k.refresh(k.Row(t, c.ID)))
			before := k.Row(t, c.ID).Generation
			renewed, created, err := k.create(k.Service, k.Consent(t, user))
			if err != nil || created || renewed.ID != c.ID {
				t.Fatalf("got %+v, created %v, %v", renewed, created, err)
			}
			k.safe(c, before+1)
		}
	})
}

// TestAuthorizationWithoutVault: before the code is sent the vault must answer; afterwards the record waits in escrow.
func TestAuthorizationWithoutVault(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		code := k.Consent(t, user)
		k.Vault.Before("NewDataKey", servicetest.Fail(vault.ErrUnavailable))
		_, _, err := k.create(k.Service, code)
		wantKind(t, err, errs.VaultUnavailable)
		if got := k.Zoom.Ledger().Totals.Exchanges; got != 0 {
			t.Fatalf("%d codes were exchanged", got)
		}
		k.Vault.Before("NewDataKey", nil)

		k.Vault.Before("WriteRecord", servicetest.Fail(vault.ErrUnavailable))
		c, created, err := k.create(k.Service, code)
		if err != nil || !created || !c.Escrowed {
			t.Fatalf("got %+v, created %v, %v", c, created, err)
		}
		k.reachable(c)
		k.Vault.Before("WriteRecord", nil)
		k.sweep()
		k.escrowed(0)
		k.safe(c, 1)
	})
}

// TestVaultAwayWhileAnswerIsParked: the reserve of the record fails; repeating the call finishes without the code.
func TestVaultAwayWhileAnswerIsParked(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		code := k.Consent(t, user)
		k.Vault.Before("ReadRecord", servicetest.Fail(vault.ErrUnavailable))
		_, _, err := k.create(k.Service, code)
		wantKind(t, err, errs.VaultUnavailable)
		if got := k.attempt(); got.State != grantattempt.StatePARKED || got.Answer == nil {
			t.Errorf("got %+v", got)
		}
		k.Vault.Before("ReadRecord", nil)
		c, created, err := k.create(k.Service, code)
		if err != nil || !created {
			t.Fatalf("got %+v, created %v, %v", c, created, err)
		}
		k.safe(c, 1)
		if l := k.Zoom.Ledger().Totals; l.Exchanges != 1 || l.Duplicates != 0 {
			t.Errorf("got %+v", l)
		}
	})
}

// TestFinishedTwice: a process is frozen while it finishes an attempt; another takes over and finishes it. The first one
// wakes up and must not do it again.
func TestFinishedTwice(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		frozen, code := k.Process(t), k.Consent(t, user)
		gate := servicetest.NewGate()
		frozen.Vault.After("WriteRecord", gate.Hook)
		wait := async(func() (*ent.Connection, error) {
			c, _, err := k.create(frozen, code)
			return c, err
		})
		<-gate.Arrived
		k.ExpireLocks(t)
		c, created, err := k.create(k.Service, code)
		if err != nil || !created {
			t.Fatalf("got %+v, created %v, %v", c, created, err)
		}
		gate.Open()
		if _, err := wait(); err != nil && !errs.Is(err, errs.VaultUnavailable) {
			t.Errorf("the frozen process got %v", err)
		}
		k.safe(c, 1)
		if got := k.events(c.ID); !slices.Equal(got, []string{"CONNECTION_CREATED"}) {
			t.Errorf("got events %v", got)
		}
		same, created, err := k.create(k.Service, code)
		if err != nil || !created || same.ID != c.ID {
			t.Errorf("the same call again: got %+v, created %v, %v", same, created, err)
		}
	})
}

// TestAuthorizationWaitsForARefresh: both want the grant's lock.
func TestAuthorizationWaitsForARefresh(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		hold := k.hold(zoomsim.AfterProcessing)
		refreshing := async(func() (grant.Refreshed, error) { return k.refresh(c) })
		<-hold.Arrived()
		known := servicetest.NewGate()
		known.Open()
		k.ZoomAPI.After("Me", known.Hook)
		renewing := async(func() (*ent.Connection, error) {
			renewed, _, err := k.create(k.Service, k.Consent(t, user))
			return renewed, err
		})
		<-known.Arrived
		hold.Release()
		if _, err := refreshing(); err != nil {
			t.Error(err)
		}
		if renewed, err := renewing(); err != nil || renewed.ID != c.ID {
			t.Errorf("got %+v, %v", renewed, err)
		}
		k.safe(c, 3)
	})
}

// TestAuthorizationMeetsALockThatStays: the caller is told to repeat the call, and the answer stays parked.
func TestAuthorizationMeetsALockThatStays(t *testing.T) {
	budgets := grant.Budgets{Provider: 10 * time.Second, Commit: 100 * time.Millisecond, Claim: 50 * time.Millisecond}
	eachWith(t, servicetest.Options{Budgets: &budgets}, func(t *testing.T, k *kit) {
		c := k.Connect(t, k.one, user)
		k.Clock.Advance(time.Minute)
		k.lockedBySomebody(c)
		code := k.Consent(t, user)
		_, _, err := k.create(k.Service, code)
		wantKind(t, err, errs.Conflict)
		k.ExpireLocks(t)
		if _, created, err := k.create(k.Service, code); err != nil || created {
			t.Errorf("created %v, %v", created, err)
		}
		k.safe(c, 2)
	})
}

// TestCodeThatCouldNotBeSent: all who wait for the call that could not send it are told so, and may try again.
func TestCodeThatCouldNotBeSent(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		code := k.Consent(t, user)
		gate := servicetest.NewGate()
		k.OAuth.Before("Exchange", func(ctx context.Context) error {
			return errors.Join(gate.Hook(ctx), errUnsent)
		})
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() {
				_, _, err := k.create(k.Service, code)
				if !errs.Is(err, errs.ProviderUnavailable) {
					t.Errorf("got %v, want PROVIDER_UNAVAILABLE", err)
				}
			})
		}
		<-gate.Arrived
		gate.Open()
		group.Wait()
		k.OAuth.Before("Exchange", nil)
		c, created, err := k.create(k.Service, code)
		if err != nil || !created {
			t.Fatalf("got %+v, created %v, %v", c, created, err)
		}
		k.safe(c, 1)
	})
}
