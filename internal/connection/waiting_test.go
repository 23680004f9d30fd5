package connection_test

import (
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/tenant"
	domain "github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// TestWhatHappensWhileAReaderWaits: the connection goes, or its tenant is suspended, by another process, while the provider
// has the refresh. The token that comes of it is not handed out.
func TestWhatHappensWhileAReaderWaits(t *testing.T) {
	type answer struct {
		domain.Result
		err error
	}
	each(t, func(t *testing.T, k *kit) {
		other := k.Process(t)
		for _, test := range []struct {
			name  string
			event func(c domain.Selector)
			check func(a answer) bool
		}{
			{"deleted", func(c domain.Selector) {
				if err := other.Connections.Delete(k.one.Ctx, *c.Connection); err != nil {
					t.Fatal(err)
				}
			}, func(a answer) bool { return a.err == nil && a.NotConnected != "" }},
			{"suspended", func(domain.Selector) {
				if err := other.DB.Ent.Tenant.UpdateOneID(k.one.ID).SetState(tenant.StateSUSPENDED).Exec(k.all()); err != nil {
					t.Fatal(err)
				}
			}, func(a answer) bool { return errs.Is(a.err, errs.Unauthenticated) }},
		} {
			c := k.Connect(t, k.one, "who is "+test.name)
			k.Clock.Advance(2 * time.Hour)
			hold, err := k.Zoom.Hold(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, GrantType: "refresh_token"}, zoomsim.AfterProcessing)
			if err != nil {
				t.Fatal(err)
			}
			of, answers := domain.Selector{Connection: &c.ID}, make(chan answer, 1)
			go func() {
				r, err := k.Connections.Credential(k.one.Ctx, of, nil)
				answers <- answer{r, err}
			}()
			<-hold.Arrived()
			test.event(of)
			hold.Release()
			if a := <-answers; a.Credential != nil || !test.check(a) {
				t.Errorf("%s: got %+v, %v", test.name, a.Result, a.err)
			}
		}
	})
}

// TestLookupBesideWhatIsOver: a user who is disconnected is a match like any other, and one who has not consented is none.
func TestLookupBesideWhatIsOver(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		subject := func(in *domain.CreateInput) { in.Subject = ptr("s1") }
		first, _, err := k.create(k.Consent(t, "ada"), subject)
		if err != nil {
			t.Fatal(err)
		}
		second, _, err := k.create(k.Consent(t, "bob"), subject)
		if err != nil {
			t.Fatal(err)
		}
		of := domain.Selector{Lookup: &domain.Lookup{Provider: "zoom", Kind: "USER", Subject: ptr("s1")}}
		state := func(s connection.State) {
			t.Helper()
			u := k.DB.Ent.Connection.UpdateOneID(second.ID).SetState(s)
			if s == connection.StatePENDING {
				u.ClearExternalUserID()
			}
			if err := u.Exec(k.one.Ctx); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range []connection.State{connection.StateCONNECTED, connection.StateDISCONNECTED} {
			state(s)
			_, err := k.Connections.Credential(k.one.Ctx, of, nil)
			fails(t, err, errs.Conflict, "of.lookup")
		}
		state(connection.StatePENDING)
		if r, err := k.Connections.Credential(k.one.Ctx, of, nil); err != nil || r.Credential == nil || r.Connection.ID != first.ID {
			t.Errorf("got %+v, %v", r, err)
		}
		if err := k.DB.Ent.Connection.UpdateOneID(first.ID).SetState(connection.StatePENDING).ClearExternalUserID().Exec(k.one.Ctx); err != nil {
			t.Fatal(err)
		}
		r, err := k.Connections.Credential(k.one.Ctx, of, nil)
		if err != nil {
			t.Fatal(err)
		}
		k.unavailable(r, "PENDING")
	})
}
