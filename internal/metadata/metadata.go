// Package metadata has the rules for the flat key-value objects that callers attach to connections and tenants.
//
// Mechanism: Parse takes what a decoder yields and checks types; Validate checks bounds; Digests turns a pair into the
// fixed-size keys of the side table by which connections are found.
//
// Reason: values may be of any length, and no index of either database takes that; digests of sixteen bytes fit always.
//
// Limit: a digest finds candidates. Two different pairs with the same digest take 2^64 tries to make, and only a tenant
// who made them himself, in his own rows, would meet them.
package metadata

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tokenkeep/tokenkeep/internal/errs"
)

// Bounds of one object.
const (
	// MaxKeys is how many keys an object may have.
	MaxKeys = 50
	// MaxBytes is how long an object may be, encoded as JSON in UTF-8.
	MaxBytes = 8 << 10
)

// Parse takes a decoded JSON value and returns it as metadata within the bounds; null is nil. Errors: BAD_USER_INPUT on
// the field, naming the key.
func Parse(field string, value any) (map[string]string, error) {
	switch m := value.(type) {
	case nil:
		return nil, nil
	case map[string]string:
		return m, Validate(field, m)
	case map[string]any:
		return fromObject(field, m)
	default:
		return nil, errs.Input(field, "%s must be an object whose values are strings, not %s", field, kind(value))
	}
}

// fromObject refuses what is not a string: a number that came back as a text would surprise whoever stored it.
func fromObject(field string, object map[string]any) (map[string]string, error) {
	out := make(map[string]string, len(object))
	for _, key := range sorted(object) {
		text, ok := object[key].(string)
		if !ok {
			return nil, errs.Input(field, "%s: the value of key %q must be a string, not %s", field, short(key), kind(object[key]))
		}
		out[key] = text
	}
	return out, Validate(field, out)
}

// Validate checks the bounds of metadata that is of the right type. Errors: BAD_USER_INPUT on the field, naming the key.
func Validate(field string, m map[string]string) error {
	if len(m) > MaxKeys {
		return errs.Input(field, "%s has %d keys; %d is the most", field, len(m), MaxKeys)
	}
	for _, key := range sorted(m) {
		if key == "" {
			return errs.Input(field, "%s has an empty key; give every value a name", field)
		}
		if problem := unfit(key); problem != "" {
			return errs.Input(field, "%s: key %q %s", field, short(key), problem)
		}
		if problem := unfit(m[key]); problem != "" {
			return errs.Input(field, "%s: the value of key %q %s", field, short(key), problem)
		}
	}
	if n := size(m); n > MaxBytes {
		return errs.Input(field, "%s is too large: %d bytes as JSON, of which key %q has the most; %d is the limit",
			field, n, short(largest(m)), MaxBytes)
	}
	return nil
}

// unfit says what keeps a text out of the database: PostgreSQL keeps neither NUL nor bytes that are not UTF-8.
func unfit(s string) string {
	switch {
	case !utf8.ValidString(s):
		return "is not valid UTF-8"
	case strings.ContainsRune(s, 0):
		return "contains a NUL character"
	default:
		return ""
	}
}

// size is the length as JSON without the escapes that Go adds for HTML.
func size(m map[string]string) int {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(m); err != nil { // strings always encode
		return MaxBytes + 1
	}
	return out.Len() - len("\n")
}

// largest is the key whose pair takes the most room; of equals the first in order.
func largest(m map[string]string) string {
	keys := sorted(m)
	return slices.MaxFunc(keys, func(a, b string) int { return len(a) + len(m[a]) - len(b) - len(m[b]) })
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// short keeps a sentence readable whatever the key.
func short(key string) string {
	const most = 40
	if runes := []rune(key); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return key
}

// kind names a decoded JSON value's type in a caller's words.
func kind(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	default:
		return "a number"
	}
}
