package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// SealRecord seals a token set under dk, which must not be used again. It is local: no store is asked, so that between a
// provider's answer and durability stands nothing but one write. The header travels in the clear and is bound to the
// ciphertext. Errors: ErrInvalid (no tenant, no connection, no attempt, a generation below 1, a bad origin, a bad key, more than
// a mebibyte of plaintext).
func SealRecord(dk DataKey, ref Ref, h Header, plaintext secret.Bytes) (Record, error) {
	if err := ref.check(); err != nil {
		return Record{}, fmt.Errorf("sealing a record: %w", err)
	}
	ciphertext, err := encrypt(dk.Plain, plaintext.Reveal(), recordData(ref, h))
	if err != nil {
		return Record{}, fmt.Errorf("sealing a record: %w", err)
	}
	r := Record{Header: h, Key: dk.Wrapped, Ciphertext: ciphertext}
	if err := r.check(); err != nil {
		return Record{}, fmt.Errorf("sealing a record: %w", err)
	}
	return r, nil
}

// OpenRecord opens a record with one call of the store; ref names the caller's tenant and the connection the record is
// believed to be of. Errors: ErrInvalid, ErrCorrupt (altered, moved, wrong tenant or header), and those of UnwrapDataKeys.
func OpenRecord(ctx context.Context, k Keys, ref Ref, r Record) (secret.Bytes, error) {
	if err := ref.check(); err != nil {
		return secret.Bytes{}, fmt.Errorf("opening a record: %w", err)
	}
	key, err := unwrapOne(ctx, k, ref.Tenant, r.Key)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("opening a record: %w", err)
	}
	return OpenRecordWith(key, ref, r)
}

// OpenRecordWith opens a record with its data key in hand (a cached one). Errors: ErrInvalid, ErrCorrupt.
func OpenRecordWith(key secret.Bytes, ref Ref, r Record) (secret.Bytes, error) {
	if err := ref.check(); err != nil {
		return secret.Bytes{}, fmt.Errorf("opening a record: %w", err)
	}
	plaintext, err := decrypt(key, r.Ciphertext, recordData(ref, r.Header))
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("opening a record: %w", err)
	}
	return plaintext, nil
}

// RecordOf is one record of a batch.
type RecordOf struct {
	Connection uuid.UUID
	Record     Record
}

// Opened is the outcome for one record of a batch: the plaintext, or why this one does not open (ErrCorrupt).
type Opened struct {
	Plaintext secret.Bytes
	Err       error
}

// OpenRecords opens many records of one tenant, in the order given, with one call of the store. A record that does not
// open spoils only its own outcome (it costs one more call, or some where the store cannot tell which one it is).
// Errors, for all of them at once: ErrInvalid, ErrNoKey, ErrUnavailable.
func OpenRecords(ctx context.Context, k Keys, tenant uuid.UUID, items []RecordOf) ([]Opened, error) {
	if tenant == uuid.Nil {
		return nil, fmt.Errorf("opening records: %w: no tenant", ErrInvalid)
	}
	out := make([]Opened, len(items))
	if err := openBatch(ctx, k, tenant, items, out); err != nil {
		return nil, fmt.Errorf("opening records: %w", err)
	}
	return out, nil
}

// openBatch fills out; where the store calls the batch corrupt it is asked for the rest, or, where it does not say which
// the culprits are, for halves until they stand alone.
func openBatch(ctx context.Context, k Keys, tenant uuid.UUID, items []RecordOf, out []Opened) error {
	if len(items) == 0 {
		return nil
	}
	wrapped := make([]WrappedKey, len(items))
	for i, item := range items {
		wrapped[i] = item.Record.Key
	}
	keys, err := k.UnwrapDataKeys(ctx, tenant, wrapped)
	var named *CorruptKeysError
	switch {
	case errors.As(err, &named) && len(named.Places) > 0:
		return openRest(ctx, k, tenant, items, out, named)
	case errors.Is(err, ErrCorrupt) && len(items) > 1:
		half := len(items) / 2
		if err := openBatch(ctx, k, tenant, items[:half], out[:half]); err != nil {
			return err
		}
		return openBatch(ctx, k, tenant, items[half:], out[half:])
	case errors.Is(err, ErrCorrupt):
		out[0].Err = err
		return nil
	case err != nil:
		return err
	}
	if len(keys) != len(items) {
		return fmt.Errorf("%w: %d keys for %d records", ErrUnavailable, len(keys), len(items))
	}
	for i, item := range items {
		out[i].Plaintext, out[i].Err = OpenRecordWith(keys[i], Ref{Tenant: tenant, Connection: item.Connection}, item.Record)
	}
	return nil
}

// openRest fills out for a batch of which the store named what does not unwrap.
func openRest(ctx context.Context, k Keys, tenant uuid.UUID, items []RecordOf, out []Opened, named *CorruptKeysError) error {
	var rest []RecordOf
	var places []int
	for i, item := range items {
		if slices.Contains(named.Places, i) {
			out[i].Err = named
		} else {
			rest, places = append(rest, item), append(places, i)
		}
	}
	if len(rest) == len(items) {
		return fmt.Errorf("%w: it names keys that were not asked for", ErrUnavailable)
	}
	opened := make([]Opened, len(rest))
	if err := openBatch(ctx, k, tenant, rest, opened); err != nil {
		return err
	}
	for n, i := range places {
		out[i] = opened[n]
	}
	return nil
}

// unwrapOne unwraps one data key.
func unwrapOne(ctx context.Context, k Keys, tenant uuid.UUID, wrapped WrappedKey) (secret.Bytes, error) {
	keys, err := k.UnwrapDataKeys(ctx, tenant, []WrappedKey{wrapped})
	if err != nil {
		return secret.Bytes{}, err
	}
	if len(keys) != 1 {
		return secret.Bytes{}, fmt.Errorf("%w: %d keys for one", ErrUnavailable, len(keys))
	}
	return keys[0], nil
}
