package vault_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// memoryKeys wraps a data key by remembering it: wrapped bytes are a ticket of one tenant.
type memoryKeys struct {
	vault.Keys
	plain map[string]secret.Bytes
	calls int
}

func newMemoryKeys() *memoryKeys { return &memoryKeys{plain: map[string]secret.Bytes{}} }

func (k *memoryKeys) NewDataKey(_ context.Context, tenant uuid.UUID) (vault.DataKey, error) {
	plain := make([]byte, 32)
	rand.Read(plain)
	ticket := uuid.New()
	k.plain[tenant.String()+ticket.String()] = secret.NewBytes(plain)
	return vault.DataKey{Plain: secret.NewBytes(plain), Wrapped: vault.WrappedKey{Version: 1, Bytes: ticket[:]}}, nil
}

func (k *memoryKeys) UnwrapDataKeys(_ context.Context, tenant uuid.UUID, wrapped []vault.WrappedKey) ([]secret.Bytes, error) {
	k.calls++
	var out []secret.Bytes
	for _, w := range wrapped {
		ticket, err := uuid.FromBytes(w.Bytes)
		plain, known := k.plain[tenant.String()+ticket.String()]
		if err != nil || !known {
			return nil, vault.ErrCorrupt
		}
		out = append(out, plain)
	}
	return out, nil
}

var (
	tokens = secret.NewBytes([]byte(`{"access_token":"at-1","refresh_token":"rt-1"}`))
	ref    = vault.Ref{Tenant: uuid.New(), Connection: uuid.New()}
	header = vault.Header{Generation: 7, Attempt: uuid.New(), Origin: "refresh"}
)

func sealed(t *testing.T, k vault.Keys, ref vault.Ref, h vault.Header) vault.Record {
	t.Helper()
	dk, err := k.NewDataKey(t.Context(), ref.Tenant)
	if err != nil {
		t.Fatal(err)
	}
	r, err := vault.SealRecord(dk, ref, h, tokens)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRecordOpensAsItWasSealed(t *testing.T) {
	k := newMemoryKeys()
	r := sealed(t, k, ref, header)
	got, err := vault.OpenRecord(t.Context(), k, ref, r)
	if err != nil || !got.Equal(tokens) {
		t.Fatalf("got error %v, equal %v", err, got.Equal(tokens))
	}
	if bytes.Contains(r.Ciphertext, []byte("rt-1")) {
		t.Error("the ciphertext contains the token")
	}
	if again := sealed(t, k, ref, header); bytes.Equal(again.Ciphertext, r.Ciphertext) {
		t.Error("two sealings give the same ciphertext")
	}
}

func TestRecordDoesNotOpenOtherwise(t *testing.T) {
	k := newMemoryKeys()
	good := sealed(t, k, ref, header)
	key := k.plain[ref.Tenant.String()+uuid.UUID(good.Key.Bytes).String()]
	for name, change := range map[string]func(*vault.Ref, *vault.Record){
		"other tenant":        func(f *vault.Ref, _ *vault.Record) { f.Tenant = uuid.New() },
		"other connection":    func(f *vault.Ref, _ *vault.Record) { f.Connection = uuid.New() },
		"swapped identifiers": func(f *vault.Ref, _ *vault.Record) { f.Tenant, f.Connection = f.Connection, f.Tenant },
		"generation raised":   func(_ *vault.Ref, r *vault.Record) { r.Generation++ },
		"generation negative": func(_ *vault.Ref, r *vault.Record) { r.Generation = -r.Generation },
		"other attempt":       func(_ *vault.Ref, r *vault.Record) { r.Attempt = uuid.New() },
		"other origin":        func(_ *vault.Ref, r *vault.Record) { r.Origin = "exchange" },
		"no origin":           func(_ *vault.Ref, r *vault.Record) { r.Origin = "" },
		"other format":        func(_ *vault.Ref, r *vault.Record) { r.Ciphertext[0]++ },
		"nonce altered":       func(_ *vault.Ref, r *vault.Record) { r.Ciphertext[1]++ },
		"tag altered":         func(_ *vault.Ref, r *vault.Record) { r.Ciphertext[len(r.Ciphertext)-1]++ },
		"truncated":           func(_ *vault.Ref, r *vault.Record) { r.Ciphertext = r.Ciphertext[:len(r.Ciphertext)-1] },
		"empty":               func(_ *vault.Ref, r *vault.Record) { r.Ciphertext = nil },
	} {
		t.Run(name, func(t *testing.T) {
			f, r := ref, good
			r.Ciphertext = bytes.Clone(good.Ciphertext)
			change(&f, &r)
			if got, err := vault.OpenRecordWith(key, f, r); !errors.Is(err, vault.ErrCorrupt) || got.Len() != 0 {
				t.Errorf("with the right key: got %d bytes and error %v, want ErrCorrupt", got.Len(), err)
			}
			if _, err := vault.OpenRecord(t.Context(), k, f, r); !errors.Is(err, vault.ErrCorrupt) {
				t.Errorf("through the store: got %v, want ErrCorrupt", err)
			}
		})
	}
}

func TestRecordRefusesWhatBindsNothing(t *testing.T) {
	k := newMemoryKeys()
	for name, change := range map[string]func(*vault.DataKey, *vault.Ref, *vault.Header){
		"no tenant":     func(_ *vault.DataKey, f *vault.Ref, _ *vault.Header) { f.Tenant = uuid.Nil },
		"no connection": func(_ *vault.DataKey, f *vault.Ref, _ *vault.Header) { f.Connection = uuid.Nil },
		"generation 0":  func(_ *vault.DataKey, _ *vault.Ref, h *vault.Header) { h.Generation = 0 },
		"no attempt":    func(_ *vault.DataKey, _ *vault.Ref, h *vault.Header) { h.Attempt = uuid.Nil },
		"no origin":     func(_ *vault.DataKey, _ *vault.Ref, h *vault.Header) { h.Origin = "" },
		"short key":     func(k *vault.DataKey, _ *vault.Ref, _ *vault.Header) { k.Plain = secret.NewBytes(make([]byte, 16)) },
		"not wrapped":   func(k *vault.DataKey, _ *vault.Ref, _ *vault.Header) { k.Wrapped = vault.WrappedKey{} },
	} {
		dk, _ := k.NewDataKey(t.Context(), ref.Tenant)
		f, h := ref, header
		change(&dk, &f, &h)
		if _, err := vault.SealRecord(dk, f, h, tokens); !errors.Is(err, vault.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if _, err := vault.OpenRecord(t.Context(), k, vault.Ref{Connection: uuid.New()}, vault.Record{}); !errors.Is(err, vault.ErrInvalid) {
		t.Errorf("opening without tenant: got %v, want ErrInvalid", err)
	}
}

func TestOpenRecordsSpoilsOnlyTheBadOne(t *testing.T) {
	k := newMemoryKeys()
	var items []vault.RecordOf
	for range 9 {
		f := vault.Ref{Tenant: ref.Tenant, Connection: uuid.New()}
		items = append(items, vault.RecordOf{Connection: f.Connection, Record: sealed(t, k, f, header)})
	}
	_, err := vault.OpenRecords(t.Context(), k, ref.Tenant, items)
	if err != nil || k.calls != 1 {
		t.Fatalf("got error %v after %d calls, want none after 1", err, k.calls)
	}
	items[2].Connection = uuid.New()                // moved
	items[5].Record.Key.Bytes = []byte("not a key") // altered
	for _, tenant := range []uuid.UUID{ref.Tenant, uuid.New()} {
		opened, err := vault.OpenRecords(t.Context(), k, tenant, items)
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range opened {
			bad := tenant != ref.Tenant || slices.Contains([]int{2, 5}, i)
			if got := errors.Is(o.Err, vault.ErrCorrupt); got != bad || o.Plaintext.Equal(tokens) == bad {
				t.Errorf("record %d: got error %v, want corrupt %v", i, o.Err, bad)
			}
		}
	}
}

func TestValues(t *testing.T) {
	k := newMemoryKeys()
	place := vault.Place{Tenant: uuid.New(), Purpose: vault.PurposeClientSecret, Object: uuid.New()}
	value := secret.NewBytes([]byte("client secret"))
	s, err := vault.Seal(t.Context(), k, place, value)
	if err != nil || s.KeyVersion != 1 {
		t.Fatalf("got error %v, key version %d", err, s.KeyVersion)
	}
	if got, err := vault.Unseal(t.Context(), k, place, s.Bytes); err != nil || !got.Equal(value) {
		t.Fatalf("got error %v", err)
	}
	for i := range s.Bytes {
		altered := bytes.Clone(s.Bytes)
		altered[i] ^= 0x40
		// The key version is the store's business, and this store has only tickets.
		if _, err := vault.Unseal(t.Context(), k, place, altered); !errors.Is(err, vault.ErrCorrupt) && (i < 2 || i > 5) {
			t.Errorf("byte %d altered: got %v, want ErrCorrupt", i, err)
		}
		if _, err := vault.Unseal(t.Context(), k, place, s.Bytes[:i]); !errors.Is(err, vault.ErrCorrupt) {
			t.Errorf("cut at %d: got %v, want ErrCorrupt", i, err)
		}
	}
	for name, p := range map[string]vault.Place{
		"other tenant":  {Tenant: uuid.New(), Purpose: place.Purpose, Object: place.Object},
		"other purpose": {Tenant: place.Tenant, Purpose: vault.PurposeWebhookSecret, Object: place.Object},
		"other object":  {Tenant: place.Tenant, Purpose: place.Purpose, Object: uuid.New()},
	} {
		if _, err := vault.Unseal(t.Context(), k, p, s.Bytes); !errors.Is(err, vault.ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", name, err)
		}
	}
	for name, p := range map[string]vault.Place{
		"no tenant":       {Purpose: place.Purpose, Object: place.Object},
		"no object":       {Tenant: place.Tenant, Purpose: place.Purpose},
		"no purpose":      {Tenant: place.Tenant, Object: place.Object},
		"purpose records": {Tenant: place.Tenant, Purpose: vault.PurposeTokenSet, Object: place.Object},
	} {
		if _, err := vault.Seal(t.Context(), k, p, value); !errors.Is(err, vault.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}
