package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"grapevine/cmd/internal/cli"
	"grapevine/internal/spelling"
)

// readConfig reads the keys of a config.toml. A key that is not in the table is an
// error: a misspelt setting must not look like one that is in force.
func readConfig(path string, table []setting) (map[string]any, error) {
	if path == "" {
		return nil, nil
	}
	keys := map[string]any{}
	if _, err := toml.DecodeFile(path, &keys); err != nil {
		var bad toml.ParseError
		if errors.As(err, &bad) {
			return nil, cli.Usagef("%s: %s: make it TOML again, or take the line out", path, bad.Error())
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil, cli.NotFound(fmt.Errorf("%s is not there: put it back, or make an empty file, which means all defaults", path))
		}
		return nil, fmt.Errorf("reading config %s: %w", path, err)
	}
	known := make([]string, len(table))
	for i, row := range table {
		known[i] = row.key
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !slices.Contains(known, key) {
			return nil, cli.Usagef("%s: unknown key %q: %s", path, key, spelling.DidYouMean(key, known))
		}
	}
	return keys, nil
}

// writeConfig returns a config.toml that explains every setting. Those that are
// given stand in it as keys, the others as comments with their defaults.
func writeConfig(table []setting, given []setting) []byte {
	var b strings.Builder
	b.WriteString(`# What this peer is told. Command line flags count over GRAPEVINE_… environment
# variables, those over this file, and this file over the defaults, which are the
# lines that begin with "#". An unknown key is an error.
`)
	for _, row := range table {
		text, mark := row.value.ToTOML(), "#"
		if i := slices.IndexFunc(given, func(g setting) bool { return g.key == row.key }); i >= 0 {
			text, mark = given[i].value.ToTOML(), ""
		}
		fmt.Fprintf(&b, "\n# %s\n# (--%s, %s)\n%s%s = %s\n", row.help, row.flag(), row.env(), mark, row.key, text)
	}
	return []byte(b.String())
}
