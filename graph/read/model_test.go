package read_test

import (
	"bytes"
	"cmp"
	"slices"

	"pgregory.net/rapid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/graph/page"
	"github.com/tokenkeep/tokenkeep/graph/read"
)

// model is the list that the filter and the order ask for, made in memory.
func (w *world) model(f read.Filter, o page.Order) []*ent.Connection {
	var list []*ent.Connection
	for _, c := range w.rows {
		if meets(c, f) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *ent.Connection) int {
		by := bytes.Compare(a.ID[:], b.ID[:])
		if o.Field == page.Updated {
			by = cmp.Or(a.UpdatedAt.Compare(b.UpdatedAt), by)
		}
		if o.Desc {
			return -by
		}
		return by
	})
	return list
}

func meets(c *ent.Connection, f read.Filter) bool {
	for key, value := range f.Metadata {
		if got, ok := c.Metadata[key]; !ok || got != value {
			return false
		}
	}
	for _, key := range f.MetadataKeys {
		if _, ok := c.Metadata[key]; !ok {
			return false
		}
	}
	return is(f.App, c.AppID) && is(f.Provider, c.Provider) && is(f.Kind, string(c.Kind)) &&
		is(f.GrantType, string(c.GrantType)) && (len(f.States) == 0 || slices.Contains(f.States, string(c.State))) &&
		is(f.HasFailure, c.FailureClass != "") && is(f.Subject, *c.Subject) && is(f.ExternalUserID, *c.ExternalUserID) &&
		is(f.ExternalAccountID, *c.ExternalAccountID) && is(f.ExternalEmail, *c.ExternalEmail) &&
		(f.CreatedAfter == nil || c.CreatedAt.After(*f.CreatedAfter)) &&
		(f.CreatedBefore == nil || c.CreatedAt.Before(*f.CreatedBefore)) &&
		(f.UpdatedAfter == nil || c.UpdatedAt.After(*f.UpdatedAfter))
}

func is[T comparable](want *T, got T) bool { return want == nil || *want == got }

// drawFilter makes up a filter of a few conditions, whose values mostly occur.
func (w *world) drawFilter(t *rapid.T) read.Filter {
	var f read.Filter
	like := w.rows[rapid.IntRange(0, len(w.rows)-1).Draw(t, "like")]
	for range rapid.IntRange(0, 3).Draw(t, "conditions") {
		w.drawCondition(t, &f, like)
	}
	return f
}

func (w *world) drawCondition(t *rapid.T, f *read.Filter, like *ent.Connection) {
	kind, grant := string(like.Kind), string(like.GrantType)
	failing := rapid.Bool().Draw(t, "failing")
	states := []string{string(connection.StatePENDING), string(connection.StateCONNECTED), string(connection.StateDISCONNECTED)}
	nobody := "nobody"
	set := []func(){
		func() { f.App = &like.AppID },
		func() { f.Provider = &like.Provider },
		func() { f.Kind = &kind },
		func() { f.GrantType = &grant },
		func() { f.States = rapid.SliceOfN(rapid.SampledFrom(states), 1, 4).Draw(t, "states") },
		func() { f.HasFailure = &failing },
		func() { f.Subject = like.Subject },
		func() { f.ExternalUserID = like.ExternalUserID },
		func() { f.ExternalAccountID = like.ExternalAccountID },
		func() { f.ExternalEmail = like.ExternalEmail },
		func() { f.ExternalEmail = &nobody },
		func() { f.Metadata = some(t, like.Metadata) },
		func() { f.Metadata = map[string]string{"all": "yes"} },
		func() { f.Metadata = map[string]string{"all": "yes", "plan": "0"} },
		func() { f.Metadata = map[string]string{"plan": "absent", "all": "yes"} },
		func() {
			f.MetadataKeys = rapid.SliceOfN(rapid.SampledFrom([]string{"all", "plan", "Übung", "none"}), 1, 3).Draw(t, "keys")
		},
		func() { f.CreatedAfter = &like.CreatedAt },
		func() { f.CreatedBefore = &like.CreatedAt },
		func() { f.UpdatedAfter = &like.UpdatedAt },
	}
	rapid.SampledFrom(set).Draw(t, "condition")()
}

func some(t *rapid.T, m map[string]string) map[string]string {
	out := map[string]string{}
	for _, key := range []string{"all", "plan", "region", "Übung"} {
		if value, ok := m[key]; ok && rapid.Bool().Draw(t, "with "+key) {
			out[key] = value
		}
	}
	return out
}
