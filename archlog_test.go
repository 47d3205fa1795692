package grapevine

import (
	"fmt"
	"go/ast"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// logged is a line at WARN or ERROR that the node's program can write.
type logged struct{ level, text, at string }

// loggedIn returns those of a file. A line whose level is found out at run time may be a
// warning.
func loggedIn(f file, constants map[string]string) []logged {
	var out []logged
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		level, arg := map[string]string{"Warn": "WARN", "Error": "ERROR", "Log": "WARN"}[sel.Sel.Name], 0
		if sel.Sel.Name == "Log" {
			arg = 2
		}
		if level == "" || len(call.Args) <= arg {
			return true
		}
		text := ""
		switch a := call.Args[arg].(type) {
		case *ast.BasicLit:
			text, _ = strconv.Unquote(a.Value)
		case *ast.SelectorExpr:
			text = constants[a.Sel.Name]
		}
		if text != "" {
			out = append(out, logged{level, text, fmt.Sprintf("%s:%d", f.path, f.positions.Position(call.Pos()).Line)})
		}
		return true
	})
	return out
}

// TestOperatorsAreToldOfEveryWarning: what a node logs at WARN or ERROR stands, by its
// beginning, in the operators' page, and nothing else does.
func TestOperatorsAreToldOfEveryWarning(t *testing.T) {
	page, err := os.ReadFile("docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ level, text string }
	var rows []row
	for _, m := range regexp.MustCompile(`(?m)^\| (WARN|ERROR) \| ([^|]+) \| [^|]+ \|$`).FindAllStringSubmatch(string(page), -1) {
		rows = append(rows, row{m[1], m[2]})
	}
	used := map[row]bool{}
	for _, f := range readModule(t) {
		if f.test || within(f.dir, "testnet") || within(f.dir, "cmd/lab") || within(f.dir, "scripts") {
			continue
		}
		for _, l := range loggedIn(f, map[string]string{"PeerCutOff": "peer cut off"}) {
			found := false
			for _, r := range rows {
				if r.level == l.level && strings.HasPrefix(l.text, r.text) {
					found, used[r] = true, true
				}
			}
			if !found {
				t.Errorf("%s: the line %q at %s is not in docs/operations.md: say there what it means, and what its reader is to do", l.at, l.text, l.level)
			}
		}
	}
	for _, r := range rows {
		if !used[r] {
			t.Errorf("docs/operations.md: no line at %s begins with %q", r.level, r.text)
		}
	}
	if len(used) == 0 {
		t.Errorf("docs/operations.md has %d lines of the log, and the program none", len(rows))
	}
}
