package vault

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// Purpose says what a sealed value is for. It is bound to the ciphertext: a value sealed for one purpose does not open
// for another.
type Purpose string

// The purposes. Their texts are part of the format and never change.
const (
	// PurposeTokenSet is the purpose of records; Seal refuses it, because a token set without a generation has no order.
	PurposeTokenSet Purpose = "token-set"
	// PurposeClientSecret is an OAuth app's client secret; the object is the app.
	PurposeClientSecret Purpose = "client-secret"
	// PurposeWebhookSecret signs or verifies webhooks; the object is the app or the endpoint.
	PurposeWebhookSecret Purpose = "webhook-secret"
	// PurposeVerifier is a PKCE verifier between begin and callback; the object is the authorization.
	PurposeVerifier Purpose = "verifier"
	// PurposeAnswer is a provider's answer parked before anything is known of its user; the object is the attempt.
	PurposeAnswer Purpose = "answer"
	// PurposeRevocation is a revocation job's own copy of a token; the object is the job.
	PurposeRevocation Purpose = "revocation"
)

// valuePurposes are the purposes that Seal and Unseal take.
func valuePurposes() []Purpose {
	return []Purpose{PurposeClientSecret, PurposeWebhookSecret, PurposeVerifier, PurposeAnswer, PurposeRevocation}
}

// Place is where a sealed value belongs. Tenant is the caller's tenant, never the one a row claims.
type Place struct {
	Tenant  uuid.UUID
	Purpose Purpose
	Object  uuid.UUID
}

// check refuses places that bind nothing.
func (p Place) check() error {
	if p.Tenant == uuid.Nil || p.Object == uuid.Nil {
		return fmt.Errorf("%w: a place without tenant or object", ErrInvalid)
	}
	if !slices.Contains(valuePurposes(), p.Purpose) {
		return fmt.Errorf("%w: purpose %q is not one of values", ErrInvalid, string(p.Purpose))
	}
	return nil
}

// Sealed is a sealed value as the database keeps it.
type Sealed struct {
	// KeyVersion is the version of the tenant's key that wraps the data key; the database counts it before the minimum
	// version is raised. It repeats what Bytes says.
	KeyVersion int
	// Bytes is all that Unseal needs.
	Bytes []byte
}

// Seal seals a value under a data key of its own, with one call of the store.
// Errors: ErrInvalid and those of NewDataKey.
func Seal(ctx context.Context, k Keys, p Place, plaintext secret.Bytes) (Sealed, error) {
	if err := p.check(); err != nil {
		return Sealed{}, fmt.Errorf("sealing a value: %w", err)
	}
	dk, err := k.NewDataKey(ctx, p.Tenant)
	if err != nil {
		return Sealed{}, fmt.Errorf("sealing a value: %w", err)
	}
	return SealWith(dk, p, plaintext)
}

// SealWith seals a value under a data key that is in hand and must not be used again; no store is asked.
// Errors: ErrInvalid.
func SealWith(dk DataKey, p Place, plaintext secret.Bytes) (Sealed, error) {
	if err := errors.Join(p.check(), dk.Wrapped.check()); err != nil {
		return Sealed{}, fmt.Errorf("sealing a value: %w", err)
	}
	ciphertext, err := encrypt(dk.Plain, plaintext.Reveal(), valueData(p))
	if err != nil {
		return Sealed{}, fmt.Errorf("sealing a value: %w", err)
	}
	out := appendKey([]byte{magicValue, formatV1}, dk.Wrapped)
	out = binary.BigEndian.AppendUint32(out, uint32(len(ciphertext)))
	return Sealed{KeyVersion: dk.Wrapped.Version, Bytes: append(out, ciphertext...)}, nil
}

// Unseal opens a sealed value with one call of the store. Errors: ErrInvalid, ErrCorrupt (altered, moved, wrong tenant,
// wrong purpose) and those of UnwrapDataKeys.
func Unseal(ctx context.Context, k Keys, p Place, sealed []byte) (secret.Bytes, error) {
	if err := p.check(); err != nil {
		return secret.Bytes{}, fmt.Errorf("unsealing a value: %w", err)
	}
	wrapped, ciphertext, err := parseValue(sealed)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("unsealing a value: %w", err)
	}
	key, err := unwrapOne(ctx, k, p.Tenant, wrapped)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("unsealing a value: %w", err)
	}
	plaintext, err := decrypt(key, ciphertext, valueData(p))
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("unsealing a value: %w", err)
	}
	return plaintext, nil
}

// parseValue takes a sealed value apart. Errors: ErrCorrupt.
func parseValue(sealed []byte) (WrappedKey, []byte, error) {
	d := decoder{rest: sealed}
	d.header(magicValue)
	wrapped := d.key()
	ciphertext := d.take(int(d.uint32()))
	if err := d.end(); err != nil {
		return WrappedKey{}, nil, err
	}
	return wrapped, ciphertext, nil
}
