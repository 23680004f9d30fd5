// Package secret holds values that must not be printed.
//
// Mechanism: the value sits in an unexported field and every way in which Go prints, logs or marshals a value
// (fmt, slog, encoding/json, encoding/text) yields a fixed word instead. Reveal is the one exit, so that a search
// for "Reveal(" finds every place where a secret leaves its type.
//
// Limit: this guards against accidents, not against code in the same process; memory is not locked or wiped.
package secret

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Text is a secret string: a token, a client secret, an authorization code. The zero value is an empty secret.
type Text struct{ value string }

// New wraps s.
func New(s string) Text { return Text{value: s} }

// Reveal returns the secret. Every call is a place where a secret leaves its type.
func (t Text) Reveal() string { return t.value }

// IsZero reports whether the secret is empty.
func (t Text) IsZero() bool { return t.value == "" }

// Equal compares in constant time for secrets of equal length.
func (t Text) Equal(other Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.value), []byte(other.value)) == 1
}

// String implements fmt.Stringer without the value.
func (t Text) String() string { return redacted }

// GoString implements fmt.GoStringer without the value.
func (t Text) GoString() string { return redacted }

// Format implements fmt.Formatter: every verb prints the same word.
func (t Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements slog.LogValuer.
func (t Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler (and so JSON) without the value.
func (t Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Bytes is a secret byte string: a data key, an opened record. The zero value is empty.
type Bytes struct{ value []byte }

// NewBytes wraps b without copying it; the caller gives b up.
func NewBytes(b []byte) Bytes { return Bytes{value: b} }

// Reveal returns the secret; the caller must not keep or change it.
func (b Bytes) Reveal() []byte { return b.value }

// Len returns the length in bytes.
func (b Bytes) Len() int { return len(b.value) }

// Equal compares in constant time for secrets of equal length.
func (b Bytes) Equal(other Bytes) bool { return subtle.ConstantTimeCompare(b.value, other.value) == 1 }

// String implements fmt.Stringer without the value.
func (b Bytes) String() string { return redacted }

// GoString implements fmt.GoStringer without the value.
func (b Bytes) GoString() string { return redacted }

// Format implements fmt.Formatter: every verb prints the same word.
func (b Bytes) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements slog.LogValuer.
func (b Bytes) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler (and so JSON) without the value.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(redacted), nil }
