package hashicorp_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
)

// counted opens a vault behind a proxy that counts. One read ahead of the counting settles what is asked once per process.
func counted(t *testing.T) (*proxy, *hashicorp.Vault) {
	t.Helper()
	s := sharedServer(t)
	p := newProxy(t, s)
	v := openVault(t, p.through(rootOptions(s)))
	_, _, err := v.ReadRecord(t.Context(), newRef(t, v))
	wantError(t, "reading", err, vault.ErrNotFound)
	return p, v
}

func wantCalls(t *testing.T, p *proxy, what string, want int) {
	t.Helper()
	if got := p.count(); got != want {
		t.Errorf("%s: got %d requests, want %d:\n%s", what, got, want, p.list())
	}
	p.set(nil)
}

// TestCalls counts the requests of what is done most often.
func TestCalls(t *testing.T) {
	p, v := counted(t)
	ref := newRef(t, v)
	cas := write(t, v, ref, 1, 0)
	p.set(nil)

	wantOpens(t, v, ref, 1)
	wantCalls(t, p, "a credential that is not cached", 2)
	wantOpens(t, v, ref, 1)
	wantCalls(t, p, "its data key is cached", 1)

	// A refresh as the protocol has it: the head is read and opened, a data key is made, the commit is written.
	cas = write(t, v, ref, 2, cas)
	p.set(nil)
	wantOpens(t, v, ref, 2)
	write(t, v, ref, 3, cas)
	wantCalls(t, p, "a refresh", 4)

	place := vault.Place{Tenant: ref.Tenant, Purpose: vault.PurposeClientSecret, Object: uuid.New()}
	sealed, err := vault.Seal(t.Context(), v, place, tokens)
	if err != nil {
		t.Fatal(err)
	}
	wantCalls(t, p, "sealing a value", 1)
	for _, want := range []int{1, 0} {
		if _, err := vault.Unseal(t.Context(), v, place, sealed.Bytes); err != nil {
			t.Fatal(err)
		}
		wantCalls(t, p, "unsealing a value", want)
	}
	if _, err := v.MAC(t.Context(), []byte("an API key")); err != nil {
		t.Fatal(err)
	}
	wantCalls(t, p, "a MAC", 1)
}

// TestCallsBatched opens a hundred records and wraps them anew, with one request each.
func TestCallsBatched(t *testing.T) {
	p, v := counted(t)
	tenant := newRef(t, v).Tenant
	var items []vault.RecordOf
	var wrapped []vault.WrappedKey
	for range 100 {
		ref := vault.Ref{Tenant: tenant, Connection: uuid.New()}
		r := seal(t, v, ref, 1)
		items = append(items, vault.RecordOf{Connection: ref.Connection, Record: r})
		wrapped = append(wrapped, r.Key)
	}
	p.set(nil)
	opened, err := vault.OpenRecords(t.Context(), v, tenant, items)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range opened {
		if o.Err != nil || !o.Plaintext.Equal(tokens) {
			t.Fatalf("record %d: %v", i, o.Err)
		}
	}
	wantCalls(t, p, "opening a hundred", 1)
	if _, err := v.RewrapDataKeys(t.Context(), tenant, wrapped); err != nil {
		t.Fatal(err)
	}
	wantCalls(t, p, "re-wrapping a hundred", 1)
}

// TestCallsBatchedWithBadOnes: transit refuses a batch as a whole, and says which of its items it refuses.
func TestCallsBatchedWithBadOnes(t *testing.T) {
	p, v := counted(t)
	tenant := newRef(t, v).Tenant
	foreign := newRef(t, v).Tenant
	var items []vault.RecordOf
	for i := range 100 {
		ref := vault.Ref{Tenant: tenant, Connection: uuid.New()}
		if i%40 == 7 {
			ref.Tenant = foreign
		}
		items = append(items, vault.RecordOf{Connection: ref.Connection, Record: seal(t, v, ref, 1)})
	}
	items[50].Record.Key.Bytes = []byte("vault:v1:no base64")
	p.set(nil)
	opened, err := vault.OpenRecords(t.Context(), v, tenant, items)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range opened {
		bad := i%40 == 7 || i == 50
		if errors.Is(o.Err, vault.ErrCorrupt) != bad || o.Plaintext.Equal(tokens) == bad {
			t.Errorf("record %d: got %v, want corrupt %v", i, o.Err, bad)
		}
	}
	wantCalls(t, p, "opening a hundred, three of another tenant's key and one of none", 1)
	if opened, err := vault.OpenRecords(t.Context(), v, foreign, items[:5]); err != nil || !errors.Is(opened[4].Err, vault.ErrCorrupt) {
		t.Errorf("got %+v, %v: want all corrupt", opened, err)
	}
	wantCalls(t, p, "opening five that are all another tenant's", 1)
	if _, err := v.RewrapDataKeys(t.Context(), tenant, []vault.WrappedKey{items[0].Record.Key, items[7].Record.Key}); !errors.Is(err, vault.ErrCorrupt) {
		t.Errorf("re-wrapping: got %v, want ErrCorrupt", err)
	}
}

// TestCallsOfAList pages through a list that is asked for once, and once more at its end.
func TestCallsOfAList(t *testing.T) {
	p, v := counted(t)
	tenant := newRef(t, v).Tenant
	for range 9 {
		write(t, v, vault.Ref{Tenant: tenant, Connection: uuid.New()}, 1, 0)
	}
	p.set(nil)
	after, pages := uuid.Nil, 0
	for {
		page, err := v.ListRecords(t.Context(), tenant, after, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		after, pages = page[len(page)-1], pages+1
	}
	if pages != 3 {
		t.Errorf("got %d pages, want 3", pages)
	}
	wantCalls(t, p, "listing", 2)
}

// TestCacheForgets uses the bound, the life and the switch of the cache of data keys.
func TestCacheForgets(t *testing.T) {
	s := sharedServer(t)
	p := newProxy(t, s)
	for name, change := range map[string]func(*hashicorp.Options){
		"no room": func(o *hashicorp.Options) { o.KeyCache = -1 },
		"no life": func(o *hashicorp.Options) { o.KeyLife = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			o := p.through(rootOptions(s))
			change(&o)
			v := openVault(t, o)
			ref := newRef(t, v)
			r := seal(t, v, ref, 1)
			p.set(nil)
			for range 2 {
				if _, err := vault.OpenRecord(t.Context(), v, ref, r); err != nil {
					t.Fatal(err)
				}
			}
			wantCalls(t, p, "opening twice", 2)
		})
	}
}
