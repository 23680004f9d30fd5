package playground

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
)

//go:embed ui/src/examples
var exampleFiles embed.FS

const exampleDir = "ui/src/examples/"

// Example is one entry of the page's Examples panel: a single named operation with variables to start from.
type Example struct {
	// Name is the stem of the example's files, such as "connect-account".
	Name  string
	Title string
	Group string
	About string
	Query string
	// Variables hold slots like "{{app}}" inside their strings; Fill puts values there. Nil where there are none.
	Variables map[string]any
}

// exampleIndex is index.json: the order of the panel, and what a slot shows where its value is unknown.
type exampleIndex struct {
	Examples []Example         `json:"examples"`
	Hints    map[string]string `json:"hints"`
}

// Examples returns the examples in the order of the page, so that a test can run the very same ones against the served
// schema. It panics where an embedded file does not read: that is a fault of the build, and a test calls it.
func Examples() []Example {
	index := readIndex()
	for i := range index.Examples {
		if err := index.Examples[i].read(); err != nil {
			panic(fmt.Errorf("reading the embedded examples: %w", err))
		}
	}
	return index.Examples
}

func readIndex() exampleIndex {
	var index exampleIndex
	raw, err := exampleFiles.ReadFile(exampleDir + "index.json")
	if err == nil {
		err = json.Unmarshal(raw, &index)
	}
	if err != nil {
		panic(fmt.Errorf("reading the index of the embedded examples: %w", err))
	}
	return index
}

func (e *Example) read() error {
	query, err := exampleFiles.ReadFile(exampleDir + e.Name + ".graphql")
	if err != nil {
		return err
	}
	e.Query = string(query)
	raw, err := exampleFiles.ReadFile(exampleDir + e.Name + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, &e.Variables)
}

// Fill returns the variables with values in their slots, and a readable hint such as "app_..." where there is none.
// It is the page's own rule (ui/src/examples.js).
func (e Example) Fill(values map[string]string) map[string]any {
	if e.Variables == nil {
		return nil
	}
	known := readIndex().Hints
	maps.Copy(known, values)
	return fill(e.Variables, known).(map[string]any)
}

var slot = regexp.MustCompile(`\{\{(\w+)\}\}`)

func fill(value any, known map[string]string) any {
	switch v := value.(type) {
	case string:
		return fillString(v, known)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = fill(item, known)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = fill(item, known)
		}
		return out
	default:
		return v
	}
}

func fillString(s string, known map[string]string) string {
	return slot.ReplaceAllStringFunc(s, func(match string) string {
		if value, ok := known[slot.FindStringSubmatch(match)[1]]; ok {
			return value
		}
		return match
	})
}
