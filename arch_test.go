package grapevine

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// The import table. Arrows go one way:
//
//	cmd → node → {api, dissemination, ordering, mempool, ledger, p2p} → cores → block
//
// A package that is not in the table may not exist, and one that is imports of this
// module what stands here and nothing else.
var packages = []struct {
	dir     string
	imports string
	why     string
}{
	{"coding", "", "a code is of bytes, and knows nothing of what they are"},
	{"block", "coding", "the data is at the bottom: whoever wants to check a block needs the standard library and the code alone"},
	{"block/sig", "block durable", "signatures are of data, and know nothing of what it is for"},
	{"durable", "", "files that survive a power loss are made in one place, which knows nothing of what is in them"},
	{"genesis", "block block/sig", "a network's definition is data, which every part may read"},

	{"p2p/wire", "block p2p/wire/wirepb", "what peers say to each other must be usable by cores and decoders, without a network"},
	{"p2p/wire/wirepb", "", "generated"},
	{"p2p/membership", "block p2p/membership/memberpb p2p/wire", "a core: it knows peers by key, and no network"},
	{"p2p/membership/memberpb", "", "generated"},
	{"p2p", "block block/sig durable genesis internal/logline p2p/membership p2p/wire", "the network carries bytes between peers, and does not know what they mean"},

	{"dissemination/message", "block coding dissemination/message/messagepb p2p/wire", "the cores' messages as bytes; decoders stay in a small package, which is quick to fuzz"},
	{"dissemination/message/messagepb", "", "generated"},
	{"dissemination/arrival", "block p2p/wire", "how a block came is said in one vocabulary, whoever says it"},
	{"dissemination/effect", "block dissemination/message p2p/wire", "what cores want is data, so that every driver must know all of it"},
	{"dissemination/fresh", "block p2p/wire dissemination/message dissemination/effect dissemination/arrival", "a core: IDs, places and sizes, no payloads, no network"},
	{"dissemination/catchup", "p2p/wire dissemination/message dissemination/effect", "a core: heights and peers, no blocks, no network"},
	{"dissemination/spread", "block coding p2p/wire dissemination/message dissemination/effect", "a core: numbers of leaves, no bytes, no network"},
	{"dissemination/protocol", "block p2p/wire dissemination/message dissemination/effect dissemination/arrival dissemination/fresh dissemination/spread dissemination/catchup", "a peer's behaviour, once: no driver decides"},
	{"dissemination/txs", "block p2p/wire", "a core: hashes, no transactions, no network"},
	{"dissemination", "block block/sig coding genesis ledger mempool ordering p2p p2p/wire dissemination/arrival dissemination/effect dissemination/message dissemination/fresh dissemination/catchup dissemination/protocol dissemination/txs",
		"the driver joins the cores to network, pool and ledger"},

	{"ledger", "block block/sig durable genesis", "the chain is kept by whoever wants to keep it: it knows no peers and no pool"},
	{"mempool", "block block/sig durable", "the pool learns of the chain through a function, so that it can be used without one"},
	{"ordering", "block block/sig coding durable genesis mempool", "an orderer takes from the pool and hands to a function: how blocks travel is not its business"},
	{"api", "api/apipb api/apipb/apipbconnect api/codec block dissemination/arrival genesis ledger mempool", "the face reads ledger and pool, and gets the rest as functions, so that it can be tested without a node"},
	{"api/codec", "api/apipb", "what strangers send is decoded in a small package, which is quick to fuzz"},
	{"api/apipb", "", "generated"},
	{"api/apipb/apipbconnect", "api/apipb", "generated"},
	{"node", "api block block/sig dissemination dissemination/arrival dissemination/fresh dissemination/message dissemination/protocol durable genesis internal/logline ledger mempool ordering p2p p2p/membership p2p/wire",
		"the composition root imports every part, and no part imports it"},

	{"internal/logline", "", "who writes a line and who reads it share its words, and nothing else"},
	{"internal/spelling", "", "errors that say what was probably meant, for whatever has names"},

	{"testnet/scenario", "block dissemination/fresh dissemination/protocol internal/spelling testnet/scenarios", "what is to happen is said before there is a network, and for every world alike"},
	{"testnet/scenarios", "", "files, and the one line that embeds them"},
	{"testnet/report", "block dissemination/arrival internal/logline", "a report is made of facts, wherever the network ran"},
	{"testnet/outcome", "block dissemination/arrival testnet/report", "what happened is data, whatever world it happened in"},
	{"testnet/course", "block testnet/scenario testnet/traffic", "what is due when is the plan's, whatever network it is played on"},
	{"testnet/plot", "block dissemination/arrival testnet/outcome", "a picture is of what happened, and knows no world"},
	{"testnet/ledgers", "api api/apipb block", "a check of peers believes what they answer, and nothing else"},
	{"testnet/checks", "block testnet/outcome testnet/scenario", "a check of a run believes what its world saw, and nothing else"},
	{"testnet/traffic", "api api/apipb block block/sig mempool", "traffic comes from outside, as a user's would"},
	{"testnet/baseline/fabric", "block dissemination/arrival p2p/wire", "a core: Fabric's gossip with IDs and sizes, no bodies, no network, and nothing of our own cores but the names of the ways"},
	{"testnet/baseline", "block dissemination/arrival p2p p2p/wire testnet/baseline/fabric", "what we are measured against has nothing of ours but the seam for its sockets, frames, and the names of the ways"},
	{"testnet/packets", "block block/sig dissemination/arrival genesis ledger node p2p/membership p2p/wire testnet/baseline testnet/baseline/fabric testnet/course testnet/outcome testnet/scenario testnet/traffic",
		"whole nodes on simulated links: it knows their doors, and nothing of what is behind"},
	{"testnet/local", "api block block/sig durable genesis p2p/membership testnet/report",
		"a network of processes is looked after by hand as well as by a scenario, and knows of none"},
	{"testnet/processes", "api api/apipb block block/sig dissemination/arrival genesis internal/logline testnet/course testnet/local testnet/outcome testnet/report testnet/scenario testnet/traffic",
		"processes are real peers: what is known of them comes through their API and from their logs"},
	{"testnet/adversary", "api api/apipb block block/sig dissemination/message genesis p2p p2p/membership p2p/wire testnet/local testnet/traffic",
		"a liar is a host that says what it likes: it knows the messages, and nothing of what honest peers do with them"},
	{"testnet/events", "block coding dissemination/arrival dissemination/catchup dissemination/effect dissemination/fresh dissemination/message dissemination/protocol p2p/membership p2p/wire testnet/baseline/fabric testnet/outcome testnet/scenario",
		"simulated peers are the cores and what stands between them: no network, no disk, no clock"},
	{"cmd/internal/cli", "api", "what the programs have in common is the command line, not what they do"},
	{"cmd/internal/cli/clitest", "", "a program is tested from outside"},
	{"cmd/peer", "api api/apipb api/codec block block/sig cmd/internal/cli dissemination/arrival dissemination/fresh dissemination/protocol durable genesis internal/spelling ledger mempool node ordering p2p/membership testnet/ledgers testnet/local testnet/report testnet/traffic",
		"the command line is at the top: nothing imports it"},
	{"cmd/lab", "cmd/internal/cli cmd/lab/bench testnet/adversary testnet/checks testnet/events testnet/local testnet/outcome testnet/packets testnet/plot testnet/processes testnet/report testnet/scenario",
		"the laboratory knows networks of peers, and starts the peers' program as anybody would"},
	{"cmd/lab/bench", "cmd/internal/cli testnet/outcome testnet/report", "it starts the program as anybody would, and reads its rows"},

	{"scripts/genproto", "", "a tool: it may not depend on what it generates"},
	{".", "", "only this test"},
}

// testImports is what tests import beyond the table, by directory; those of every
// directory may use the data.
var testImports = map[string]string{
	"testnet/checks":  "dissemination/arrival",
	"":                "block block/sig genesis",
	"api":             "api/apipb api/apipb/apipbconnect",
	"node":            "api api/apipb p2p p2p/wire",
	"ordering":        "ledger",
	"cmd/peer":        "api/apipb/apipbconnect cmd/internal/cli/clitest",
	"testnet/events":  "block/sig genesis testnet/checks",
	"cmd/lab":         "block cmd/internal/cli/clitest dissemination/arrival",
	"cmd/lab/bench":   "testnet/scenario",
	"testnet/ledgers": "ledger mempool",
	"testnet/report":  "p2p/wire",
	"testnet/packets": "testnet/checks testnet/events",
	"testnet/traffic": "ledger",
}

// guards say who may import a module, or a part of one.
var guards = []struct {
	module string
	may    string
	why    string
}{
	{"github.com/dgraph-io", "ledger", "one package knows the store, so that it can be replaced and its traps are in one place"},
	{"github.com/libp2p/go-libp2p/core/peer", "genesis p2p testnet/packets testnet/baseline testnet/adversary", "peer IDs are text everywhere else"},
	{"github.com/klauspost/reedsolomon", "coding", "what peers agree on is computed in one place, and held by vectors there"},
	{"github.com/libp2p", "p2p testnet/packets testnet/baseline testnet/adversary", "one package knows the network: cores and drivers run over any"},
	{"github.com/multiformats", "p2p testnet/packets testnet/baseline", "addresses are text everywhere else"},
	{"github.com/quic-go", "p2p testnet/packets testnet/baseline", "transports are libp2p's business"},
	{"go.uber.org/fx", "p2p testnet/packets testnet/baseline", "it is needed for the socket's seam alone, below libp2p"},
	{"github.com/marcopolo/simnet", "p2p node dissemination testnet/packets testnet/baseline", "simulated links are for tests and testnets; a check below keeps it out of the node itself"},
	{"connectrpc.com/connect", "api api/apipb/apipbconnect cmd/internal/cli cmd/peer", "RPC is the API's business, and the exit codes'"},
	{"connectrpc.com/grpcreflect", "api", "RPC is the API's business"},
	{"github.com/prometheus", "api node p2p dissemination testnet/packets", "metrics are read from Stats by drivers, and by whoever runs nodes; cores and stores have no registry"},
	{"github.com/spf13", "cmd/internal/cli cmd/internal/cli/clitest cmd/lab cmd/peer", "flags exist in the command line alone"},
	{"github.com/BurntSushi", "cmd/peer testnet/scenario", "config files exist in the command line alone; a scenario is a file too"},
	{"gonum.org", "testnet/plot", "one package draws"},
	{"github.com/go-echarts", "testnet/plot", "one package draws"},
	{"golang.org/x/term", "cmd/internal/cli", "terminals exist in the command line alone"},
	{"github.com/stretchr", "", "tests compare with if, and say what they got and wanted"},
}

// cores are the sans-IO parts: directories, or single files.
var cores = []string{
	"block", "coding", "p2p/wire", "p2p/membership", "dissemination/message", "dissemination/arrival", "dissemination/effect",
	"dissemination/fresh", "dissemination/spread", "dissemination/catchup", "dissemination/protocol", "dissemination/txs", "p2p/pairing.go", "p2p/score.go", "ordering/cutter.go", "ordering/rollcall.go",
	"testnet/baseline/fabric",
}

const coreWhy = "a core gets time, randomness and bytes as arguments, so that a seed replays it exactly"

// coreImports are the packages that a core may not import, nor anything below them.
var coreImports = []string{
	"sync", "log", "net", "os", "io/ioutil", "context", "math/rand", "crypto/rand", "runtime", "syscall", "unsafe",
}

// coreCalls are the functions that a core may not name.
var coreCalls = map[string]string{
	"time":         "Now Sleep After AfterFunc NewTimer NewTicker Tick Since Until",
	"math/rand/v2": "Int IntN Int32 Int32N Int64 Int64N Uint32 Uint32N Uint64 Uint64N Uint UintN N Float32 Float64 NormFloat64 ExpFloat64 Perm Shuffle",
}

// namers are the functions that give files their names.
const namers = "Rename Link"

const namersWhy = "a name is on the disk only when its directory is synced, which durable does: durable.Replace, Create or Rename"

const (
	maxLines = 500
	// maxFunction is how long a function may be that is no test.
	maxFunction = 70
)

// broken returns what a file breaks of the rules, each with the rule's reason.
func broken(f file) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, f.path+": "+fmt.Sprintf(format, args...)) }
	if !f.generated && f.lines > maxLines {
		say("%d lines, want at most %d: a file that long has more than one subject", f.lines, maxLines)
	}
	row := slices.IndexFunc(packages, func(p struct{ dir, imports, why string }) bool { return p.dir == f.dir })
	if row < 0 {
		say("package %s is not in the import table: put it there, with its arrows and their reason", f.dir)
		return out
	}
	allowed := strings.Fields(packages[row].imports)
	if f.test {
		allowed = append(allowed, strings.Fields(testImports[""]+" "+testImports[f.dir])...)
		allowed = append(allowed, f.dir)
	}
	for _, path := range f.imports {
		if own, ok := strings.CutPrefix(path, "grapevine/"); ok && !slices.Contains(allowed, own) {
			say("imports %s, which the table does not allow: %s", own, packages[row].why)
		}
		out = append(out, brokenGuard(f, path)...)
		if f.dir == "block" && strings.Contains(path, ".") {
			say("imports %s: %s", path, packages[row].why)
		}
	}
	if !f.test && f.dir != "durable" {
		out = append(out, brokenNames(f)...)
	}
	if f.core() && !f.test && !f.generated {
		out = append(out, brokenCore(f)...)
	}
	if !f.test && !f.generated {
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.linesOf(fn) > maxFunction {
				say("%s has %d lines, want at most %d: a function that long is the place where one more case was cheaper than a type", fn.Name.Name, f.linesOf(fn), maxFunction)
			}
		}
	}
	return out
}

// brokenGuard applies the first guard whose module the path is in.
func brokenGuard(f file, path string) []string {
	for _, g := range guards {
		if within(path, g.module) {
			if !slices.Contains(strings.Fields(g.may), f.dir) {
				return []string{fmt.Sprintf("%s: imports %s, which is for %q alone: %s", f.path, path, g.may, g.why)}
			}
			if within(path, "github.com/marcopolo/simnet") && !f.test && !strings.HasPrefix(f.dir, "testnet/") {
				return []string{f.path + ": imports simnet outside a test: a node does not know that its network is simulated"}
			}
			return nil
		}
	}
	return nil
}

// within says whether an import path is that of the module or package, or below it.
func within(path, module string) bool {
	return path == module || strings.HasPrefix(path, module+"/")
}

// brokenNames returns where a file names files without making that durable.
func brokenNames(f file) []string {
	var out []string
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && f.names[x.Name] == "os" && slices.Contains(strings.Fields(namers), sel.Sel.Name) {
				out = append(out, fmt.Sprintf("%s: uses os.%s: %s", f.path, sel.Sel.Name, namersWhy))
			}
		}
		return true
	})
	return out
}

func brokenCore(f file) []string {
	var out []string
	say := func(what string) { out = append(out, f.path+": "+what+": "+coreWhy) }
	for _, path := range f.imports {
		for _, no := range coreImports {
			if within(path, no) && path != "math/rand/v2" && path != "net/netip" { // netip reads addresses, and opens nothing
				say("imports " + path)
			}
		}
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			say("starts a goroutine")
		case *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
			say("uses a channel")
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				if slices.Contains(strings.Fields(coreCalls[f.names[x.Name]]), n.Sel.Name) {
					say("uses " + x.Name + "." + n.Sel.Name)
				}
			}
		}
		return true
	})
	return out
}

// TestArchitecture reads every Go file of the module.
func TestArchitecture(t *testing.T) {
	files := readModule(t)
	for _, f := range files {
		for _, b := range broken(f) {
			t.Error(b)
		}
	}
	for _, b := range brokenDocs(files) {
		t.Error(b)
	}
}

// brokenDocs returns the packages that have not got exactly one package comment.
func brokenDocs(files []file) []string {
	docs := map[string][]string{}
	for _, f := range files {
		if !f.test && !f.generated {
			docs[f.dir] = append(docs[f.dir], "")
			if f.syntax.Doc != nil {
				docs[f.dir] = append(docs[f.dir], f.path)
			}
		}
	}
	var out []string
	for dir, list := range docs {
		with := slices.DeleteFunc(list, func(s string) bool { return s == "" })
		if len(with) != 1 {
			out = append(out, fmt.Sprintf("%s: package comments in %q, want exactly one: it is the page that a reader begins with", dir, with))
		}
	}
	slices.Sort(out)
	return out
}
