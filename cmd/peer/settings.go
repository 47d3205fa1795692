package main

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"grapevine/api"
	"grapevine/cmd/internal/cli"
	"grapevine/dissemination/fresh"
	"grapevine/internal/spelling"
	"grapevine/mempool"
	"grapevine/ordering"
	"grapevine/p2p/membership"
)

// settings are what a peer is told by its operator. A number, size or duration that is
// zero was not given, or says that it is up to its owner, whose default is shown: what
// is given counts as given, though it be the same as the default.
type settings struct {
	Listen              []string
	Advertise           []string
	Bootstrap           []string
	API                 string
	APIPublic           bool
	APIHosts            []string
	Alone               bool
	Catchup             bool
	Fresh               fresh.Config
	MaxMembers          int
	LogLevel            string
	LogFormat           string
	BlockTimeout        time.Duration
	BlockMaxTxs         int
	BlockPreferredBytes int
	PoolMaxTxs          int
	PoolMaxBytes        int
	PoolMaxPerSender    int
	Seed                uint64
}

// defaultAPI is where a node listens and where the commands look for one.
const defaultAPI = api.DefaultListen

// noAPI is the value of the setting api that means none.
const noAPI = "off"

func defaultSettings() *settings {
	return &settings{
		Listen:    []string{"/ip4/0.0.0.0/udp/9701/quic-v1", "/ip4/0.0.0.0/tcp/9701"},
		API:       defaultAPI,
		Catchup:   true,
		LogLevel:  "info",
		LogFormat: "text",
	}
}

// setting is a row of the table from which flags, environment variables, the keys
// of config.toml, their defaults and their help come.
type setting struct {
	key   string // as in config.toml
	value cli.Value
	help  string
}

func (s setting) flag() string { return strings.ReplaceAll(s.key, "_", "-") }
func (s setting) env() string  { return envPrefix + strings.ToUpper(s.key) }

const envPrefix = "GRAPEVINE_"

// table returns the rows, which read and write s.
func (s *settings) table() []setting {
	return []setting{
		{"listen", cli.List(&s.Listen), "multiaddrs on which other peers reach this one, QUIC and TCP"},
		{"advertise", cli.List(&s.Advertise), "multiaddrs to tell others instead of those of listen; needed behind a port forwarding"},
		{"bootstrap", cli.List(&s.Bootstrap), "multiaddrs of peers to connect to first, each ending in /p2p/ and the peer ID"},
		{"api", cli.Text(&s.API), "host:port of the HTTP API; \"off\" for none"},
		{"api_public", cli.Bool(&s.APIPublic), "allow an API address that other machines can reach; whoever reaches it can submit"},
		{"api_hosts", cli.List(&s.APIHosts), "names of hosts under which the API answers, besides localhost and all addresses; others could be a web page's"},
		{"alone", cli.Bool(&s.Alone), "orderer: the network has no other peer; else it signs nothing after a start until others have told it how far the chain goes"},
		{"mode", cli.Word(&s.Fresh.Mode, fresh.Modes()...), "how fresh blocks travel: push-pull, push or pull"},
		{"catchup", cli.Bool(&s.Catchup), "fetch ranges of blocks when far behind"},
		{"fanout", cli.Count(&s.Fresh.Fanout, 0, fresh.MaxFanout), "neighbours that a fresh block is pushed to; 0: as many as the network's size asks for"},
		{"pull_every", cli.Duration(&s.Fresh.PullEvery), "mean time between periodic pulls of fresh blocks; 0s: " + cli.Shortly(fresh.DefaultPullEvery)},
		{"fetch_timeout", cli.Duration(&s.Fresh.FetchTimeout), "how long a request for a block's transactions may go without progress at first, " + cli.Shortly(fresh.MaxFetchTimeout) + " at most; 0s: " + cli.Shortly(fresh.DefaultFetchTimeout)},
		{"max_members", cli.Owned(cli.Count(&s.MaxMembers, 0, 1<<20), cli.Count(new(membership.DefaultMaxMembers), 0, 0)), "peers of the network to remember"},
		{"log_level", cli.Text(&s.LogLevel, "debug", "info", "warn", "error"), "least severe log lines to write: debug, info, warn or error"},
		{"log_format", cli.Text(&s.LogFormat, "text", "json"), "form of the log on standard error: text or json"},
		{"block_timeout", cli.Owned(cli.Duration(&s.BlockTimeout), cli.Duration(new(ordering.DefaultTimeout))), "orderer: longest wait of a transaction for its block to fill"},
		{"block_max_txs", cli.Owned(cli.Count(&s.BlockMaxTxs, 0, math.MaxInt32), cli.Count(new(ordering.DefaultMaxTxs), 0, 0)), "orderer: transactions at which a block is full; the genesis bounds it"},
		{"block_preferred_bytes", cli.Owned(cli.Size(&s.BlockPreferredBytes), cli.Size(new(ordering.DefaultPreferredBytes))), "orderer: body size at which a block is full; the genesis bounds it"},
		{"pool_max_txs", cli.Owned(cli.Count(&s.PoolMaxTxs, 0, math.MaxInt32), cli.Count(new(mempool.DefaultMaxTxs), 0, 0)), "transactions that may wait in the pool"},
		{"pool_max_bytes", cli.Owned(cli.Size(&s.PoolMaxBytes), cli.Size(new(mempool.DefaultMaxBytes))), "bytes of transactions that may wait in the pool"},
		{"pool_max_per_sender", cli.Owned(cli.Count(&s.PoolMaxPerSender, 0, math.MaxInt32), cli.Count(new(mempool.DefaultMaxPerSender), 0, 0)), "transactions of one sender that may wait in the pool"},
		{"seed", cli.Seed(&s.Seed), "seed of this peer's random choices, to repeat a run; 0: a fresh one"},
	}
}

// addFlags adds a flag for every setting but the named ones.
func (s *settings) addFlags(flags *pflag.FlagSet, but ...string) {
	for _, row := range s.table() {
		if slices.Contains(but, row.key) {
			continue
		}
		f := flags.VarPF(row.value, row.flag(), "", row.help)
		if row.value.Type() == "bool" {
			f.NoOptDefVal = "true"
		}
	}
}

// load fills in what no flag has set: from the environment, else from the file at
// path, else the defaults stay. Without a path there is no file.
func (s *settings) load(flags *pflag.FlagSet, path string) error {
	file, err := readConfig(path, s.table())
	if err != nil {
		return err
	}
	for _, row := range s.table() {
		if f := flags.Lookup(row.flag()); f != nil && f.Changed {
			continue
		}
		if text, ok := os.LookupEnv(row.env()); ok {
			if err := row.value.Set(text); err != nil {
				return cli.Usage(fmt.Errorf("environment variable %s is %q: %w", row.env(), text, err))
			}
			continue
		}
		if in, ok := file[row.key]; ok {
			if err := setFromTOML(row.value, in); err != nil {
				return cli.Usagef("%s: key %q is %v: %w", path, row.key, in, err)
			}
		}
	}
	return nil
}

// warnOfVariables names the variables of an environment that look as if they were
// settings, and are none. They are no error: a cluster may set some of its own that begin
// with the name of a service.
func warnOfVariables(logger *slog.Logger, environ []string) {
	known := []string{"home", "key"} // and api, which is a setting too
	for _, row := range defaultSettings().table() {
		known = append(known, row.key)
	}
	for _, variable := range slices.Sorted(slices.Values(environ)) {
		name, _, _ := strings.Cut(variable, "=")
		key, ours := strings.CutPrefix(name, envPrefix)
		if key = strings.ToLower(key); !ours || slices.Contains(known, key) {
			continue
		}
		advice := "see peer help settings"
		if near, ok := spelling.Nearest(key, known); ok {
			advice = "did you mean " + setting{key: near}.env() + "?"
		}
		logger.Warn("an environment variable is no setting", "name", name, "advice", advice)
	}
}

// changed returns the rows whose flags were given.
func (s *settings) changed(flags *pflag.FlagSet) []setting {
	var rows []setting
	for _, row := range s.table() {
		if f := flags.Lookup(row.flag()); f != nil && f.Changed {
			rows = append(rows, row)
		}
	}
	return rows
}

func setFromTOML(v cli.Value, in any) error {
	text, err := v.FromTOML(in)
	if err != nil {
		return err
	}
	return v.Set(text)
}

// settingsHelp is the table for people.
func settingsHelp() string {
	var b strings.Builder
	b.WriteString("Each setting can be given as a flag of peer start, else as an environment\nvariable, else as a key of config.toml in the home directory. Sizes take KiB, MiB\nand GiB, durations ms, s, m and h; lists are comma-separated in flags and\nvariables, and the flag may be given several times.\n")
	for _, row := range defaultSettings().table() {
		fmt.Fprintf(&b, "\n  %s (%s)\n      default %s\n      --%s  %s\n%s\n", row.key, row.value.Type(), row.value.ToTOML(), row.flag(), row.env(), cli.Wrap(row.help, "      "))
	}
	return b.String()
}
