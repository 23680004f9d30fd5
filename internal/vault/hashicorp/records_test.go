package hashicorp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

// kvPath is where KV has a record, in one of its views: data, metadata, delete.
func kvPath(s *server.Server, view string, ref vault.Ref) string {
	_, kv := s.Mounts()
	return kv + "/" + view + "/tokenkeep/tenants/" + ref.Tenant.String() + "/connections/" + ref.Connection.String()
}

// versions returns what KV still holds of each version of a record, as text.
func versions(t *testing.T, s *server.Server, ref vault.Ref) map[int]string {
	t.Helper()
	found := map[int]string{}
	for n := 1; n <= 30; n++ {
		got, err := s.Client().Logical().ReadWithDataWithContext(t.Context(), kvPath(s, "data", ref), map[string][]string{"version": {fmt.Sprint(n)}})
		if err != nil {
			t.Fatal(err)
		}
		if got == nil || got.Data["data"] == nil {
			continue
		}
		text, err := json.Marshal(got.Data["data"])
		if err != nil {
			t.Fatal(err)
		}
		found[n] = string(text)
	}
	return found
}

// TestOneVersion keeps one version of a record, whatever the mount keeps.
func TestOneVersion(t *testing.T) {
	s := sharedServer(t)
	v := openVault(t, rootOptions(s))
	ref := newRef(t, v)
	var cas vault.CAS
	for generation := int64(1); generation < 6; generation++ {
		cas = write(t, v, ref, generation, cas)
		if got := versions(t, s, ref); len(got) != 1 || got[int(cas)] == "" {
			t.Errorf("generation %d: got %d versions, want only number %d", generation, len(got), cas)
		}
	}
}

// TestEraseLeavesNothing erases a record of which KV, set up by somebody else, has kept many versions.
func TestEraseLeavesNothing(t *testing.T) {
	s := sharedServer(t)
	v := openVault(t, rootOptions(s))
	ref := newRef(t, v)
	cas := write(t, v, ref, 1, 0)
	s.Write(t, kvPath(s, "metadata", ref), map[string]any{"max_versions": 20})
	for generation := int64(2); generation < 6; generation++ {
		cas = write(t, v, ref, generation, cas)
	}
	if got := versions(t, s, ref); len(got) != 5 {
		t.Fatalf("got %d versions, want all 5", len(got))
	}
	for range 2 {
		if err := v.EraseRecord(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		for n, text := range versions(t, s, ref) {
			if strings.Contains(text, "record") || n != int(cas)+1 {
				t.Errorf("version %d is still there: %s", n, text)
			}
		}
	}
}

// TestEraseIsFinished interrupts an erasure between its note and the destruction of what was before: the next one
// finishes it.
func TestEraseIsFinished(t *testing.T) {
	s := sharedServer(t)
	p := newProxy(t, s)
	o := p.through(rootOptions(s))
	o.Retries = -1
	v := openVault(t, o)
	ref := newRef(t, v)
	write(t, v, ref, 1, 0)
	s.Write(t, kvPath(s, "metadata", ref), map[string]any{"max_versions": 20})
	p.set(refuse(1, http.StatusBadGateway, "", "/destroy/"))
	wantError(t, "interrupted", v.EraseRecord(t.Context(), ref), vault.ErrUnavailable)
	if got := versions(t, s, ref); !strings.Contains(got[1], "record") {
		t.Fatalf("the first version went too early: %v", got)
	}
	if err := v.EraseRecord(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if got := versions(t, s, ref); len(got) != 1 || strings.Contains(got[2], "record") {
		t.Errorf("got %v, want the note alone", got)
	}
}

// TestEraseInDoubt loses the answer to the note: the erasure finds its own note and is done.
func TestEraseInDoubt(t *testing.T) {
	s := sharedServer(t)
	p := newProxy(t, s)
	v := openVault(t, p.through(rootOptions(s)))
	ref := newRef(t, v)
	write(t, v, ref, 1, 0)
	p.set(swallow(http.StatusBadGateway, "PUT", dataPath))
	if err := v.EraseRecord(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if got := p.count("PUT", dataPath); got != 1 {
		t.Errorf("the note was written %d times, want once", got)
	}
}

// TestDeletedByHand deletes and destroys in KV itself: the record counts as erased, and a new consent goes over it.
func TestDeletedByHand(t *testing.T) {
	s := sharedServer(t)
	v := openVault(t, rootOptions(s))
	for _, how := range []string{"delete", "destroy"} {
		ref := newRef(t, v)
		cas := write(t, v, ref, 1, 0)
		s.Write(t, kvPath(s, how, ref), map[string]any{"versions": []int64{int64(cas)}})
		_, number, err := v.ReadRecord(t.Context(), ref)
		wantError(t, how, err, vault.ErrErased)
		_, err = v.WriteRecord(t.Context(), ref, seal(t, v, ref, 2), 0)
		wantError(t, "writing it as new", err, vault.ErrErased)
		write(t, v, ref, 2, number)
		wantOpens(t, v, ref, 2)
	}
}

// TestSpoiltByHand puts what is no record in a record's place.
func TestSpoiltByHand(t *testing.T) {
	s := sharedServer(t)
	v := openVault(t, rootOptions(s))
	for name, data := range map[string]map[string]any{
		"nothing":      {},
		"another name": {"foo": "bar"},
		"no base64":    {"record": "***"},
		"no record":    {"record": "AAAA"},
		"a line break": {"record": "QUFB\n"},
	} {
		ref := newRef(t, v)
		write(t, v, ref, 1, 0)
		s.Write(t, kvPath(s, "data", ref), map[string]any{"data": data})
		_, number, err := v.ReadRecord(t.Context(), ref)
		wantError(t, name, err, vault.ErrCorrupt)
		write(t, v, ref, 2, number)
		wantOpens(t, v, ref, 2)
	}
}

// TestListIgnoresOthers lists a folder in which somebody else has put things of their own.
func TestListIgnoresOthers(t *testing.T) {
	s := sharedServer(t)
	v := openVault(t, rootOptions(s))
	ref := newRef(t, v)
	write(t, v, ref, 1, 0)
	_, kv := s.Mounts()
	folder := kv + "/data/tokenkeep/tenants/" + ref.Tenant.String() + "/connections/"
	for _, name := range []string{"notes", "deep/er", strings.ToUpper(uuid.NewString())} {
		s.Write(t, folder+name, map[string]any{"data": map[string]any{"a": "b"}})
	}
	got, err := v.ListRecords(t.Context(), ref.Tenant, uuid.Nil, 100)
	if err != nil || len(got) != 1 || got[0] != ref.Connection {
		t.Errorf("got %v, %v, want %v", got, err, ref.Connection)
	}
}

// TestNothingReadable looks for what is sealed in KV, and tries to open it with another tenant's key.
func TestNothingReadable(t *testing.T) {
	s := sharedServer(t)
	v := openVault(t, rootOptions(s))
	ref, other := newRef(t, v), newRef(t, v)
	dk, err := v.NewDataKey(t.Context(), ref.Tenant)
	if err != nil {
		t.Fatal(err)
	}
	r, err := vault.SealRecord(dk, ref, vault.Header{Generation: 1, Attempt: uuid.New(), Origin: "exchange"}, tokens)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.WriteRecord(t.Context(), ref, r, 0); err != nil {
		t.Fatal(err)
	}
	got, err := s.Client().Logical().ReadWithContext(t.Context(), kvPath(s, "data", ref))
	if err != nil {
		t.Fatal(err)
	}
	stored := decodeBase64(t, got.Data["data"].(map[string]any)["record"].(string))
	for _, plain := range []secret.Bytes{tokens, dk.Plain} {
		if strings.Contains(string(stored), string(plain.Reveal())) {
			t.Error("what rests in KV contains a secret")
		}
	}
	_, err = vault.OpenRecord(t.Context(), v, vault.Ref{Tenant: other.Tenant, Connection: ref.Connection}, r)
	wantError(t, "opening it as another tenant's", err, vault.ErrCorrupt)
}

// TestMountSettings uses a mount that keeps one version by itself, which saves a request for each new connection, and one
// that insists on check-and-set, which is what we do.
func TestMountSettings(t *testing.T) {
	s := server.Start(t, server.Options{})
	p := newProxy(t, s)
	s.Write(t, "secret/config", map[string]any{"max_versions": 1, "cas_required": true})
	v := openVault(t, p.through(rootOptions(s)))
	ref := newRef(t, v)
	cas := write(t, v, ref, 1, 0)
	write(t, v, ref, 2, cas)
	if got := versions(t, s, ref); len(got) != 1 {
		t.Errorf("got %d versions, want 1", len(got))
	}
	if got := p.count("PUT", "/metadata/"); got != 0 {
		t.Errorf("the number of versions was set %d times, want never", got)
	}
	if err := v.EraseRecord(t.Context(), ref); err != nil {
		t.Error(err)
	}
	if err := v.Health(t.Context()); err != nil {
		t.Error(err)
	}
}
