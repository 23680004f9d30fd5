package provider

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Catalogue is a set of providers by key. It does not change once made, so it is safe for concurrent use. The zero
// value is empty.
type Catalogue struct{ byKey map[string]Provider }

// Builtin returns the catalogue of all built-in entries.
func Builtin() *Catalogue {
	all := append([]Provider{Zoom(), apiKey()}, endpointProviders()...)
	return (&Catalogue{}).With(all...)
}

// Get returns the provider of that key.
func (c *Catalogue) Get(key string) (Provider, bool) {
	p, ok := c.byKey[key]
	return p, ok
}

// List returns all providers: Zoom first, then by name.
func (c *Catalogue) List() []Provider {
	return slices.SortedFunc(maps.Values(c.byKey), func(a, b Provider) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)),
			cmp.Compare(a.Key, b.Key))
	})
}

func rank(p Provider) int {
	if p.Key == "zoom" {
		return 0
	}
	return 1
}

// With returns a catalogue that also has ps; an entry of the same key is replaced whole.
func (c *Catalogue) With(ps ...Provider) *Catalogue {
	byKey := make(map[string]Provider, len(c.byKey)+len(ps))
	maps.Copy(byKey, c.byKey)
	for _, p := range ps {
		byKey[p.Key] = p
	}
	return &Catalogue{byKey: byKey}
}
