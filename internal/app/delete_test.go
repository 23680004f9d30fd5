package app_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/grantattempt"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
)

func TestDelete(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		ctx := admin(t, k.one)
		a, bystander := k.create(t, ctx, zoom()), k.create(t, admin(t, k.other), zoom())
		k.connect(t, admin(t, k.other), bystander, "u1")

		c := k.connect(t, ctx, a, "u1")
		fails(t, k.Delete(ctx, a.ID), "CONFLICT: 1 connection uses this app; delete it first (id)")
		if err := k.db.Ent.Connection.UpdateOne(c).SetState(connection.StateDISCONNECTED).Exec(ctx); err != nil {
			t.Fatal(err)
		}
		k.connect(t, ctx, a, "u2")
		fails(t, k.Delete(ctx, a.ID), "CONFLICT: 2 connections use this app; delete them first (id)")
		for i := range 100 {
			k.connect(t, ctx, a, fmt.Sprint("more", i))
		}
		fails(t, k.Delete(ctx, a.ID), "CONFLICT: more than 100 connections use this app; delete them first (id)")
		if _, err := k.db.Ent.Connection.Delete().Exec(ctx); err != nil {
			t.Fatal(err)
		}
		if err := k.Delete(ctx, a.ID); err != nil {
			t.Fatal(err)
		}
		fails(t, k.Delete(ctx, a.ID), "NOT_FOUND: there is no such app (id)")
		object := id.App.Format(a.ID)
		if got, want := k.trail(t, k.one), []string{"app.create " + object, "app.delete " + object}; !slices.Equal(got, want) {
			t.Errorf("trail: got %v, want %v", got, want)
		}
		if _, err := k.Get(admin(t, k.other), bystander.ID); err != nil {
			t.Errorf("another tenant's app: %v", err)
		}
	})
}

func TestDeleteWaitsForAttempts(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		ctx := admin(t, k.one)
		a := k.create(t, ctx, zoom())
		attempt, err := k.db.Ent.GrantAttempt.Create().SetTenantID(k.one).SetAppID(a.ID).SetProvider(a.Provider).SetClientID(a.ClientID).
			SetActor("key").SetCodeHash([]byte("hash")).SetConnectionID(id.New()).SetInput([]byte("{}")).Save(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, state := range []grantattempt.State{grantattempt.StateSENT, grantattempt.StatePARKED} {
			if err := k.db.Ent.GrantAttempt.UpdateOne(attempt).SetState(state).Exec(ctx); err != nil {
				t.Fatal(err)
			}
			fails(t, k.Delete(ctx, a.ID), "CONFLICT: a connection is being made with this app; try again shortly (id)")
		}
		if err := k.db.Ent.GrantAttempt.UpdateOne(attempt).SetState(grantattempt.StateREFUSED).Exec(ctx); err != nil {
			t.Fatal(err)
		}
		if err := k.Delete(ctx, a.ID); err != nil {
			t.Error(err)
		}
	})
}

func TestDeleteOfASharedAppSeesEveryTenant(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		in := zoom()
		in.Shared = true
		a := k.create(t, operator(t), in)
		c := k.connect(t, admin(t, k.other), a, "u1")
		fails(t, k.Delete(operator(t), a.ID), "CONFLICT: 1 connection uses this app; delete it first (id)")
		if err := k.db.Ent.Connection.DeleteOne(c).Exec(admin(t, k.other)); err != nil {
			t.Fatal(err)
		}
		if err := k.Delete(operator(t), a.ID); err != nil {
			t.Error(err)
		}
	})
}

// A connection that comes between the count and the deletion meets the foreign key.
func TestDeleteLosesARace(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		ctx := admin(t, k.one)
		a := k.create(t, ctx, zoom())
		k.connect(t, ctx, a, "u1")
		k.db.Ent.Connection.Intercept(hide{})
		fails(t, k.Delete(ctx, a.ID), "CONFLICT: a connection uses this app; delete it first (id)")
		if _, err := k.Get(ctx, a.ID); err != nil {
			t.Errorf("the app is gone: %v", err)
		}
		if got := k.trail(t, k.one); len(got) != 1 {
			t.Errorf("the trail tells of %v", got)
		}
	})
}

// hide makes every query for connections come back empty.
type hide struct{}

func (hide) Intercept(ent.Querier) ent.Querier {
	return ent.QuerierFunc(func(context.Context, ent.Query) (ent.Value, error) { return []uuid.UUID{}, nil })
}

func TestHold(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		ctx := admin(t, k.one)
		mine, theirs := k.create(t, ctx, zoom()), k.create(t, admin(t, k.other), zoom())
		hold := func(app uuid.UUID) error {
			return k.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error { return k.Hold(ctx, tx, app) })
		}
		if err := hold(mine.ID); err != nil {
			t.Error(err)
		}
		for _, app := range []uuid.UUID{theirs.ID, id.New()} {
			if err := hold(app); !errs.Is(err, errs.NotFound) {
				t.Errorf("got %v", err)
			}
		}
	})
}
