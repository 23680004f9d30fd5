package vaulttest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// FullDisk writes until the storage is full: what was acknowledged is there, what was refused is not, nothing is half
// written, and with room again everything works. It is part of Run.
func FullDisk(t *testing.T, in Instance) {
	if in.Fill == nil {
		t.Skip("this vault's storage cannot be filled")
	}
	tenant := in.tenant(t)
	updated := vault.Ref{Tenant: tenant, Connection: uuid.New()}
	cas := in.write(t, updated, 1, 0)
	free := in.Fill(t)
	written := map[vault.Ref]vault.CAS{}
	var refused vault.Ref
	for refused == (vault.Ref{}) {
		ref := vault.Ref{Tenant: tenant, Connection: uuid.New()}
		number, err := in.Vault().WriteRecord(t.Context(), ref, in.seal(t, ref, 1), 0)
		if err == nil {
			written[ref] = number
		} else {
			wantError(t, "writing into a full storage", err, vault.ErrFull)
			refused = ref
		}
		if len(written) > 2000 {
			t.Fatal("the storage does not fill up")
		}
	}
	check := func() {
		t.Helper()
		_, _, err := in.Vault().ReadRecord(t.Context(), refused)
		wantError(t, "reading what was refused", err, vault.ErrNotFound)
		for ref, number := range written {
			in.wantHead(t, ref, 1, number)
		}
	}
	check()
	in.wantHead(t, updated, 1, cas)
	free()
	check()
	written[refused] = in.write(t, refused, 1, 0)
	cas = in.write(t, updated, 2, cas)
	in.Reopen(t)
	in.wantHead(t, updated, 2, cas)
	for ref, number := range written {
		in.wantHead(t, ref, 1, number)
	}
}

// tears is how often the files are torn in one run.
const tears = 120

// history is what the storage held after each commit: the generation of each connection.
type history []map[uuid.UUID]int64

// testTornFile damages the storage's files in many ways and opens them: the vault refuses to open or to read, clearly,
// or holds what was committed last or, where the damage hit the last commit, the commit before.
func testTornFile(t *testing.T, in Instance) {
	if in.Snapshot == nil || in.OpenFiles == nil {
		t.Skip("this vault has no files to tear")
	}
	rng := random(t)
	tenant, states := in.makeHistory(t, rng)
	files := in.Snapshot(t)
	names := slices.Sorted(maps.Keys(files))
	outcomes := map[string]int{}
	for i := range tears {
		name := names[rng.IntN(len(names))]
		torn := maps.Clone(files)
		var how string
		torn[name], how = tear(rng, files[name])
		t.Run(fmt.Sprintf("%d %s %s", i, name, how), func(t *testing.T) {
			outcomes[in.openTorn(t, torn, tenant, states)]++
		})
	}
	t.Logf("outcomes: %v", outcomes)
	if outcomes["whole"] == 0 || outcomes["refused"] == 0 {
		t.Errorf("the damage was not varied: %v", outcomes)
	}
}

// makeHistory writes, reopens half way, writes on, and returns what was there after each commit.
func (in Instance) makeHistory(t *testing.T, rng *rand.Rand) (uuid.UUID, history) {
	t.Helper()
	tenant := in.tenant(t)
	ids := make([]uuid.UUID, 12)
	for i := range ids {
		ids[i] = uuid.New()
	}
	states := history{{}}
	numbers := map[uuid.UUID]vault.CAS{}
	for commit := range 60 {
		if commit == 30 {
			in.Reopen(t)
		}
		id := ids[rng.IntN(len(ids))]
		next := maps.Clone(states[len(states)-1])
		next[id]++
		numbers[id] = in.write(t, vault.Ref{Tenant: tenant, Connection: id}, next[id], numbers[id])
		states = append(states, next)
	}
	return tenant, states
}

// tear damages a copy of data in one of several ways.
func tear(rng *rand.Rand, data []byte) ([]byte, string) {
	data = bytes.Clone(data)
	if len(data) == 0 {
		return data, "empty"
	}
	at := rng.IntN(len(data))
	if rng.IntN(4) == 0 {
		at = max(0, len(data)-1-rng.IntN(4096)) // where the last commit is, in a log
	}
	end := min(len(data), at+1+rng.IntN(8192))
	switch rng.IntN(5) {
	case 0:
		return data[:at], fmt.Sprintf("cut at %d", at)
	case 1:
		data[at] ^= 1 << rng.IntN(8)
		return data, fmt.Sprintf("one bit at %d", at)
	case 2:
		at = at / 512 * 512
		clear(data[at:min(len(data), at+512)])
		return data, fmt.Sprintf("sector of zeros at %d", at)
	case 3:
		for i := at; i < end; i++ {
			data[i] = byte(rng.Uint32())
		}
		return data, fmt.Sprintf("noise from %d to %d", at, end)
	default:
		copy(data[at:], data[:end-at])
		return data, fmt.Sprintf("own start copied to %d", at)
	}
}

// openTorn opens damaged files and says what came of it. What opens can be written to, or says that it cannot.
func (in Instance) openTorn(t *testing.T, files map[string][]byte, tenant uuid.UUID, states history) string {
	v, err := in.OpenFiles(t, files)
	if err != nil {
		wantClear(t, "opening", err)
		return "refused"
	}
	ref := vault.Ref{Tenant: tenant, Connection: uuid.New()}
	if r, err := sealGeneration(t.Context(), v, ref, 1, plaintext(ref.Connection, 1)); err == nil {
		_, err = v.WriteRecord(t.Context(), ref, r, 0)
		wantClear(t, "writing", err)
	} else {
		wantClear(t, "sealing", err)
	}
	last, before := states[len(states)-1], states[len(states)-2]
	isLast, isBefore, closed := true, true, false
	for id := range last {
		generation, err := readTorn(t, v, vault.Ref{Tenant: tenant, Connection: id})
		if err != nil {
			closed = true
			continue
		}
		isLast = isLast && generation == last[id]
		isBefore = isBefore && generation == before[id]
	}
	switch {
	case !isLast && !isBefore:
		t.Error("it opened, and holds neither the last commit nor the one before")
	case closed:
		return "closed record"
	case !isLast:
		return "last commit lost"
	}
	return "whole"
}

// readTorn returns the generation that is there (0 for none), or a clear error; a wrong plaintext fails the test.
func readTorn(t *testing.T, v vault.Vault, ref vault.Ref) (int64, error) {
	r, _, err := v.ReadRecord(t.Context(), ref)
	if errors.Is(err, vault.ErrNotFound) {
		return 0, nil
	}
	if err == nil {
		got, openErr := vault.OpenRecord(t.Context(), v, ref, r)
		if openErr == nil && !got.Equal(plaintext(ref.Connection, r.Generation)) {
			t.Error("a wrong plaintext")
		}
		err = openErr
	}
	wantClear(t, "reading", err)
	return r.Generation, err
}

// wantClear fails unless err is nil or says that the vault or the record is not to be used.
func wantClear(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, vault.ErrCorrupt) && !errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("%s: got %v, which is not clear", what, err)
	}
}
