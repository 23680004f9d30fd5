package metadata_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/metadata"
)

func keys(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprint("k", i)] = "v"
	}
	return m
}

func TestValidate(t *testing.T) {
	full := strings.Repeat("x", metadata.MaxBytes-len(`{"a":""}`))
	for _, test := range []struct {
		name string
		in   map[string]string
		want string
	}{
		{"nil", nil, ""},
		{"empty", map[string]string{}, ""},
		{"most keys", keys(metadata.MaxKeys), ""},
		{"too many keys", keys(metadata.MaxKeys + 1), "metadata has 51 keys; 50 is the most"},
		{"empty key", map[string]string{"": "v"}, "metadata has an empty key; give every value a name"},
		{"empty value", map[string]string{"a": ""}, ""},
		{"any text", map[string]string{"schlüssel <&>": "line\nline\t\u2028 \U0001F511"}, ""},
		{"NUL in key", map[string]string{"a\x00b": "v"}, `metadata: key "a\x00b" contains a NUL character`},
		{"NUL in value", map[string]string{"a": "v\x00"}, `metadata: the value of key "a" contains a NUL character`},
		{"bytes in key", map[string]string{"a\xff": "v"}, `metadata: key "a\xff" is not valid UTF-8`},
		{"bytes in value", map[string]string{"a": "\xff"}, `metadata: the value of key "a" is not valid UTF-8`},
		{"largest", map[string]string{"a": full}, ""},
		{
			"too large", map[string]string{"a": full + "x"},
			`metadata is too large: 8193 bytes as JSON, of which key "a" has the most; 8192 is the limit`,
		},
		{
			"escapes count", map[string]string{"b": "1", "a": strings.Repeat("\"", 4200)},
			`metadata is too large: 8416 bytes as JSON, of which key "a" has the most; 8192 is the limit`,
		},
		{"HTML does not", map[string]string{"a": strings.Repeat("<", 4200)}, ""},
		{
			"long key is shortened", map[string]string{strings.Repeat("ä", 50): "\xff"},
			`metadata: the value of key "` + strings.Repeat("ä", 40) + `…" is not valid UTF-8`,
		},
	} {
		t.Run(test.name, func(t *testing.T) { check(t, metadata.Validate("metadata", test.in), test.want) })
	}
}

func TestParse(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{`null`, ""},
		{`{}`, ""},
		{`{"a":"b","c":""}`, ""},
		{`{"a":1}`, `mergeMetadata: the value of key "a" must be a string, not a number`},
		{`{"a":true}`, `mergeMetadata: the value of key "a" must be a string, not a boolean`},
		{`{"a":null}`, `mergeMetadata: the value of key "a" must be a string, not null`},
		{`{"a":["b"]}`, `mergeMetadata: the value of key "a" must be a string, not a list`},
		{`{"b":1,"a":{"b":"c"}}`, `mergeMetadata: the value of key "a" must be a string, not an object`},
		{`{"":"b"}`, `mergeMetadata has an empty key; give every value a name`},
		{`"a"`, `mergeMetadata must be an object whose values are strings, not a string`},
		{`[]`, `mergeMetadata must be an object whose values are strings, not a list`},
		{`7`, `mergeMetadata must be an object whose values are strings, not a number`},
	} {
		t.Run(test.in, func(t *testing.T) {
			var value any
			if err := json.Unmarshal([]byte(test.in), &value); err != nil {
				t.Fatal(err)
			}
			got, err := metadata.Parse("mergeMetadata", value)
			check(t, err, test.want)
			var want map[string]string
			if test.want == "" && json.Unmarshal([]byte(test.in), &want) == nil && !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// check compares the sentence; "" stands for no error. Every error names the field that begins its sentence.
func check(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("got %v, want no error", err)
		}
		return
	}
	e, ok := err.(*errs.Error)
	if !ok || e.Kind != errs.BadUserInput || e.Message != want || !strings.HasPrefix(want, e.Field) || e.Field == "" {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestDigests(t *testing.T) {
	// These are in databases: they must not change.
	key, pair := metadata.Digests("user", "42")
	if got, want := hex.EncodeToString(key)+" "+hex.EncodeToString(pair), "ccc8af445adca469abf2ac7905f489c7 b554706c5f144f530a69a051f0f3e1fb"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	seen := map[string]string{}
	for _, p := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"", "abc"}, {"a", "b"}, {"a", ""}} {
		k, v := metadata.Digests(p[0], p[1])
		if len(k) != metadata.DigestSize || len(v) != metadata.DigestSize {
			t.Fatalf("%q: digests of %d and %d bytes", p, len(k), len(v))
		}
		name := fmt.Sprintf("%q", p)
		for digest, of := range map[string]string{string(k): "key " + p[0], string(v): "pair " + name} {
			if other, ok := seen[digest]; ok && other != of {
				t.Errorf("%s and %s have the same digest", of, other)
			}
			seen[digest] = of
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":"b"}`))
	f.Add([]byte(`{"a":1,"":null}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var value any
		if json.Unmarshal(in, &value) != nil {
			return
		}
		m, err := metadata.Parse("metadata", value)
		if err == nil && (len(m) > metadata.MaxKeys || m[""] != "") {
			t.Errorf("%q passed", in)
		}
	})
}
