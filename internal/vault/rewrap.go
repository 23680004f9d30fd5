package vault

import (
	"encoding/binary"
	"fmt"
)

// WrappedKeyOf returns the wrapped data key of a sealed value, for re-wrapping. Errors: ErrCorrupt.
func WrappedKeyOf(sealed []byte) (WrappedKey, error) {
	wrapped, _, err := parseValue(sealed)
	if err != nil {
		return WrappedKey{}, fmt.Errorf("reading a sealed value's key: %w", err)
	}
	return wrapped, nil
}

// WithWrappedKey returns the sealed value with its data key wrapped anew; what is sealed is not touched, and the place it
// is bound to stays. Errors: ErrCorrupt, ErrInvalid.
func WithWrappedKey(sealed []byte, wrapped WrappedKey) (Sealed, error) {
	_, ciphertext, err := parseValue(sealed)
	if err == nil {
		err = wrapped.check()
	}
	if err != nil {
		return Sealed{}, fmt.Errorf("putting a key into a sealed value: %w", err)
	}
	out := appendKey([]byte{magicValue, formatV1}, wrapped)
	out = binary.BigEndian.AppendUint32(out, uint32(len(ciphertext)))
	return Sealed{KeyVersion: wrapped.Version, Bytes: append(out, ciphertext...)}, nil
}
