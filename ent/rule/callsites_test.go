package rule_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// site is a file that upserts: how often, and why the row it meets can only be the viewer's own.
type site struct {
	n      int
	reason string
}

// upsertSites are the upserts of the service, by file. ON CONFLICT DO UPDATE changes the row it meets whoever owns it, past
// every rule; add yours with its reason. (The uses of tenant.System are listed in internal/architecture.)
var upsertSites = map[string]site{}

func TestUpsertSites(t *testing.T) {
	got := uses(t, func(s *ast.SelectorExpr) bool {
		return s.Sel.Name == "OnConflict" || s.Sel.Name == "OnConflictColumns"
	})
	for path, n := range got {
		if s := upsertSites[path]; s.n != n {
			t.Errorf("%s has %d upserts, the list in ent/rule/callsites_test.go says %d: if it has to, give the reason there", path, n, s.n)
		} else if s.reason == "" {
			t.Errorf("%s is listed without a reason", path)
		}
	}
	for path := range upsertSites {
		if got[path] == 0 {
			t.Errorf("%s has no upsert: take it off the list in ent/rule/callsites_test.go", path)
		}
	}
}

// uses counts, by file, the selectors that match in the code of the service: not in tests or the test kit, and not in
// what ent generates.
func uses(t *testing.T, match func(*ast.SelectorExpr) bool) map[string]int {
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
			if s, ok := n.(*ast.SelectorExpr); ok && match(s) {
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
