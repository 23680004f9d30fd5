package hashicorp

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

var _ vault.Movable = (*Vault)(nil)

// ReadSlot implements vault.Movable, with one request.
func (v *Vault) ReadSlot(ctx context.Context, ref vault.Ref) (vault.Slot, vault.CAS, error) {
	s, cas, err := v.readSlot(ctx, ref)
	if err != nil {
		return vault.Slot{}, cas, fmt.Errorf("reading a slot: %w", sentinel(err))
	}
	return s, cas, nil
}

// WriteSlot implements vault.Movable. Where what it writes holds no record, older versions are destroyed, also those of a mount
// that keeps more than one.
func (v *Vault) WriteSlot(ctx context.Context, ref vault.Ref, s vault.Slot, cas vault.CAS) (vault.CAS, error) {
	err := checkRef(ref)
	val := value{Erased: true}
	if err == nil && !s.Bare() {
		var encoded []byte
		encoded, err = s.MarshalBinary()
		val = value{Record: encodeRecord(encoded)}
	}
	if err == nil && cas < 0 {
		err = vault.ErrMismatch
	}
	if err != nil {
		return 0, fmt.Errorf("writing a slot: %w", err)
	}
	next, err := v.replace(ctx, ref, val, cas)
	if err == nil && s.Empty() && cas > 0 {
		err = v.destroyOlder(ctx, ref, next)
	}
	if err != nil {
		return 0, fmt.Errorf("writing a slot: %w", sentinel(err))
	}
	return next, nil
}

// ListSlots implements vault.Movable: KV lists what was erased as well.
func (v *Vault) ListSlots(ctx context.Context, tenant, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	return v.ListRecords(ctx, tenant, after, limit)
}

// tinkPrefix is how the wrapped keys of the embedded vault begin, tinkSize their length in bytes; ours are text.
const (
	tinkPrefix = 1
	tinkSize   = 65
)

// foreign reports whether the embedded vault wrapped it.
func foreign(w vault.WrappedKey) bool { return len(w.Bytes) == tinkSize && w.Bytes[0] == tinkPrefix }

// Wraps implements vault.Movable: transit's wrapped keys are text that says so.
func (v *Vault) Wraps(w vault.WrappedKey) bool { return checkWrapped(w) == nil }

// WrapDataKeys implements vault.Movable, with a request for every five hundred keys, and one ahead of them: transit's encrypt
// makes a key for a name that it does not know, where the policy lets it, so the key is looked for first.
func (v *Vault) WrapDataKeys(ctx context.Context, tenant uuid.UUID, plain []secret.Bytes) ([]vault.WrappedKey, error) {
	if _, err := v.readKey(ctx, v.service, tenant); err != nil {
		return nil, fmt.Errorf("wrapping data keys: %w", err)
	}
	var out []vault.WrappedKey
	for len(plain) > 0 {
		n := min(len(plain), batchSize)
		wrapped, err := v.wrapOnce(ctx, tenant, plain[:n])
		if err != nil {
			return nil, fmt.Errorf("wrapping data keys: %w", err)
		}
		out, plain = append(out, wrapped...), plain[n:]
	}
	return out, nil
}

func (v *Vault) wrapOnce(ctx context.Context, tenant uuid.UUID, plain []secret.Bytes) ([]vault.WrappedKey, error) {
	items := make([]map[string]string, len(plain))
	for i, key := range plain {
		if key.Len() != dataKeyBytes {
			return nil, fmt.Errorf("%w: a data key of %d bytes", vault.ErrInvalid, key.Len())
		}
		items[i] = map[string]string{"plaintext": base64.StdEncoding.EncodeToString(key.Reveal())}
	}
	var got struct {
		Results []batchResult `json:"batch_results"`
	}
	err := v.call(ctx, v.service, request{
		method: http.MethodPut, path: v.transit("encrypt/" + keyName(tenant)), body: map[string]any{"batch_input": items},
	}, &got)
	if err != nil {
		return nil, keyError(err)
	}
	if len(got.Results) != len(plain) {
		return nil, fmt.Errorf("%w: %d results for %d keys", vault.ErrUnavailable, len(got.Results), len(plain))
	}
	out := make([]vault.WrappedKey, len(plain))
	for i, r := range got.Results {
		if out[i], err = parseWrapped(r.Ciphertext); err != nil {
			return nil, fmt.Errorf("%w: the answer holds no wrapped key", vault.ErrUnavailable)
		}
	}
	return out, nil
}
