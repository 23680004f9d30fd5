package isolation_test

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// TestScopes tries every operation as a key of each single scope and as the operator. Who lacks the scope is refused and
// changes nothing but the record of refusals; who has it is let in.
func TestScopes(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		a := w.party(t, "amber")
		var callers []identity
		for _, scope := range scopesOfContract() {
			_, who := w.key(t, a, "key of "+scope, scope)
			callers = append(callers, who)
		}
		callers = append(callers, w.operatorIdentity().inside(a.values["tenant"]), w.operatorIdentity())
		before := w.snapshot(t, a, "audit_entries")
		refused, allowed := 0, 0
		for _, f := range operations() {
			for _, who := range callers {
				refused += w.tryWithout(t, f.Name, who, a)
			}
		}
		if diff := gocmp.Diff(before, w.snapshot(t, a, "audit_entries")); diff != "" {
			t.Errorf("somebody without the scope changed something (-before +after):\n%s", diff)
		}
		for _, f := range endingsLast() {
			allowed += w.tryWith(t, f.Name, callers, a)
		}
		t.Logf("%d operations, %d identities: %d refused, %d let in", len(operations()), len(callers), refused, allowed)
	})
}

// scopesOfContract are the scopes that the schema has.
func scopesOfContract() []string {
	var all []string
	for _, v := range served.Types["Scope"].EnumValues {
		all = append(all, v.Name)
	}
	return all
}

// endingsLast are the operations, with those at the end that take away what others need.
func endingsLast() []*ast.FieldDefinition {
	return slices.SortedStableFunc(slices.Values(operations()), func(a, b *ast.FieldDefinition) int { return cmp.Compare(ending(a), ending(b)) })
}

func ending(f *ast.FieldDefinition) int {
	if strings.HasPrefix(f.Name, "delete") || strings.HasPrefix(f.Name, "revoke") {
		return 1
	}
	return 0
}

// tryWithout calls an operation as somebody who lacks its scope, and returns whether it did.
func (w *world) tryWithout(t *testing.T, operation string, who identity, p *party) int {
	t.Helper()
	r := rules[operation]
	if who.may(r.scope) {
		return 0
	}
	given := r.own(p)
	checkRefused(t, operation, who, w.post(t, who, document(t, operation, given), given), p, http.StatusOK, "FORBIDDEN")
	return 1
}

// tryWith calls an operation as all who hold its scope. The first must succeed; later ones may find it done.
func (w *world) tryWith(t *testing.T, operation string, callers []identity, p *party) int {
	t.Helper()
	tried := 0
	for _, who := range callers {
		r := rules[operation]
		if !who.may(r.scope) {
			continue
		}
		given := r.own(p)
		got := w.post(t, who, document(t, operation, given), given)
		done := []string{""}
		if tried > 0 {
			done = append(done, "NOT_FOUND", "CONFLICT")
		}
		if !slices.Contains(done, got.code()) {
			t.Errorf("%s as %s: got %s, want one of %q", operation, who.name, got.body, done)
		}
		tried++
	}
	if tried == 0 {
		t.Errorf("%s: nobody was let in", operation)
	}
	return tried
}

// nodeKind says how objects of a type are found by id.
type nodeKind struct{ value, scope string }

// nodeKinds are all types that implement Node.
var nodeKinds = map[string]nodeKind{
	"Connection": {"connection", read},
	"OAuthApp":   {"app", read},
	"APIKey":     {"key", tenantAdmin},
	"Tenant":     {"tenant", anyKey},
}

// TestNodes asks for an object of every type by its id, as every identity, alone and beside others.
func TestNodes(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		a, b := w.party(t, "amber"), w.party(t, "birch")
		callers := []identity{a.all, a.admin, b.all, b.admin, w.operatorIdentity(), w.operatorIdentity().inside(a.values["tenant"]), w.operatorIdentity().inside(b.values["tenant"])}
		for _, scope := range scopesOfContract() {
			_, who := w.key(t, a, "key of "+scope, scope)
			callers = append(callers, who)
		}
		for _, d := range served.GetPossibleTypes(served.Types["Node"]) {
			kind, ok := nodeKinds[d.Name]
			if !ok {
				t.Errorf("%s: new type needs a rule: say in nodeKinds how it is found", d.Name)
				continue
			}
			for i, who := range callers {
				w.tryNode(t, who, d.Name, kind, a, i == 2 || i == 3 || i == 6)
			}
		}
		t.Logf("%d types, %d identities", len(nodeKinds), len(callers))
	})
}

// tryNode asks by node and by nodes, beside an id of the other kinds that anybody may ask for.
func (w *world) tryNode(t *testing.T, who identity, typename string, kind nodeKind, owner *party, stranger bool) {
	t.Helper()
	want := outcome("FORBIDDEN")
	switch {
	case who.operator && typename == "Tenant": // every tenant is the operator's to see
		want = outcome(typename)
	case who.operator && !who.inTenant && typename == "OAuthApp": // sees shared apps only
		want = isNull
	case who.may(kind.scope) && stranger:
		want = isNull
	case who.may(kind.scope):
		want = outcome(typename)
	}
	nodeID := owner.values[kind.value]
	got := w.post(t, who, "query($id: ID!) { node(id: $id) { __typename id } }", args{"id": nodeID})
	if o := got.outcome("node", owner); o != want {
		t.Errorf("%s as %s: got %s, want %s", typename, who.name, got.body, want)
	}
	if want == isNull {
		want = listOfNulls
	}
	got = w.post(t, who, "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", args{"ids": []string{nodeID}})
	if o := got.outcome("nodes", owner); o != want {
		t.Errorf("nodes: %s as %s: got %s, want %s", typename, who.name, got.body, want)
	}
	if shown := strings.Contains(got.body, nodeID); shown != (want == outcome(typename)) {
		t.Errorf("nodes: %s as %s: shown: %t", typename, who.name, shown)
	}
}
