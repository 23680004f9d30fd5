package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml"
)

// maxFile caps an operator's file, in bytes.
const maxFile = 1 << 20

// FileError says what is wrong with an operator's file, and where.
type FileError struct {
	// File is the file's name. Entry is the key of the entry, or its place ("#2") where it has none; empty where the
	// file as a whole is wrong. Field is empty where the entry as a whole is wrong.
	File, Entry, Field string
	// Cause says what is wrong.
	Cause error
}

// Error implements error.
func (e *FileError) Error() string {
	text := "reading providers file " + e.File
	if e.Entry != "" {
		text += ": provider " + e.Entry
	}
	if e.Field != "" {
		text += ": field " + e.Field
	}
	return text + ": " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Cause }

// LoadFile returns the catalogue with the entries of an operator's file. See Load.
func (c *Catalogue) LoadFile(path string) (*Catalogue, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening providers file: %w", err)
	}
	defer func() { _ = f.Close() }()
	return c.Load(f, path)
}

// Load returns the catalogue with the entries that r holds, as JSON or YAML: an object whose one field "providers" is a
// list of entries. The field names are those of fields.go. An entry whose key the catalogue has already overrides the
// fields that it gives and no others; any other entry must be complete. Failures are *FileError; name stands for the
// file in them.
func (c *Catalogue) Load(r io.Reader, name string) (*Catalogue, error) {
	entries, err := readEntries(r)
	if err != nil {
		return nil, &FileError{File: name, Cause: err}
	}
	seen := map[string]bool{}
	var added []Provider
	for i, raw := range entries {
		p, err := c.entry(raw, seen)
		if err != nil {
			return nil, located(err, name, fmt.Sprintf("#%d", i+1))
		}
		added = append(added, p)
	}
	return c.With(added...), nil
}

// located completes a *FileError with the file and, where the entry has no key, its place.
func located(err *FileError, file, place string) error {
	err.File = file
	if err.Entry == "" {
		err.Entry = place
	}
	return err
}

func readEntries(r io.Reader) ([]json.RawMessage, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("longer than %d bytes", maxFile)
	}
	text, err = toJSON(text)
	if err != nil {
		return nil, err
	}
	top, err := object(text)
	if err != nil {
		return nil, err
	}
	var entries []json.RawMessage
	for _, f := range top {
		if f.name != "providers" {
			return nil, fmt.Errorf("unknown field %q; the one field of the file is \"providers\"", f.name)
		}
		if err := json.Unmarshal(f.value, &entries); err != nil {
			return nil, errors.New("providers must be a list of entries")
		}
	}
	return entries, nil
}

// toJSON returns JSON as it is and turns YAML into it. JSON has its own way because YAML forbids tabs between its parts.
func toJSON(text []byte) ([]byte, error) {
	if trimmed := bytes.TrimSpace(text); bytes.HasPrefix(trimmed, []byte("{")) {
		return trimmed, nil
	}
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	if v == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(v)
}

// field is one member of a JSON object, in the order of the text.
type field struct {
	name  string
	value json.RawMessage
}

// object splits a JSON object into its fields and refuses a field that comes twice.
func object(text []byte) ([]field, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("expected an object")
	}
	var fields []field
	seen := map[string]bool{}
	for dec.More() {
		f, err := nextField(dec)
		if err != nil {
			return nil, err
		}
		if seen[f.name] {
			return nil, fmt.Errorf("field %q comes twice", f.name)
		}
		seen[f.name] = true
		fields = append(fields, f)
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, errors.New("more text behind the object")
	}
	return fields, nil
}

func nextField(dec *json.Decoder) (field, error) {
	t, err := dec.Token()
	if err != nil {
		return field{}, err
	}
	name, ok := t.(string)
	if !ok {
		return field{}, errors.New("expected a field name")
	}
	f := field{name: name}
	return f, dec.Decode(&f.value)
}
