package connection_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

type ctx = context.Context

func TestUpdateMetadata(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c, _, err := k.create(k.Consent(t, user), func(in *connection.CreateInput) { in.Metadata = &map[string]string{"a": "1", "b": "2"} })
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			name string
			in   connection.UpdateInput
			want map[string]string
		}{
			{"nothing", connection.UpdateInput{}, map[string]string{"a": "1", "b": "2"}},
			{"merge", connection.UpdateInput{Merge: map[string]string{"b": "3", "c": "4"}}, map[string]string{"a": "1", "b": "3", "c": "4"}},
			{"remove", connection.UpdateInput{RemoveKeys: []string{"a", "unknown"}}, map[string]string{"b": "3", "c": "4"}},
			{"merge and remove", connection.UpdateInput{Merge: map[string]string{"d": "5"}, RemoveKeys: []string{"b"}}, map[string]string{"c": "4", "d": "5"}},
			{"replace", connection.UpdateInput{Metadata: &map[string]string{"z": "9"}}, map[string]string{"z": "9"}},
			{"replace by none", connection.UpdateInput{Metadata: &map[string]string{}}, map[string]string{}},
			{"merge into none", connection.UpdateInput{Merge: map[string]string{"y": "8"}}, map[string]string{"y": "8"}},
			{"clear", connection.UpdateInput{MetadataNull: true}, nil},
			{"merge into null", connection.UpdateInput{Merge: map[string]string{"x": "7"}}, map[string]string{"x": "7"}},
		} {
			k.Clock.Advance(time.Second)
			step.in.ID = c.ID
			after, err := k.Connections.Update(k.one.Ctx, step.in)
			if err != nil || !after.UpdatedAt.Equal(k.Clock.Now()) {
				t.Fatalf("%s: %+v, %v", step.name, after, err)
			}
			k.indexed(after, step.want)
			k.indexed(k.Row(t, c.ID), step.want)
			if (k.Row(t, c.ID).Metadata == nil) != (step.want == nil) {
				t.Errorf("%s: got %v", step.name, k.Row(t, c.ID).Metadata)
			}
		}
		if got := k.events(c.ID); len(got) != 10 {
			t.Errorf("got %d events", len(got))
		}
		last := k.eventRows(c.ID)[9]
		if last.Type != "CONNECTION_UPDATED" || last.Metadata["x"] != "7" {
			t.Errorf("got %+v", last)
		}
	})
}

func TestUpdateRefused(t *testing.T) {
	k := local(t, servicetest.Options{})
	full := map[string]string{}
	for i := range 50 {
		full["key"+strconv.Itoa(i)] = strings.Repeat("x", 100)
	}
	c, _, err := k.create(k.Consent(t, user), func(in *connection.CreateInput) { in.Metadata = &full })
	if err != nil {
		t.Fatal(err)
	}
	foreign := k.Connect(t, k.other, "bob")
	for name, test := range map[string]struct {
		in    connection.UpdateInput
		kind  errs.Kind
		field string
	}{
		"replace and merge":      {connection.UpdateInput{ID: c.ID, Metadata: &map[string]string{}, Merge: map[string]string{"a": "1"}}, errs.BadUserInput, "metadata"},
		"replace and remove":     {connection.UpdateInput{ID: c.ID, Metadata: &map[string]string{}, RemoveKeys: []string{"a"}}, errs.BadUserInput, "metadata"},
		"replace by too much":    {connection.UpdateInput{ID: c.ID, Metadata: &map[string]string{"k": strings.Repeat("x", 9000)}}, errs.BadUserInput, "metadata"},
		"merge too much":         {connection.UpdateInput{ID: c.ID, Merge: map[string]string{"k": strings.Repeat("x", 9000)}}, errs.BadUserInput, "mergeMetadata"},
		"merge one key too many": {connection.UpdateInput{ID: c.ID, Merge: map[string]string{"another": "x"}}, errs.BadUserInput, "mergeMetadata"},
		"merge beyond the bytes": {connection.UpdateInput{ID: c.ID, Merge: map[string]string{"key1": strings.Repeat("x", 5000)}}, errs.BadUserInput, "mergeMetadata"},
		"empty merged key":       {connection.UpdateInput{ID: c.ID, Merge: map[string]string{"": "x"}}, errs.BadUserInput, "mergeMetadata"},
		"empty removed key":      {connection.UpdateInput{ID: c.ID, RemoveKeys: []string{"a", ""}}, errs.BadUserInput, "removeMetadataKeys[1]"},
		"merged and removed":     {connection.UpdateInput{ID: c.ID, Merge: map[string]string{"a": "1"}, RemoveKeys: []string{"a"}}, errs.BadUserInput, "removeMetadataKeys[0]"},
		"long subject":           {connection.UpdateInput{ID: c.ID, Subject: ptr(strings.Repeat("x", 600))}, errs.BadUserInput, "subject"},
		"unknown":                {connection.UpdateInput{ID: uuid.New(), Subject: ptr("x")}, errs.NotFound, "id"},
		"another tenant's":       {connection.UpdateInput{ID: foreign.ID, Subject: ptr("x")}, errs.NotFound, "id"},
	} {
		_, err := k.Connections.Update(k.one.Ctx, test.in)
		t.Run(name, func(t *testing.T) { fails(t, err, test.kind, test.field) })
	}
	_, err = k.Connections.Update(k.one.As(t, tenant.ConnectionsRead), connection.UpdateInput{ID: c.ID, Subject: ptr("x")})
	fails(t, err, errs.Forbidden, "")
	k.wantEvents(c.ID, "CREATED")
	k.indexed(k.Row(t, c.ID), full)
	if row := k.Row(t, foreign.ID); row.Subject != nil {
		t.Error("another tenant's connection was changed")
	}
	if got := k.trail(c.ID); !slices.Contains(got, "connection.update refused") {
		t.Errorf("got trail %v", got)
	}
}

func TestUpdateSubject(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		for _, step := range []struct {
			in   connection.UpdateInput
			want string
		}{
			{connection.UpdateInput{Subject: ptr("user-7")}, "user-7"},
			{connection.UpdateInput{Merge: map[string]string{"a": "1"}}, "user-7"},
			{connection.UpdateInput{ClearSubject: true}, ""},
			{connection.UpdateInput{Subject: ptr("user-8")}, "user-8"},
			{connection.UpdateInput{Subject: ptr("")}, ""},
		} {
			step.in.ID = c.ID
			after, err := k.Connections.Update(k.one.Ctx, step.in)
			if err != nil || (after.Subject == nil) != (step.want == "") || after.Subject != nil && *after.Subject != step.want {
				t.Errorf("got %v, %v, want %q", after.Subject, err, step.want)
			}
		}
	})
}

// TestMergesAtOnce: forty callers in two processes each set a key of their own; none is lost, and the events have no gap.
func TestMergesAtOnce(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		processes := []*servicetest.Service{k.Service, k.Process(t)}
		want := map[string]string{}
		var group sync.WaitGroup
		for i := range 40 {
			key := fmt.Sprintf("key%d", i)
			want[key] = "set"
			group.Go(func() {
				_, err := processes[i%2].Connections.Update(k.one.Ctx, connection.UpdateInput{ID: c.ID, Merge: map[string]string{key: "set"}})
				if err != nil {
					t.Errorf("merging %s: %v", key, err)
				}
			})
		}
		group.Wait()
		k.indexed(k.Row(t, c.ID), want)
		if got := k.events(c.ID); len(got) != 41 {
			t.Errorf("got %d events, want 41", len(got))
		}
	})
}

func TestDelete(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c, _, err := k.create(k.Consent(t, user), func(in *connection.CreateInput) { in.Metadata = &map[string]string{"team": "red"} })
		if err != nil {
			t.Fatal(err)
		}
		k.served(k.read(c.ID), 1)
		for _, by := range []struct {
			ctx   ctx
			kind  errs.Kind
			field string
		}{
			{k.other.Ctx, errs.NotFound, "id"}, {k.one.As(t, tenant.CredentialsRead), errs.Forbidden, ""}, {t.Context(), errs.Unauthenticated, ""},
		} {
			fails(t, k.Connections.Delete(by.ctx, c.ID), by.kind, by.field)
		}
		k.served(k.read(c.ID), 1)
		if err := k.Connections.Delete(k.one.Ctx, c.ID); err != nil {
			t.Fatal(err)
		}
		if k.read(c.ID).NotConnected == "" || k.readFor(k.one.Ctx, c.ID, ptr(0)).NotConnected == "" {
			t.Error("a deleted connection's credential was handed out")
		}
		k.erased(c)
		fails(t, k.Connections.Delete(k.one.Ctx, c.ID), errs.NotFound, "id")
		if n, err := k.DB.Ent.ConnectionMetadata.Query().Count(k.all()); err != nil || n != 0 {
			t.Errorf("%d pairs are still indexed, %v", n, err)
		}
		k.wantEvents(c.ID, "CREATED", "DELETED")
		if e := k.eventRows(c.ID)[1]; e.PreviousState != "CONNECTED" || e.State != "" || e.Metadata["team"] != "red" {
			t.Errorf("got %+v", e)
		}
		want := []string{"connection.create", "connection.delete refused", "connection.delete"}
		if got := k.trail(c.ID); !slices.Equal(got, want) {
			t.Errorf("got trail %v, want %v", got, want)
		}
		k.sweep()
		if g := k.Ledger(user)[0]; g.EndedReason != "revoked" {
			t.Errorf("the grant is %s %s", g.Status, g.EndedReason)
		}
		again, created, err := k.create(k.Consent(t, user), nil)
		if err != nil || !created || again.ID == c.ID {
			t.Errorf("connecting again: %+v, created %v, %v", again, created, err)
		}
	})
}

// TestDeleteAtOnce: of ten deletions one happens.
func TestDeleteAtOnce(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		var group sync.WaitGroup
		var mu sync.Mutex
		done := 0
		for range 10 {
			group.Go(func() {
				switch err := k.Connections.Delete(k.one.Ctx, c.ID); {
				case err == nil:
					mu.Lock()
					done++
					mu.Unlock()
				default:
					fails(t, err, errs.NotFound, "id")
				}
			})
		}
		group.Wait()
		if done != 1 {
			t.Errorf("%d deletions succeeded", done)
		}
		k.wantEvents(c.ID, "CREATED", "DELETED")
	})
}

// TestDeleteWhateverIsBroken: a vault that is away stops a deletion, because the grant could not be revoked; an app whose
// secret does not open does not.
func TestDeleteWhateverIsBroken(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		back := k.Vault.Away()
		fails(t, k.Connections.Delete(k.one.Ctx, c.ID), errs.VaultUnavailable, "")
		back()
		k.served(k.read(c.ID), 1)
		k.wantEvents(c.ID, "CREATED")
		foreign, err := k.DB.Ent.OAuthApp.Get(k.other.Ctx, k.other.App.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.DB.Ent.OAuthApp.UpdateOneID(k.one.App.ID).SetClientSecret(foreign.ClientSecret).Exec(k.one.Ctx); err != nil {
			t.Fatal(err)
		}
		if err := k.Connections.Delete(k.one.Ctx, c.ID); err != nil {
			t.Errorf("with an unreadable secret: %v", err)
		}
		k.erased(c)
	})
}

func TestRefresh(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		after, err := k.Connections.Refresh(k.one.Ctx, c.ID)
		if err != nil || after.Generation != 2 {
			t.Fatalf("got %+v, %v", after, err)
		}
		k.served(k.read(c.ID), 2)
		_, err = k.Connections.Refresh(k.other.Ctx, c.ID)
		fails(t, err, errs.NotFound, "id")
		_, err = k.Connections.Refresh(k.one.As(t, tenant.ConnectionsRead), c.ID)
		fails(t, err, errs.Forbidden, "")
		if got, want := k.trail(c.ID), []string{"connection.create", "connection.refresh", "connection.refresh refused"}; !slices.Equal(got, want) {
			t.Errorf("got trail %v, want %v", got, want)
		}
		k.leave()
		after, err = k.Connections.Refresh(k.one.Ctx, c.ID)
		if err != nil || connection.FailureOf(after) == nil || connection.FailureOf(after).Reason != "REVOKED" {
			t.Fatalf("got %+v, %v", after, err)
		}
		k.served2(c.ID, 2)
		k.Clock.Advance(time.Minute)
		after, err = k.Connections.Refresh(k.one.Ctx, c.ID)
		if err != nil || after.State != "DISCONNECTED" {
			t.Fatalf("got %+v, %v", after, err)
		}
		_, err = k.Connections.Refresh(k.one.Ctx, c.ID)
		fails(t, err, errs.ReauthorizationRequired, "id")
		k.totals(1, 1)
	})
}

// served2 expects a version that is handed out though the provider has ended it: its life is not over as far as we know.
func (k *kit) served2(connectionID uuid.UUID, version int64) {
	k.t.Helper()
	if got := k.read(connectionID).Credential; got == nil || got.Version != version {
		k.t.Errorf("got %+v, want version %d", got, version)
	}
}

// TestRefreshFailuresOfOurOwn are errors of the call and do not touch the connection.
func TestRefreshFailuresOfOurOwn(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		back := k.Vault.Away()
		_, err := k.Connections.Refresh(k.one.Ctx, c.ID)
		fails(t, err, errs.VaultUnavailable, "")
		back()
		wrong := secret.New("wrong")
		if _, err := k.Apps.Update(k.one.Ctx, app.UpdateInput{ID: k.one.App.ID, ClientSecret: &wrong}); err != nil {
			t.Fatal(err)
		}
		after, err := k.Connections.Refresh(k.one.Ctx, c.ID)
		if err != nil || connection.FailureOf(after).Class != "APP_MISCONFIGURED" {
			t.Errorf("got %+v, %v", after, err)
		}
		a, err := k.DB.Ent.OAuthApp.Get(k.one.Ctx, k.one.App.ID)
		if err != nil || connection.AppFailureOf(a) == nil || connection.AppFailureOf(a).Class != "APP_MISCONFIGURED" {
			t.Errorf("got %+v, %v", a, err)
		}
	})
}
