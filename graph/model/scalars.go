package model

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"

	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/metadata"
	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// dateTime is RFC 3339 in UTC with microseconds, always six digits, so that texts compare as times do.
const dateTime = "2006-01-02T15:04:05.000000Z"

// MarshalDateTime writes a time.
func MarshalDateTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { _, _ = io.WriteString(w, t.UTC().Format(`"`+dateTime+`"`)) })
}

// UnmarshalDateTime reads a time of any offset. Errors: BAD_USER_INPUT.
func UnmarshalDateTime(v any) (time.Time, error) {
	text, ok := v.(string)
	if !ok {
		return time.Time{}, errs.New(errs.BadUserInput, "a DateTime is a string such as \"2026-01-31T23:59:59Z\"")
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, errs.New(errs.BadUserInput, "a DateTime is an RFC 3339 date-time with its offset, such as \"2026-01-31T23:59:59Z\"")
	}
	return t.UTC(), nil
}

// MarshalMetadata writes metadata; none at all is null.
func MarshalMetadata(m map[string]string) graphql.ContextMarshaler {
	return graphql.ContextWriterFunc(func(_ context.Context, w io.Writer) error {
		return json.NewEncoder(w).Encode(m)
	})
}

// UnmarshalMetadata reads metadata from a literal or a variable. Errors: BAD_USER_INPUT on the field, naming the key.
func UnmarshalMetadata(ctx context.Context, v any) (map[string]string, error) {
	return metadata.Parse(InputField(graphql.GetPath(ctx), graphql.GetFieldContext(ctx)), v)
}

// MarshalString writes a string.
func MarshalString(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalString reads a string that a database can keep: PostgreSQL takes neither NUL nor bytes that are not UTF-8.
// A number is not a string; the JSON decoder's own type for it would pass for one. Errors: BAD_USER_INPUT.
func UnmarshalString(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", errs.New(errs.BadUserInput, "this must be a string")
	}
	if strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
		return "", errs.New(errs.BadUserInput, "this text contains a NUL character or is not UTF-8")
	}
	return s, nil
}

// MarshalSecret writes a secret into the response: the one way for a secret to leave the models.
func MarshalSecret(s secret.Text) graphql.Marshaler { return graphql.MarshalString(s.Reveal()) }

// UnmarshalSecret reads a string that must not be printed.
func UnmarshalSecret(v any) (secret.Text, error) {
	s, err := UnmarshalString(v)
	return secret.New(s), err
}
