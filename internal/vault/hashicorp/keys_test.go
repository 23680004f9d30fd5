package hashicorp_test

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

func transitPath(s *server.Server, tenant uuid.UUID) string {
	transit, _ := s.Mounts()
	return transit + "/keys/tokenkeep-" + tenant.String()
}

// keyExists asks transit itself.
func keyExists(t *testing.T, s *server.Server, tenant uuid.UUID) bool {
	t.Helper()
	got, err := s.Client().Logical().ReadWithContext(t.Context(), transitPath(s, tenant))
	if err != nil {
		t.Fatal(err)
	}
	return got != nil
}

// TestKeysAreNeverCreated uses a tenant without a key in every way: transit has none afterwards.
func TestKeysAreNeverCreated(t *testing.T) {
	s := sharedServer(t)
	v := openVault(t, rootOptions(s))
	tenant := uuid.New()
	wrapped := seal(t, v, newRef(t, v), 1).Key
	for what, err := range map[string]error{
		"a data key":          second(v.NewDataKey(t.Context(), tenant)),
		"unwrapping":          second(v.UnwrapDataKeys(t.Context(), tenant, []vault.WrappedKey{wrapped})),
		"re-wrapping":         second(v.RewrapDataKeys(t.Context(), tenant, []vault.WrappedKey{wrapped})),
		"rotating":            second(v.RotateKey(t.Context(), tenant)),
		"its versions":        second(v.KeyInfo(t.Context(), tenant)),
		"raising the minimum": v.SetMinVersion(t.Context(), tenant, 1),
	} {
		wantError(t, what, err, vault.ErrNoKey)
	}
	if keyExists(t, s, tenant) {
		t.Error("one of them made a key")
	}
}

func second[T any](_ T, err error) error { return err }

// TestKeyIsWhatItShouldBe looks at a tenant's key in transit: it cannot leave and nobody deletes it by mistake.
func TestKeyIsWhatItShouldBe(t *testing.T) {
	s := sharedServer(t)
	v := openVault(t, rootOptions(s))
	ref := newRef(t, v)
	got, err := s.Client().Logical().ReadWithContext(t.Context(), transitPath(s, ref.Tenant))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"type": "aes256-gcm96", "exportable": false, "deletion_allowed": false, "allow_plaintext_backup": false, "derived": false,
	} {
		if got.Data[name] != want {
			t.Errorf("%s: got %v, want %v", name, got.Data[name], want)
		}
	}
}

// TestMinVersionIsForGood raises the minimum: no setting of the key brings the older versions back.
func TestMinVersionIsForGood(t *testing.T) {
	s := sharedServer(t)
	v, other := openVault(t, rootOptions(s)), openVault(t, rootOptions(s))
	ref := newRef(t, v)
	old := seal(t, v, ref, 1).Key
	for _, p := range []vault.Vault{v, other} {
		if _, err := p.UnwrapDataKeys(t.Context(), ref.Tenant, []vault.WrappedKey{old}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := v.RotateKey(t.Context(), ref.Tenant); err != nil {
		t.Fatal(err)
	}
	var racers sync.WaitGroup
	for range 4 {
		racers.Go(func() {
			if err := v.SetMinVersion(t.Context(), ref.Tenant, 2); err != nil {
				t.Error(err)
			}
		})
	}
	racers.Wait()
	_, err := v.UnwrapDataKeys(t.Context(), ref.Tenant, []vault.WrappedKey{old})
	wantError(t, "unwrapping under the old version", err, vault.ErrCorrupt)
	_, err = s.Client().Logical().WriteWithContext(t.Context(), transitPath(s, ref.Tenant)+"/config", map[string]any{"min_decryption_version": 1})
	if err == nil {
		_, err = v.UnwrapDataKeys(t.Context(), ref.Tenant, []vault.WrappedKey{old})
		wantError(t, "after somebody lowered the minimum", err, vault.ErrCorrupt)
	}
}

// TestDestructionIsFinished interrupts a destruction at each of its steps: creating the key fails from the first on, and
// destroying it again finishes.
func TestDestructionIsFinished(t *testing.T) {
	s := sharedServer(t)
	p := newProxy(t, s)
	o := p.through(rootOptions(s))
	o.Retries = -1
	v := openVault(t, o)
	for _, step := range []string{"/keys/", "DELETE"} {
		ref := newRef(t, v)
		p.set(refuse(1, http.StatusBadGateway, "", step))
		wantError(t, "interrupted at "+step, v.DestroyKey(t.Context(), ref.Tenant), vault.ErrUnavailable)
		if !keyExists(t, s, ref.Tenant) {
			t.Fatal("the key is gone already")
		}
		wantError(t, "creating it", v.CreateKey(t.Context(), ref.Tenant), vault.ErrNoKey)
		if err := v.DestroyKey(t.Context(), ref.Tenant); err != nil {
			t.Fatal(err)
		}
		if keyExists(t, s, ref.Tenant) {
			t.Error("the key is still there")
		}
	}
}

// TestDestructionInDoubt loses the answer to the mark, and to the deletion: both are looked for and found done.
func TestDestructionInDoubt(t *testing.T) {
	s := sharedServer(t)
	p := newProxy(t, s)
	v := openVault(t, p.through(rootOptions(s)))
	for _, lost := range [][]string{{"PUT", dataPath}, {"DELETE", "/keys/"}} {
		ref := newRef(t, v)
		once := refuseAnswerOnce(lost...)
		p.set(once)
		if err := v.DestroyKey(t.Context(), ref.Tenant); err != nil {
			t.Errorf("%v: %v", lost, err)
		}
		if keyExists(t, s, ref.Tenant) {
			t.Errorf("%v: the key is still there", lost)
		}
	}
}

// refuseAnswerOnce loses the answer to the first matching request.
func refuseAnswerOnce(texts ...string) func(http.ResponseWriter, *http.Request, http.Handler) {
	lose := swallow(http.StatusBadGateway, texts...)
	var once sync.Once
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		lost := false
		if matches(r, texts...) {
			once.Do(func() {
				lost = true
				lose(w, r, next)
			})
		}
		if !lost {
			next.ServeHTTP(w, r)
		}
	}
}

// TestCreationRacesDestruction creates and destroys one key at the same time: once destroyed it is gone, whoever came last.
func TestCreationRacesDestruction(t *testing.T) {
	s := sharedServer(t)
	v := openVault(t, rootOptions(s))
	for range 20 {
		ref := newRef(t, v)
		var racers sync.WaitGroup
		for range 4 {
			racers.Go(func() {
				if err := v.CreateKey(t.Context(), ref.Tenant); err != nil && !strings.Contains(err.Error(), vault.ErrNoKey.Error()) {
					t.Error(err)
				}
			})
		}
		racers.Go(func() {
			if err := v.DestroyKey(t.Context(), ref.Tenant); err != nil {
				t.Error(err)
			}
		})
		racers.Wait()
		if keyExists(t, s, ref.Tenant) {
			t.Fatal("a destroyed key was made again")
		}
		wantError(t, "creating it afterwards", v.CreateKey(t.Context(), ref.Tenant), vault.ErrNoKey)
	}
}

// TestKeyWithoutMark destroys a key that somebody made by hand, and remembers that.
func TestKeyWithoutMark(t *testing.T) {
	s := sharedServer(t)
	v := openVault(t, rootOptions(s))
	tenant := uuid.New()
	s.Write(t, transitPath(s, tenant), nil)
	if err := v.DestroyKey(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	if keyExists(t, s, tenant) {
		t.Error("the key is still there")
	}
	wantError(t, "creating it", v.CreateKey(t.Context(), tenant), vault.ErrNoKey)
}

// TestDestroyedElsewhere has another process destroy the key: what needs Vault fails at once, and data keys in memory are
// served until their life is over.
func TestDestroyedElsewhere(t *testing.T) {
	s := sharedServer(t)
	v, other := openVault(t, rootOptions(s)), openVault(t, rootOptions(s))
	ref := newRef(t, v)
	cached, fresh := seal(t, v, ref, 1), seal(t, v, ref, 1)
	if _, err := vault.OpenRecord(t.Context(), v, ref, cached); err != nil {
		t.Fatal(err)
	}
	if err := other.DestroyKey(t.Context(), ref.Tenant); err != nil {
		t.Fatal(err)
	}
	_, err := vault.OpenRecord(t.Context(), v, ref, fresh)
	wantError(t, "opening", err, vault.ErrNoKey)
	if _, err := vault.OpenRecord(t.Context(), v, ref, cached); err != nil {
		t.Errorf("the documented limit has moved: %v", err)
	}
	_, err = v.NewDataKey(t.Context(), ref.Tenant)
	wantError(t, "a data key", err, vault.ErrNoKey)
}

// TestPepperRotates rotates the pepper's key: the hashes of API keys stay what they are.
func TestPepperRotates(t *testing.T) {
	s := server.Start(t, server.Options{})
	v := openVault(t, rootOptions(s))
	before, err := v.MAC(t.Context(), []byte("an API key"))
	if err != nil {
		t.Fatal(err)
	}
	s.Write(t, "transit/keys/tokenkeep-pepper/rotate", nil)
	if err := v.CreatePepper(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := v.MAC(t.Context(), []byte("an API key"))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the hash changed: %v", err)
	}
	s.Write(t, "transit/keys/tokenkeep-pepper/config", map[string]any{"deletion_allowed": true})
	if _, err := s.Client().Logical().DeleteWithContext(t.Context(), "transit/keys/tokenkeep-pepper"); err != nil {
		t.Fatal(err)
	}
	_, err = v.MAC(t.Context(), []byte("an API key"))
	wantError(t, "without a pepper", err, vault.ErrUnavailable)
	if !strings.Contains(err.Error(), "vault write transit/keys/tokenkeep-pepper") {
		t.Errorf("the error does not say what to do: %v", err)
	}
	if err := v.CreatePepper(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := v.MAC(t.Context(), []byte("an API key")); err != nil || bytes.Equal(got, before) {
		t.Errorf("another pepper gives the same hash, %v", err)
	}
}
