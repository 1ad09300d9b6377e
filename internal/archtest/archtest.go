// Package archtest holds the import and purity rules of the project's layout as a test.
//
// The protocol engines are pure state machines: what keeps them so is not discipline but [Check], which parses every
// non-test Go file of the module and reports each place that breaks a rule. Only what a file itself writes counts; what
// a codec links beneath does not. docs/adr/0003-dependency-rules.md says why the rules are these.
package archtest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Module is the path of the module that the rules are about.
const Module = "github.com/openparley/webrtc"

// engines lists the directories of the protocol engines, each with the other engine directories that it may build on.
// ice/turn is the client; its server, an I/O program, lives in a directory of its own.
var engines = map[string][]string{
	"ice":              {"ice/turn", "ice/mdns"},
	"ice/turn":         nil,
	"ice/mdns":         nil,
	"dtls":             nil,
	"srtp":             nil,
	"sctp":             nil,
	"sctp/dcep":        {"sctp"},
	"sdp":              nil,
	"sdp/jsep":         {"sdp"},
	"internal/rtpflow": nil,
}

// ioPackages move bytes and know nothing of protocols.
var ioPackages = []string{"internal/netio", "internal/netsim"}

// rootImporters are the trees that may import the root package.
var rootImporters = []string{"examples", "e2e", "bench", "media", "signaling"}

// engineImports are the packages that no engine may import, with their subtrees.
var engineImports = []string{
	"net", "os", "context", "sync", "syscall", "crypto/rand", "math/rand", "time/tzdata",
	"golang.org/x/sys", "golang.org/x/net",
}

// engineImportsAllowed are the exceptions: values and codecs without a system behind them, generators that take a seed
// (their package-level functions are caught by seededOnly), and counters.
var engineImportsAllowed = []string{"net/netip", "sync/atomic", "math/rand/v2", "golang.org/x/net/dns/dnsmessage"}

// clockNames are what package time offers to those who want to know or wait for the time.
var clockNames = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// seededOnly are the names of math/rand/v2 that do not touch the process-wide generator.
var seededOnly = []string{"New", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "PCG", "ChaCha8", "Zipf"}

// testPeers are stacks that serve as independent peers in tests and benchmarks and never in the library itself.
var testPeers = []string{
	"github.com/pion/dtls", "github.com/pion/sctp", "github.com/pion/ice", "github.com/pion/turn",
	"github.com/pion/webrtc", "github.com/pion/interceptor", "github.com/pion/mdns",
}

// emptyNames are package names that say nothing of what is inside.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "shared", "base"}

// A Violation is one place that breaks a rule.
type Violation struct {
	Pos  token.Position
	Rule string
}

// String formats the violation as compilers do, so that editors find the place.
func (v Violation) String() string { return fmt.Sprintf("%s: %s", v.Pos, v.Rule) }

// Check parses every non-test Go file below root, which is the directory of the module's go.mod, and returns the
// violations in the order of the walk, and the directories that hold packages. Nested modules, testdata and hidden
// directories are left out. The error is one of reading or parsing.
func Check(root string) (found []Violation, packages []string, err error) {
	fset := token.NewFileSet()
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enterDir(root, name, d)
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("archtest: %w", err)
		}
		rel, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return fmt.Errorf("archtest: %w", err)
		}
		dir := filepath.ToSlash(rel)
		if !slices.Contains(packages, dir) {
			packages = append(packages, dir)
		}
		found = append(found, checkFile(fset, dir, file)...)
		return nil
	})
	return found, packages, err
}

// enterDir decides whether the walk goes into a directory.
func enterDir(root, name string, d fs.DirEntry) error {
	if name == root {
		return nil
	}
	if strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") || d.Name() == "testdata" {
		return filepath.SkipDir
	}
	switch _, err := os.Stat(filepath.Join(name, "go.mod")); {
	case err == nil:
		return filepath.SkipDir
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("archtest: %w", err)
	}
	return nil
}

// checkFile applies every rule to one parsed file of the package in dir (slash-separated, "." for the root).
func checkFile(fset *token.FileSet, dir string, file *ast.File) []Violation {
	c := &checker{fset: fset, dir: dir}
	if slices.Contains(emptyNames, file.Name.Name) {
		c.report(file.Name, "package name %q says nothing about what is inside", file.Name.Name)
	}
	for _, spec := range file.Imports {
		c.checkImport(spec)
	}
	if _, ok := engines[dir]; ok {
		c.checkPurity(file)
	}
	return c.found
}

type checker struct {
	fset  *token.FileSet
	dir   string
	found []Violation
}

func (c *checker) report(at ast.Node, format string, args ...any) {
	c.found = append(c.found, Violation{Pos: c.fset.Position(at.Pos()), Rule: c.dir + ": " + fmt.Sprintf(format, args...)})
}

// checkImport applies the rules about who imports whom.
func (c *checker) checkImport(spec *ast.ImportSpec) {
	name := importPath(spec)
	if under(name, testPeers) {
		c.report(spec, "%s is a test peer and no part of the library", name)
	}
	local, ours := strings.CutPrefix(name, Module)
	if ours && local == "" && !under(c.dir, rootImporters) {
		c.report(spec, "the root package is imported by examples, e2e, bench, media and signaling only")
	}
	local = strings.TrimPrefix(local, "/")
	_, toEngine := engines[local]
	if ours && toEngine && slices.Contains(ioPackages, c.dir) {
		c.report(spec, "I/O imports no engine, and %s is one", local)
	}
	allowed, isEngine := engines[c.dir]
	if !isEngine {
		return
	}
	if ours && toEngine && !slices.Contains(allowed, local) {
		c.report(spec, "engines never import each other, and %s is one", local)
	}
	if ours && under(local, ioPackages) {
		c.report(spec, "engines do no I/O, and %s is I/O", local)
	}
	if under(name, engineImports) && !slices.Contains(engineImportsAllowed, name) {
		c.report(spec, "engines do without package %s", name)
	}
}

// checkPurity looks for goroutines, clocks and global randomness in an engine's code.
func (c *checker) checkPurity(file *ast.File) {
	guarded := map[string]func(sel string) bool{
		"time":         func(sel string) bool { return slices.Contains(clockNames, sel) },
		"math/rand/v2": func(sel string) bool { return !slices.Contains(seededOnly, sel) },
	}
	local := map[string]string{} // name in this file → import path
	for _, spec := range file.Imports {
		name := importPath(spec)
		if _, ok := guarded[name]; !ok {
			continue
		}
		switch {
		case spec.Name == nil:
			local[packageName(name)] = name
		case spec.Name.Name == ".":
			c.report(spec, "a dot import of %s hides its clock and randomness from this check", name)
		default:
			local[spec.Name.Name] = name
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			c.report(n, "engines start no goroutine")
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			if name, ok := local[x.Name]; ok && guarded[name](n.Sel.Name) {
				c.report(n, "engines are given the time and their randomness: no %s.%s", packageName(name), n.Sel.Name)
			}
		}
		return true
	})
}

// importPath returns the path of an import; the parser has made sure that it is a string literal.
func importPath(spec *ast.ImportSpec) string {
	name, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return name
}

// packageName is the name under which a file sees the standard library's package name, whose major version does not count.
func packageName(name string) string {
	if base := path.Base(name); base != "v2" {
		return base
	}
	return path.Base(path.Dir(name))
}

// under reports whether name is one of the roots or lies below one of them.
func under(name string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return name == root || strings.HasPrefix(name, root+"/")
	})
}
