package database_test

import (
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/tenant"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// home is a tenant with a key and a connection.
type home struct {
	*servicetest.Tenant
	key        *ent.APIKey
	connection *ent.Connection
}

func newHome(t *testing.T, s *servicetest.Service, name string) home {
	t.Helper()
	h := home{Tenant: s.Tenant(t, name)}
	h.connection = s.Row(t, s.Connect(t, h.Tenant, name).ID)
	var err error
	if h.key, err = s.DB.Ent.APIKey.Query().Only(h.Ctx); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestCallerKey(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		s := servicetest.New(t, url, servicetest.Options{})
		one, two := newHome(t, s, "one"), newHome(t, s, "two")
		ctx := database.Naming(t.Context(), one.connection.ID)
		k, err := s.DB.CallerKey(ctx, one.key.Hash)
		if err != nil || k == nil || k.ID != one.key.ID || k.TenantID != one.ID || len(k.Scopes) != len(one.key.Scopes) || string(k.Seal) != string(one.key.Seal) {
			t.Fatalf("got %v, %v, want %v", k, err, one.key)
		}
		if row := database.Ahead(ctx, one.ID, two.connection.ID); row != nil {
			t.Errorf("a connection that was not named: got %v", row)
		}
		row := database.Ahead(ctx, one.ID, one.connection.ID)
		if row == nil || row.ID != one.connection.ID || row.State != one.connection.State || row.Generation != one.connection.Generation || row.Provider != "zoom" {
			t.Errorf("got %v, want parts of %v", row, one.connection)
		}
		if row := database.Ahead(ctx, one.ID, one.connection.ID); row != nil {
			t.Errorf("the second time: got %v", row)
		}
		for name, of := range map[string]uuid.UUID{"another tenant's": two.connection.ID, "none": id.New()} {
			ctx := database.Naming(t.Context(), of)
			if k, err := s.DB.CallerKey(ctx, one.key.Hash); err != nil || k == nil {
				t.Fatalf("%s: got %v, %v", name, k, err)
			}
			if row := database.Ahead(ctx, two.ID, of); row != nil {
				t.Errorf("%s: got %v", name, row)
			}
		}
		if k, err := s.DB.CallerKey(t.Context(), make([]byte, 32)); k != nil || err != nil {
			t.Errorf("no key: got %v, %v", k, err)
		}
		s.DB.Ent.Tenant.UpdateOneID(one.ID).SetState(tenant.StateSUSPENDED).ExecX(one.System(t))
		if k, err := s.DB.CallerKey(t.Context(), one.key.Hash); k != nil || err != nil {
			t.Errorf("a suspended tenant's: got %v, %v", k, err)
		}
	})
}

// TestSpoiledKey: a row whose scopes cannot be read is its own caller's trouble, whoever asks beside him.
func TestSpoiledKey(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		s := servicetest.New(t, url, servicetest.Options{})
		good, bad := newHome(t, s, "good"), newHome(t, s, "bad")
		if _, err := s.DB.SQL().ExecContext(t.Context(), "UPDATE api_keys SET scopes = '{}' WHERE id = $1", bad.key.ID); err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for n := range 100 {
			group.Go(func() {
				h := []home{good, bad}[n%2]
				k, err := s.DB.CallerKey(t.Context(), h.key.Hash)
				if (err == nil) != (h == good) || (k != nil) != (h == good) {
					t.Errorf("a good key: %t, got %v, %v", h == good, k, err)
				}
			})
		}
		group.Wait()
	})
}

// TestCallersTogether: whoever asks at the same time gets his own answer, and one who leaves spoils nobody's.
func TestCallersTogether(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		s := servicetest.New(t, url, servicetest.Options{})
		homes := []home{newHome(t, s, "one"), newHome(t, s, "two"), newHome(t, s, "three")}
		var group sync.WaitGroup
		for n := range 300 {
			group.Go(func() {
				h, named := homes[n%3], homes[n/3%3]
				ctx := database.Naming(t.Context(), named.connection.ID)
				k, err := s.DB.CallerKey(ctx, h.key.Hash)
				if err != nil || k == nil || k.ID != h.key.ID {
					t.Errorf("got %v, %v, want %v", k, err, h.key)
				}
				row := database.Ahead(ctx, h.ID, named.connection.ID)
				if own := h.ID == named.ID; (row != nil) != own || own && row.Generation != h.connection.Generation {
					t.Errorf("named by its own tenant: %t, got %v", own, row)
				}
			})
		}
		group.Wait()
	})
}
