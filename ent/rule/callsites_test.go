package rule_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Each entry below is a place where the rules do not hold by themselves, and why that is right there. Add yours with its
// reason; the key is the file, n counts the uses in it.
type site struct {
	n      int
	reason string
}

// systemSites are the uses of tenant.System, which sees the rows of every tenant.
var systemSites = map[string]site{}

// upsertSites are the upserts: ON CONFLICT DO UPDATE changes the row it meets whoever owns it, so the conflicting columns
// must be such that only the viewer's own row can be met.
var upsertSites = map[string]site{}

func TestSystemSites(t *testing.T) {
	compareSites(t, "tenant.System", systemSites, uses(t, func(f *ast.File, s *ast.SelectorExpr) bool {
		x, ok := s.X.(*ast.Ident)
		return ok && s.Sel.Name == "System" && x.Name == importedAs(f, "github.com/tokenkeep/tokenkeep/internal/tenant")
	}))
}

func TestUpsertSites(t *testing.T) {
	compareSites(t, "OnConflict", upsertSites, uses(t, func(_ *ast.File, s *ast.SelectorExpr) bool {
		return s.Sel.Name == "OnConflict" || s.Sel.Name == "OnConflictColumns"
	}))
}

// compareSites fails for every file whose count is not the listed one.
func compareSites(t *testing.T, what string, listed map[string]site, got map[string]int) {
	t.Helper()
	for path, n := range got {
		if s := listed[path]; s.n != n {
			t.Errorf("%s uses %s %d times, the list in ent/rule/callsites_test.go says %d: if it has to, give the reason there", path, what, n, s.n)
		} else if s.reason == "" {
			t.Errorf("%s is listed for %s without a reason", path, what)
		}
	}
	for path := range maps.Keys(listed) {
		if got[path] == 0 {
			t.Errorf("%s is listed for %s and does not use it: take it off the list in ent/rule/callsites_test.go", path, what)
		}
	}
}

// uses counts, by file, the selectors that match in the code of the service: not in tests or the test kit, and not in
// what ent generates.
func uses(t *testing.T, match func(*ast.File, *ast.SelectorExpr) bool) map[string]int {
	t.Helper()
	found := map[string]int{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("walking the sources: %w", err)
		}
		rel, _ := filepath.Rel(root, path)
		rel = filepath.ToSlash(rel)
		if d.IsDir() && skipped(rel) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") || isGenerated(rel) {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && match(f, s) {
				found[rel]++
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// skipped folders hold no code of the service.
func skipped(dir string) bool {
	name := dir[strings.LastIndex(dir, "/")+1:]
	return dir == "internal/servicetest" || name == "node_modules" || name == "testdata" || len(name) > 2 && name[0] == '.'
}

// isGenerated reports whether ent wrote the file.
func isGenerated(path string) bool {
	return strings.HasPrefix(path, "ent/") && !strings.HasPrefix(path, "ent/rule/") && !strings.HasPrefix(path, "ent/schema/")
}

// importedAs returns the name by which f knows a package, or "" where it does not import it.
func importedAs(f *ast.File, path string) string {
	for _, i := range f.Imports {
		if p, _ := strconv.Unquote(i.Path.Value); p == path {
			if i.Name != nil {
				return i.Name.Name
			}
			return path[strings.LastIndex(path, "/")+1:]
		}
	}
	return ""
}
