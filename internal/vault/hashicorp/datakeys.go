package hashicorp

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// batchSize is how many data keys go into one request.
const batchSize = 500

// dataKeyBytes is the length of a data key.
const dataKeyBytes = 32

// NewDataKey implements vault.Keys, with one request.
func (v *Vault) NewDataKey(ctx context.Context, tenant uuid.UUID) (vault.DataKey, error) {
	var got struct {
		Plaintext  string `json:"plaintext"`
		Ciphertext string `json:"ciphertext"`
	}
	err := keyError(v.call(ctx, v.service, request{
		method: http.MethodPut, path: v.transit("datakey/plaintext/" + keyName(tenant)), body: map[string]int{"bits": 8 * dataKeyBytes},
	}, &got))
	if err != nil {
		return vault.DataKey{}, fmt.Errorf("making a data key: %w", err)
	}
	plain, err := decodeKey(got.Plaintext)
	if err != nil {
		return vault.DataKey{}, fmt.Errorf("making a data key: %w", err)
	}
	wrapped, err := parseWrapped(got.Ciphertext)
	if err != nil {
		return vault.DataKey{}, fmt.Errorf("making a data key: %w: the answer holds no wrapped key", vault.ErrUnavailable)
	}
	return vault.DataKey{Plain: plain, Wrapped: wrapped}, nil
}

// UnwrapDataKeys implements vault.Keys, with one request for all that are not in memory. Also where some do not unwrap, the
// others are kept in memory: whoever asks again for those asks nobody.
func (v *Vault) UnwrapDataKeys(ctx context.Context, tenant uuid.UUID, wrapped []vault.WrappedKey) ([]secret.Bytes, error) {
	out := make([]secret.Bytes, len(wrapped))
	moment := v.keys.moment()
	if slices.ContainsFunc(wrapped, foreign) {
		return nil, fmt.Errorf("unwrapping data keys: %w", vault.ErrForeign)
	}
	missing, bad := v.fromCache(tenant, wrapped, out)
	ask := make([]vault.WrappedKey, len(missing))
	for n, i := range missing {
		ask[n] = wrapped[i]
	}
	results, err := v.batch(ctx, "decrypt", tenant, ask)
	if err != nil {
		return nil, fmt.Errorf("unwrapping data keys: %w", err)
	}
	for n, i := range missing {
		plain, err := results[n].key()
		if err != nil {
			bad = append(bad, i)
			continue
		}
		out[i] = plain
		v.keys.put(moment, tenant, wrapped[i], plain)
	}
	if len(bad) > 0 {
		slices.Sort(bad)
		return nil, fmt.Errorf("unwrapping data keys: %w", &vault.CorruptKeysError{Places: bad})
	}
	return out, nil
}

// fromCache fills out with what is in memory and returns the places of the rest, and of what is no wrapped key.
func (v *Vault) fromCache(tenant uuid.UUID, wrapped []vault.WrappedKey, out []secret.Bytes) (missing, bad []int) {
	for i, w := range wrapped {
		plain, ok := v.keys.get(tenant, w)
		switch {
		case checkWrapped(w) != nil:
			bad = append(bad, i)
		case ok:
			out[i] = plain
		default:
			missing = append(missing, i)
		}
	}
	return missing, bad
}

// RewrapDataKeys implements vault.Keys, with one request.
func (v *Vault) RewrapDataKeys(ctx context.Context, tenant uuid.UUID, wrapped []vault.WrappedKey) ([]vault.WrappedKey, error) {
	for _, w := range wrapped {
		if err := checkWrapped(w); err != nil {
			return nil, fmt.Errorf("re-wrapping data keys: %w", err)
		}
	}
	results, err := v.batch(ctx, "rewrap", tenant, wrapped)
	if err != nil {
		return nil, fmt.Errorf("re-wrapping data keys: %w", err)
	}
	out := make([]vault.WrappedKey, len(wrapped))
	for i, r := range results {
		if r.Error != "" {
			return nil, fmt.Errorf("re-wrapping data keys: %w", errNotUnwrapped)
		}
		if out[i], err = parseWrapped(r.Ciphertext); err != nil {
			return nil, fmt.Errorf("re-wrapping data keys: %w: the answer holds no wrapped key", vault.ErrUnavailable)
		}
	}
	return out, nil
}

// batchResult is transit's outcome for one item of a batch.
type batchResult struct {
	Plaintext  string `json:"plaintext"`
	Ciphertext string `json:"ciphertext"`
	Error      string `json:"error"`
}

// key is the data key of a result. Errors: vault.ErrCorrupt.
func (r batchResult) key() (secret.Bytes, error) {
	if r.Error != "" {
		return secret.Bytes{}, errNotUnwrapped
	}
	return decodeKey(r.Plaintext)
}

var errNotUnwrapped = fmt.Errorf("%w: transit does not unwrap it under the tenant's key", vault.ErrCorrupt)

// batch sends wrapped keys through an operation of transit, and returns as many results, each of which may be an error of
// its own. Errors: vault.ErrNoKey, vault.ErrCorrupt (some do not unwrap, and Vault did not say which).
func (v *Vault) batch(ctx context.Context, operation string, tenant uuid.UUID, wrapped []vault.WrappedKey) ([]batchResult, error) {
	var out []batchResult
	for len(wrapped) > 0 {
		n := min(batchSize, len(wrapped))
		results, err := v.batchOnce(ctx, operation, tenant, wrapped[:n])
		if err != nil {
			return nil, err
		}
		out, wrapped = append(out, results...), wrapped[n:]
	}
	return out, nil
}

func (v *Vault) batchOnce(ctx context.Context, operation string, tenant uuid.UUID, wrapped []vault.WrappedKey) ([]batchResult, error) {
	items := make([]map[string]string, len(wrapped))
	for i, w := range wrapped {
		items[i] = map[string]string{"ciphertext": string(w.Bytes)}
	}
	var got struct {
		Results []batchResult `json:"batch_results"`
	}
	err := v.call(ctx, v.service, request{
		method: http.MethodPut, path: v.transit(operation + "/" + keyName(tenant)), body: map[string]any{"batch_input": items},
	}, &got)
	// Where an item is bad, decrypt answers 400 with the results in place of words, and rewrap 200.
	e, ok := asAnswer(err)
	spoilt := ok && e.status == http.StatusBadRequest && len(e.said) == 0
	if err != nil && !spoilt {
		return nil, keyError(err)
	}
	named := slices.ContainsFunc(got.Results, func(r batchResult) bool { return r.Error != "" })
	switch {
	case spoilt && (!named || len(got.Results) != len(wrapped)):
		return nil, errNotUnwrapped
	case len(got.Results) != len(wrapped):
		return nil, fmt.Errorf("%w: %d results for %d keys", vault.ErrUnavailable, len(got.Results), len(wrapped))
	}
	return got.Results, nil
}

// decodeKey decodes a data key. Errors: vault.ErrCorrupt: what transit unwrapped is not one.
func decodeKey(text string) (secret.Bytes, error) {
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(plain) != dataKeyBytes {
		return secret.Bytes{}, fmt.Errorf("%w: a data key of %d bytes", vault.ErrCorrupt, len(plain))
	}
	return secret.NewBytes(plain), nil
}

// parseWrapped reads transit's form, vault:v<version>:<base64>, strictly: one wrapped key has one text.
// Errors: vault.ErrCorrupt.
func parseWrapped(text string) (vault.WrappedKey, error) {
	rest, ok := strings.CutPrefix(text, "vault:v")
	digits, body, colon := strings.Cut(rest, ":")
	version, err := strconv.ParseInt(digits, 10, 32)
	if !ok || !colon || err != nil || version < 1 || strconv.FormatInt(version, 10) != digits {
		return vault.WrappedKey{}, fmt.Errorf("%w: a wrapped key of unknown form", vault.ErrCorrupt)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(body)
	if err != nil || len(raw) == 0 || base64.StdEncoding.EncodeToString(raw) != body {
		return vault.WrappedKey{}, fmt.Errorf("%w: a wrapped key of unknown form", vault.ErrCorrupt)
	}
	return vault.WrappedKey{Version: int(version), Bytes: []byte(text)}, nil
}

// checkWrapped refuses wrapped keys that are not of transit's form, or not of the version they claim: the database counts
// versions before the oldest are made unusable.
// Errors: vault.ErrCorrupt, vault.ErrForeign.
func checkWrapped(w vault.WrappedKey) error {
	if foreign(w) {
		return vault.ErrForeign
	}
	parsed, err := parseWrapped(string(w.Bytes))
	if err == nil && parsed.Version != w.Version {
		err = fmt.Errorf("%w: a wrapped key of another version than it claims", vault.ErrCorrupt)
	}
	return err
}
