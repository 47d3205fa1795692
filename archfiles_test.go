package grapevine

import (
	"bytes"
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
	"testing"
)

// file is a Go file, as the rules see it.
type file struct {
	path, dir string // from the module's root, with slashes
	test      bool
	generated bool
	lines     int
	imports   []string
	names     map[string]string // import path by the name it has in the file
	syntax    *ast.File
	positions *token.FileSet
}

// linesOf returns how many lines something takes.
func (f file) linesOf(n ast.Node) int {
	return f.positions.Position(n.End()).Line - f.positions.Position(n.Pos()).Line + 1
}

// core says whether the file belongs to a core.
func (f file) core() bool {
	return slices.Contains(cores, f.dir) || slices.Contains(cores, f.path)
}

func parseFile(name string, text []byte) (file, error) {
	positions := token.NewFileSet()
	syntax, err := parser.ParseFile(positions, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return file{}, err
	}
	f := file{
		path: name, dir: path.Dir(name),
		test:      strings.HasSuffix(name, "_test.go"),
		generated: ast.IsGenerated(syntax),
		lines:     bytes.Count(text, []byte("\n")),
		names:     map[string]string{},
		syntax:    syntax,
		positions: positions,
	}
	for _, spec := range syntax.Imports {
		of, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, err
		}
		f.imports = append(f.imports, of)
		f.names[importName(spec, of)] = of
	}
	return f, nil
}

// importName returns the name by which the file calls the import.
func importName(spec *ast.ImportSpec, of string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	if base := path.Base(of); base != "v2" {
		return base
	}
	return path.Base(path.Dir(of))
}

// readModule parses every Go file of the module, whatever its build tags.
func readModule(t *testing.T) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "bin") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parseFile(filepath.ToSlash(name), text)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("read %d Go files: this test runs at the module's root, and sees all of it", len(files))
	}
	return files
}

// TestEachRuleCanFail breaks each rule once, and keeps it once.
func TestEachRuleCanFail(t *testing.T) {
	const head = "package p\n"
	for _, c := range []struct {
		name, path, text, want string // want is a part of the only complaint; "" for none
	}{
		{"unknown package", "common/x.go", head, "not in the import table"},
		{"unknown package of tests", "common/x_test.go", head, "not in the import table"},
		{"arrow against the stream", "ledger/x.go", head + `import "grapevine/node"`, "which the table does not allow: the chain is kept"},
		{"arrow along it", "ledger/x.go", head + `import "grapevine/block"`, ""},
		{"testnet from the node", "node/x.go", head + `import "grapevine/testnet/report"`, "does not allow"},
		{"arrow in a test", "mempool/x_test.go", head + `import "grapevine/node"`, "does not allow"},
		{"data in a test", "p2p/wire/x_test.go", head + `import "grapevine/genesis"`, ""},
		{"module in block", "block/x.go", head + `import "golang.org/x/sync/errgroup"`, "the standard library and the code alone"},
		{"Badger elsewhere", "mempool/x.go", head + `import "github.com/dgraph-io/badger/v4"`, "one package knows the store"},
		{"Badger in the ledger", "ledger/x.go", head + `import "github.com/dgraph-io/badger/v4"`, ""},
		{"libp2p elsewhere", "node/x.go", head + `import "github.com/libp2p/go-libp2p"`, "one package knows the network"},
		{"libp2p in genesis", "genesis/x.go", head + `import "github.com/libp2p/go-libp2p/core/crypto"`, "one package knows the network"},
		{"peer IDs in genesis", "genesis/x.go", head + `import "github.com/libp2p/go-libp2p/core/peer"`, ""},
		{"peer stores in genesis", "genesis/x.go", head + `import "github.com/libp2p/go-libp2p/core/peerstore"`, "one package knows the network"},
		{"peer IDs elsewhere", "api/x.go", head + `import "github.com/libp2p/go-libp2p/core/peer"`, "peer IDs are text"},
		{"simnet in the node", "node/x.go", head + `import "github.com/marcopolo/simnet"`, "outside a test"},
		{"simnet in its tests", "node/x_test.go", head + `import "github.com/marcopolo/simnet"`, ""},
		{"flags elsewhere", "testnet/report/x.go", head + `import "github.com/spf13/pflag"`, "flags exist"},
		{"pictures elsewhere", "testnet/outcome/x.go", head + `import "gonum.org/v1/plot"`, "one package draws"},
		{"pictures", "testnet/plot/x.go", head + `import "gonum.org/v1/plot/vg"`, ""},
		{"testify", "mempool/x_test.go", head + `import "github.com/stretchr/testify/assert"`, "compare with if"},
		{"lock in a core", "dissemination/fresh/x.go", head + `import "sync/atomic"`, "a core gets time"},
		{"logger in a core", "p2p/membership/x.go", head + `import "log/slog"`, "a core gets time"},
		{"old randomness in a core", "p2p/wire/x.go", head + `import "math/rand"`, "a core gets time"},
		{"seeded randomness in a core", "dissemination/fresh/x.go", head + "import \"math/rand/v2\"\nvar _ = rand.New(rand.NewPCG(1, 2)).IntN(3)", ""},
		{"global randomness in a core", "dissemination/fresh/x.go", head + "import \"math/rand/v2\"\nvar _ = rand.IntN(3)", "uses rand.IntN"},
		{"global randomness by another name", "dissemination/txs/x.go", head + "import r \"math/rand/v2\"\nvar _ = r.Perm(3)", "uses r.Perm"},
		{"clock in a core", "dissemination/catchup/x.go", head + "import \"time\"\nvar f = time.Now", "uses time.Now"},
		{"clock by another name", "block/x.go", head + "import t \"time\"\nvar f = t.After(1)", "uses t.After"},
		{"durations in a core", "dissemination/catchup/x.go", head + "import \"time\"\nconst d = time.Second", ""},
		{"clock in the Cutter", "ordering/cutter.go", head + "import \"time\"\nvar f = time.Until", "uses time.Until"},
		{"clock beside the Cutter", "ordering/x.go", head + "import \"time\"\nvar f = time.Until", ""},
		{"clock in a core's test", "dissemination/fresh/x_test.go", head + "import \"time\"\nvar f = time.Now", ""},
		{"goroutine in a core", "dissemination/fresh/x.go", head + "func f() { go f() }", "starts a goroutine"},
		{"channel in a core", "dissemination/fresh/x.go", head + "func f(c any) { _ = c.(interface{}); var d chan int; _ = d }", "uses a channel"},
		{"a name that a power loss takes back", "p2p/x.go", head + "import \"os\"\nvar f = os.Rename", "uses os.Rename"},
		{"a name made durable", "durable/x.go", head + "import \"os\"\nvar f = os.Rename", ""},
		{"a name in a test", "p2p/x_test.go", head + "import \"os\"\nvar f = os.Rename", ""},
		{"function too long", "node/x.go", head + "func f() {" + strings.Repeat("\n", maxFunction) + "}", "f has 71 lines"},
		{"function just short enough", "node/x.go", head + "func f() {" + strings.Repeat("\n", maxFunction-1) + "}", ""},
		{"function of a test", "node/x_test.go", head + "func f() {" + strings.Repeat("\n", maxFunction) + "}", ""},
		{"file too long", "node/x.go", head + strings.Repeat("\n", maxLines), "a file that long"},
		{"file just short enough", "node/x.go", head + strings.Repeat("\n", maxLines-1), ""},
		{"generated file", "api/apipb/x.go", "// Code generated by x. DO NOT EDIT.\n" + head + strings.Repeat("\n", maxLines), ""},
	} {
		f, err := parseFile(c.path, []byte(c.text))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := broken(f)
		ok := len(got) == 0
		if c.want != "" {
			ok = len(got) == 1 && strings.Contains(got[0], c.want)
		}
		if !ok {
			t.Errorf("%s: got %q, want one complaint with %q", c.name, got, c.want)
		}
	}
}

func TestPackageCommentsCanBeMissed(t *testing.T) {
	parse := func(path, text string) file {
		f, err := parseFile(path, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for name, c := range map[string]struct {
		files []file
		want  int
	}{
		"none":          {[]file{parse("block/a.go", "package block\n")}, 1},
		"one":           {[]file{parse("block/a.go", "// Package block is.\npackage block\n"), parse("block/b.go", "package block\n")}, 0},
		"two":           {[]file{parse("block/a.go", "// Package block is.\npackage block\n"), parse("block/b.go", "// Package block too.\npackage block\n")}, 1},
		"only in tests": {[]file{parse("block/a.go", "package block\n"), parse("block/a_test.go", "// Package block is.\npackage block\n")}, 1},
		"only tests":    {[]file{parse("a_test.go", "package grapevine\n")}, 0},
	} {
		if got := brokenDocs(c.files); len(got) != c.want {
			t.Errorf("%s: got %q, want %d complaints", name, got, c.want)
		}
	}
}
