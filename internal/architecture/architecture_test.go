package architecture_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/tokenkeep/tokenkeep"

// listed is the part of "go list -json" that the rules need.
type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	CgoFiles   []string
	Imports    []string
}

// name is the path below the module: "internal/vault".
func (l listed) name() string { return strings.TrimPrefix(l.ImportPath, module+"/") }

func TestEveryPackageIsInTheTable(t *testing.T) {
	for _, l := range list(t) {
		if _, ok := rule(l.name()); !ok {
			t.Errorf("%s is not in the table of packages: add a line to table_test.go that says what it may import", l.name())
		}
	}
}

func TestTableNamesItsPackagesRight(t *testing.T) {
	for name, p := range packages {
		for _, imported := range p.imports {
			if _, ok := packages[imported]; ok {
				continue
			}
			if _, ok := rule(imported); !ok {
				t.Errorf("%s may import %s, which the table does not have", name, imported)
			}
		}
	}
}

func TestImportsPointDown(t *testing.T) {
	for _, l := range list(t) {
		p, _ := rule(l.name())
		for _, imported := range l.Imports {
			if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
				if !p.anything && !allows(p.imports, ours) {
					t.Errorf("%s imports %s, which the layout does not allow", l.name(), ours)
				}
				continue
			}
			if p.external != nil && !standard(imported) && !hasPrefix(p.external, imported) {
				t.Errorf("%s imports %s, which is more than its place in the layout allows", l.name(), imported)
			}
		}
	}
}

func TestNobodyOutsideTestsImportsTheTestKit(t *testing.T) {
	kit := []string{"internal/servicetest", "internal/vault/vaulttest"}
	for _, l := range list(t) {
		for _, imported := range l.Imports {
			if ours := strings.TrimPrefix(imported, module+"/"); slices.Contains(kit, ours) && !slices.Contains(kit, l.name()) {
				t.Errorf("%s imports %s outside its tests", l.name(), ours)
			}
		}
	}
}

func TestOnlyWiringTouchesTheProcess(t *testing.T) {
	forbidden := []string{
		"os.Getenv", "os.LookupEnv", "os.Environ", "os.ExpandEnv", "os.Setenv", "os.Exit",
		"log.Fatal", "log.Fatalf", "log.Fatalln", "log.Panic", "log.Panicf", "log.Panicln",
	}
	for _, f := range sources(t) {
		if p, _ := rule(f.pkg); p.process != "" {
			continue
		}
		for _, u := range f.uses() {
			if slices.Contains(forbidden, u.name) {
				t.Errorf("%s uses %s: settings come in from cmd, failures go back to it", f.at(u.pos), u.name)
			}
		}
	}
}

func TestNoInit(t *testing.T) {
	for _, f := range sources(t) {
		for _, d := range f.tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s declares func init: wire it in cmd", f.at(fn.Pos()))
			}
		}
	}
}

func TestNamesThatAPackageMayNotUse(t *testing.T) {
	for _, f := range sources(t) {
		p, _ := rule(f.pkg)
		for _, u := range f.uses() {
			if slices.Contains(p.never, u.name) {
				t.Errorf("%s uses %s, which the layout keeps out of %s", f.at(u.pos), u.name, f.pkg)
			}
		}
	}
}

func TestSecretsAreRevealedOnlyWhereListed(t *testing.T) {
	for _, f := range sources(t) {
		p, _ := rule(f.pkg)
		if p.reveals != "" || f.pkg == "internal/secret" {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Reveal" {
				t.Errorf("%s reveals a secret; a package that must says why in table_test.go", f.at(sel.Pos()))
			}
			return true
		})
	}
}

func TestSystemViewerIsMadeOnlyWhereListed(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range sources(t) {
		for _, u := range f.uses() {
			if u.name != module+"/internal/tenant.System" {
				continue
			}
			caller := f.pkg + ": " + f.function(u.pos)
			loop, _, _ := strings.Cut(caller, ".")
			seen[caller], seen[loop] = true, true
			if systemCallers[caller] == "" && systemCallers[loop] == "" {
				t.Errorf("%s acts as the system viewer: add %q with its reason to systemCallers in table_test.go", f.at(u.pos), caller)
			}
		}
	}
	for caller := range systemCallers {
		if name, _, _ := strings.Cut(caller, ":"); exists(t, name) && !seen[caller] {
			t.Errorf("%q no longer acts as the system viewer: take it out of systemCallers in table_test.go", caller)
		}
	}
}

// rule finds the entry of a package: the exact path, else the longest "/..." entry that covers it.
func rule(name string) (pkg, bool) {
	if p, ok := packages[name]; ok {
		return p, true
	}
	for dir := name; dir != "."; dir = path.Dir(dir) {
		if p, ok := packages[dir+"/..."]; ok {
			return p, true
		}
	}
	return pkg{}, false
}

// exists reports whether the module has the package: the table may be ahead of the code.
func exists(t *testing.T, name string) bool {
	t.Helper()
	return slices.ContainsFunc(list(t), func(l listed) bool { return l.name() == name })
}

// allows reports whether one of the patterns covers name.
func allows(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		tree, ok := strings.CutSuffix(p, "/...")
		return p == name || ok && (tree == name || strings.HasPrefix(name, tree+"/"))
	})
}

func hasPrefix(prefixes []string, name string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return name == p || strings.HasPrefix(name, p+"/") })
}

// standard reports whether an import path belongs to the standard library: its first element has no dot.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// list runs "go list" over the module. Packages that do not compile are listed too: their imports are checked all the
// same, and the compiler has its own say elsewhere.
func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Dir,GoFiles,CgoFiles,Imports", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing packages: %v\n%s", err, stderr.String())
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("reading the list of packages: %v", err)
		}
		all = append(all, l)
	}
	if len(all) < 5 {
		t.Fatalf("got %d packages, want the whole module", len(all))
	}
	return all
}

// source is one parsed file of the product, written by hand.
type source struct {
	pkg     string
	fset    *token.FileSet
	tree    *ast.File
	imports map[string]string
}

// use is one mention of a name of another package: "os.Getenv".
type use struct {
	name string
	pos  token.Pos
}

// sources parses all files that are neither tests nor generated.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	for _, l := range list(t) {
		for _, name := range slices.Concat(l.GoFiles, l.CgoFiles) {
			fset := token.NewFileSet()
			tree, err := parser.ParseFile(fset, filepath.Join(l.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Errorf("parsing: %v", err)
				continue
			}
			if !ast.IsGenerated(tree) {
				all = append(all, source{pkg: l.name(), fset: fset, tree: tree, imports: imports(tree)})
			}
		}
	}
	return all
}

// imports maps the names under which a file knows its imports to their paths.
func imports(tree *ast.File) map[string]string {
	byName := map[string]string{}
	for _, spec := range tree.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		byName[name] = imported
	}
	return byName
}

// uses lists the names of other packages that the file mentions.
func (s source) uses() []use {
	var all []use
	ast.Inspect(s.tree, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && s.imports[x.Name] != "" {
			all = append(all, use{name: s.imports[x.Name] + "." + sel.Sel.Name, pos: sel.Pos()})
		}
		return true
	})
	return all
}

// function names the declaration around pos: "Open" or "Store.Open".
func (s source) function(pos token.Pos) string {
	for _, d := range s.tree.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || pos < fn.Pos() || pos >= fn.End() {
			continue
		}
		if fn.Recv == nil || len(fn.Recv.List) == 0 {
			return fn.Name.Name
		}
		return receiver(fn.Recv.List[0].Type) + "." + fn.Name.Name
	}
	return "package level"
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return "?"
}

// at is a position as "internal/vault/crypt.go:12".
func (s source) at(pos token.Pos) string {
	p := s.fset.Position(pos)
	return fmt.Sprintf("%s/%s:%d", s.pkg, filepath.Base(p.Filename), p.Line)
}

func TestRuleOrder(t *testing.T) {
	tests := []struct{ name, want string }{
		{"ent/schema", "ent/schema"}, {"ent/apikey", "ent/..."}, {"ent", "ent/..."}, {"graph", "graph"},
		{"graph/generated", "graph/..."}, {"cmd/tokenkeep", "cmd/..."}, {"internal/nobody", ""},
	}
	for _, tt := range tests {
		got, ok := rule(tt.name)
		if want := packages[tt.want]; ok != (tt.want != "") || !slices.Equal(got.imports, want.imports) {
			t.Errorf("rule(%q) = %v, %t, want the entry %q of %v", tt.name, got.imports, ok, tt.want, slices.Sorted(maps.Keys(packages)))
		}
	}
}
