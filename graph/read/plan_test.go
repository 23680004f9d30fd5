package read_test

import (
	"strings"
	"testing"

	"entgo.io/ent/dialect"

	"github.com/tokenkeep/tokenkeep/graph/page"
	"github.com/tokenkeep/tokenkeep/graph/read"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// shape is a list that many callers ask for, and how a database should find its second page.
type shape struct {
	name   string
	filter read.Filter
	field  page.Field
	// index is part of the name of the index that drives the query.
	index string
	// sorts allows sorting: the filter leaves few rows, in another order than the list's.
	sorts bool
}

func shapes(w *world) []shape {
	subject, provider := "subject1", "zoom"
	rare, common := map[string]string{"plan": "absent"}, map[string]string{"all": "yes"}
	return []shape{
		{"all by creation", read.Filter{}, page.Created, "connection_tenant_id_id", false},
		{"all by change", read.Filter{}, page.Updated, "connection_tenant_id_updated_at_id", false},
		{"one state", read.Filter{States: []string{"DISCONNECTED"}}, page.Created, "connection_tenant_id_state_id", false},
		{"two states", read.Filter{States: []string{"DISCONNECTED", "PENDING"}}, page.Created, "connection_tenant_id_id", false},
		{"connected by change", read.Filter{States: []string{"CONNECTED"}}, page.Updated, "connection_tenant_id_updated_at_id", false},
		{"an app", read.Filter{App: &w.apps[0]}, page.Created, "connection_tenant_id_app_id", false},
		{"an app by change", read.Filter{App: &w.apps[0]}, page.Updated, "connection_tenant_id_updated_at_id", false},
		{"a provider", read.Filter{Provider: &provider}, page.Created, "connection_tenant_id_id", false},
		{"a subject", read.Filter{Subject: &subject}, page.Created, "connection_tenant_id_subject_id", false},
		{"a subject by change", read.Filter{Subject: &subject}, page.Updated, "connection_tenant_id_subject_id", true},
		{"a period", read.Filter{CreatedAfter: &epoch}, page.Created, "connection_tenant_id_id", false},
		{"a common pair", read.Filter{Metadata: common}, page.Created, "pair_digest", false},
		{"a common pair by change", read.Filter{Metadata: common}, page.Updated, "connection_tenant_id_updated_at_id", false},
		{"a rare pair", read.Filter{Metadata: rare}, page.Created, "pair_digest", false},
		{"a rare pair by change", read.Filter{Metadata: rare}, page.Updated, "pair_digest", true},
		{"a pair and a state", read.Filter{Metadata: common, States: []string{"CONNECTED"}}, page.Created, "pair_digest", false},
		{"a pair and a subject", read.Filter{Metadata: common, Subject: &subject}, page.Created, "connection_tenant_id_subject_id", false},
		{"a key", read.Filter{MetadataKeys: []string{"plan"}}, page.Created, "key_digest", false},
	}
}

// TestSQLitePlans reads how SQLite finds the second page of the usual lists: by an index of the list's order, no table
// read from end to end, nothing sorted that was not narrowed first.
func TestSQLitePlans(t *testing.T) {
	db := servicetest.OpenDatabase(t, servicetest.SQLite(t))
	w := newWorld(t, db, 1, 1300)
	for _, s := range shapes(w) {
		t.Run(s.name, func(t *testing.T) {
			got := secondPage(t, db, w, s)
			if !strings.Contains(got, s.index) {
				t.Errorf("the index %s is not used:\n%s", s.index, got)
			}
			if strings.Contains(got, "SCAN connection") || strings.Contains(got, "SCAN meta") || strings.Contains(got, "SCAN candidate") {
				t.Errorf("a table is read from end to end:\n%s", got)
			}
			if !s.sorts && strings.Contains(got, "TEMP B-TREE") {
				t.Errorf("rows are sorted:\n%s", got)
			}
		})
	}
}

// TestPostgresPlans is the same for PostgreSQL, which weighs its plans: on so little data only whether the indexes can
// serve is of interest, so reading whole tables is switched off.
func TestPostgresPlans(t *testing.T) {
	db := servicetest.OpenDatabase(t, servicetest.Postgres(t)+"&options=-c%20enable_seqscan%3Doff")
	w := newWorld(t, db, 1, 1300)
	for _, s := range shapes(w) {
		t.Run(s.name, func(t *testing.T) {
			if got := secondPage(t, db, w, s); strings.Contains(got, "Seq Scan") {
				t.Errorf("a table is read from end to end:\n%s", got)
			}
		})
	}
}

// secondPage is the plan of the query that reads the rows of a list's second page.
func secondPage(t *testing.T, db *database.DB, w *world, s shape) string {
	t.Helper()
	client, recorder := recorded(db)
	order := page.Order{Field: s.field, Desc: true}
	within := order
	within.List = page.Connections
	middle := w.rows[len(w.rows)/2]
	after := within.Cursor(page.Key{At: middle.UpdatedAt, ID: middle.ID})
	if _, err := read.New(client).Connections(as(t.Context(), w.mine), page.Args{After: &after}, s.filter, order); err != nil {
		t.Fatal(err)
	}
	all := recorder.take()
	last := all[len(all)-1]
	if db.Dialect == dialect.SQLite && testing.Verbose() {
		t.Log(last.text)
	}
	return plan(t, db, last)
}
