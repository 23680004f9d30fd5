package zoomsim_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// restart puts an emulator's state into a new one at the same time of day.
func restart(t *testing.T, z *zoom) *zoom {
	t.Helper()
	data, err := z.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	next := newZoom(t)
	next.now = z.clock()
	if err := next.Restore(data); err != nil {
		t.Fatal(err)
	}
	return next
}

func TestRestoreCarriesOn(t *testing.T) {
	z := newZoom(t)
	first := z.connect("ada")
	ada := z.refresh(first.Refresh)
	z.connect("grace")
	if _, err := z.EndGrants("grace", "", "left"); err != nil {
		t.Fatal(err)
	}
	code := z.consent("carol")
	if err := z.SetSwitches(zoomsim.Switches{AccessLifeSeconds: 60}); err != nil {
		t.Fatal(err)
	}
	z.post("/oauth/token", refreshForm(first.Refresh)) // refused: rotated away

	next := restart(t, z)
	if got, want := next.Ledger(), z.Ledger(); !reflect.DeepEqual(got, want) {
		t.Errorf("got the ledger %+v, want %+v", got, want)
	}
	if got, want := next.Users(), z.Users(); !reflect.DeepEqual(got, want) {
		t.Errorf("got the users %+v, want %+v", got, want)
	}
	if got, want := next.Clients(), z.Clients(); !reflect.DeepEqual(got, want) {
		t.Errorf("got the clients %+v, want %+v", got, want)
	}
	if got, want := next.Switches(), z.Switches(); got != want {
		t.Errorf("got the switches %+v, want %+v", got, want)
	}

	if r := next.me(ada.Access); r.status != 200 {
		t.Errorf("got %d for a living access token, want 200", r.status)
	}
	if r := next.post("/oauth/token", refreshForm(first.Refresh)); r.status != 400 {
		t.Errorf("got %d for a token that was rotated away, want 400", r.status)
	}
	next.refresh(ada.Refresh)
	if r := next.post("/oauth/token", codeForm(code)); r.status != 200 {
		t.Errorf("got %d for a code that was not spent yet, want 200", r.status)
	}
	again := restart(t, next)
	if r := again.post("/oauth/token", codeForm(code)); r.status != 400 || again.Ledger().Totals.Duplicates != 1 {
		t.Errorf("got %d and %d duplicates for a spent code, want 400 and 1", r.status, again.Ledger().Totals.Duplicates)
	}
	if got := again.Ledger().Grants; len(got) != 3 || got[2].ID != "grant-3" {
		t.Errorf("got the grants %+v, want a third one that is numbered on", got)
	}
}

func TestSnapshotHoldsNoTokens(t *testing.T) {
	z := newZoom(t)
	tk := z.refresh(z.connect("ada").Refresh)
	code := z.consent("grace")
	data, err := z.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{tk.Access, tk.Refresh, code, "zsim_"} {
		if strings.Contains(string(data), value) {
			t.Errorf("the snapshot holds %s", value)
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	z := newZoom(t)
	z.connect("ada")
	good, err := z.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	change := func(edit func(map[string]any)) []byte {
		var m map[string]any
		if err := json.Unmarshal(good, &m); err != nil {
			t.Fatal(err)
		}
		edit(m)
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, data := range map[string][]byte{
		"not JSON":      []byte("torn"),
		"cut off":       good[:len(good)/2],
		"another time":  change(func(m map[string]any) { m["version"] = 99 }),
		"without users": change(func(m map[string]any) { m["users"] = nil }),
		"bad client":    change(func(m map[string]any) { m["clients"] = []any{map[string]any{"client_id": "x"}} }),
		"no tokens": change(func(m map[string]any) {
			m["grants"].([]any)[0].(map[string]any)["access_tokens"] = nil
		}),
	} {
		t.Run(name, func(t *testing.T) {
			before := z.Ledger()
			if err := z.Restore(data); !errors.Is(err, zoomsim.ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
			if !reflect.DeepEqual(z.Ledger(), before) {
				t.Error("the state has changed")
			}
		})
	}
}
