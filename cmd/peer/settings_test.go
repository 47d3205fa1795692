package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"grapevine/cmd/internal/cli"
	"grapevine/cmd/internal/cli/clitest"
	"grapevine/dissemination/fresh"
	"grapevine/dissemination/protocol"
	"grapevine/ordering"
)

// loaded reads settings as peer start does.
func loaded(t *testing.T, file string, args ...string) (*settings, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), configFile)
	if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	s := defaultSettings()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	s.addFlags(flags)
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	return s, s.load(flags, path)
}

// others are a value for each setting that is not its default: as a flag and in
// the environment, and in config.toml.
var others = map[string][2]string{
	"listen":                {"/ip4/1.2.3.4/udp/1/quic-v1,/ip4/1.2.3.4/tcp/1", `["/ip4/1.2.3.4/udp/1/quic-v1", "/ip4/1.2.3.4/tcp/1"]`},
	"advertise":             {"/ip4/5.6.7.8/tcp/1", `["/ip4/5.6.7.8/tcp/1"]`},
	"bootstrap":             {"/ip4/1.1.1.1/tcp/1/p2p/x", `["/ip4/1.1.1.1/tcp/1/p2p/x"]`},
	"api":                   {"127.0.0.1:1", `"127.0.0.1:1"`},
	"api_public":            {"true", "true"},
	"api_hosts":             {"peer0,peer0.prod.svc", `["peer0", "peer0.prod.svc"]`},
	"alone":                 {"true", "true"},
	"mode":                  {"pull", `"pull"`},
	"catchup":               {"false", "false"},
	"fanout":                {"5", "5"},
	"pull_every":            {"3s", `"3s"`},
	"fetch_timeout":         {"750ms", `"750ms"`},
	"max_members":           {"500", "500"},
	"log_level":             {"debug", `"debug"`},
	"log_format":            {"json", `"json"`},
	"block_timeout":         {"1.5s", `"1.5s"`},
	"block_max_txs":         {"77", "77"},
	"block_preferred_bytes": {"64KiB", `"64KiB"`},
	"pool_max_txs":          {"88", "88"},
	"pool_max_bytes":        {"3MiB", `"3MiB"`},
	"pool_max_per_sender":   {"9", "9"},
	"seed":                  {"42", "42"},
}

func TestEverySettingFromEverySource(t *testing.T) {
	for i, row := range defaultSettings().table() {
		other, ok := others[row.key]
		if !ok {
			t.Fatalf("setting %s has no test value", row.key)
		}
		if row.value.String() == other[0] {
			t.Fatalf("setting %s: the test value is the default", row.key)
		}
		file := row.key + " = " + other[1] + "\n"
		check := func(source string, s *settings, err error, want string) {
			t.Helper()
			if got := s.table()[i].value.String(); err != nil || got != want {
				t.Errorf("%s from %s is %q, %v: want %q", row.key, source, got, err, want)
			}
		}
		s, err := loaded(t, "")
		check("default", s, err, row.value.String())
		s, err = loaded(t, file)
		check("file", s, err, other[0])
		s, err = loaded(t, "", "--"+row.flag()+"="+other[0])
		check("flag", s, err, other[0])

		t.Setenv(row.env(), other[0])
		s, err = loaded(t, "")
		check("environment", s, err, other[0])
		t.Setenv(row.env(), row.value.String())
		s, err = loaded(t, file)
		check("environment over file", s, err, row.value.String())
		s, err = loaded(t, file, "--"+row.flag()+"="+other[0])
		check("flag over environment", s, err, other[0])
		os.Unsetenv(row.env())
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	for _, c := range []struct{ file, says string }{
		{"fanuot = 3", `unknown key "fanuot": did you mean "fanout"?`},
		{"log-level = 3", `unknown key "log-level": did you mean "log_level"?`},
		{"colour = 3", `unknown key "colour": want one of listen, `},
		{"Fanout = 3", `unknown key "Fanout"`},
		{"[api]\nlisten = 3", `key "api"`},
		{"[extra]\nx = 3", `unknown key "extra"`},
		{"fanout = 1\nfanout = 2", "fanout"},
		{"fanout = ", "line 1"},
		{`fanout = "3"`, `key "fanout" is 3: want a number, without quotes`},
		{"fanout = -1", `key "fanout" is -1: want a number from 0 to 1024`},
		{"mode = 3", "want text in quotes"},
		{`mode = "shout"`, `key "mode" is shout: want one of push-pull, push, pull`},
		{`catchup = "true"`, "want true or false"},
		{`listen = "/ip4/1.2.3.4/tcp/1"`, "want a list"},
		{`listen = [1]`, "want a list"},
		{`listen = ["a,b"]`, "without commas"},
		{`block_timeout = 3`, "want a duration in quotes"},
		{`block_timeout = "3"`, "want a duration such as"},
		{`block_timeout = "-3s"`, "want a duration such as"},
		{`pool_max_bytes = true`, "want a size in quotes"},
		{`pool_max_bytes = "3MB"`, "want a size such as"},
		{`pool_max_bytes = "9999999999GiB"`, "want a size such as"},
		{"seed = -1", "want a number from 0"},
	} {
		_, err := loaded(t, c.file)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), configFile) {
			t.Errorf("%q: got %v, want an error that names the file and says %q", c.file, err, c.says)
		}
	}
	t.Setenv("GRAPEVINE_FANOUT", "many")
	if _, err := loaded(t, ""); err == nil || !strings.Contains(err.Error(), `GRAPEVINE_FANOUT is "many": want a number`) || cli.ExitCode(err) != cli.ExitUsage {
		t.Errorf("wrong environment: %v", err)
	}
}

// TestConfigFileIsTheTable: a file without comments sets every key to its default,
// and given settings stand in it.
func TestConfigFileIsTheTable(t *testing.T) {
	text := string(writeConfig(defaultSettings().table(), nil))
	all := regexp.MustCompile(`(?m)^#([a-z_]+ = )`).ReplaceAllString(text, "$1")
	s, err := loaded(t, all)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range defaultSettings().table() {
		if got, want := s.table()[i].value.String(), row.value.String(); got != want {
			t.Errorf("%s: the default in config.toml is %s, want %s", row.key, got, want)
		}
	}
	if n := strings.Count(all, "\n# (--"); n != len(others) {
		t.Errorf("%d settings in config.toml, want %d:\n%s", n, len(others), all)
	}
	given := defaultSettings()
	rows := given.table()
	for _, row := range rows {
		if err := row.value.Set(others[row.key][0]); err != nil {
			t.Fatal(err)
		}
	}
	s, err = loaded(t, string(writeConfig(defaultSettings().table(), rows)))
	if err != nil || !reflect.DeepEqual(s, given) {
		t.Errorf("got %+v, %v\nwant %+v", s, err, given)
	}
}

// TestReadmeShowsTheSettings holds the README's table against the one that counts.
func TestReadmeShowsTheSettings(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	want.WriteString("| setting | default | meaning |\n| --- | --- | --- |\n")
	for _, row := range defaultSettings().table() {
		fmt.Fprintf(&want, "| `%s` | `%s` | %s |\n", row.key, row.value.ToTOML(), row.help)
	}
	want.WriteString("\n")
	if !bytes.Contains(readme, []byte(want.String())) {
		t.Errorf("README.md, Settings: the table is not\n%s", &want)
	}
}

func TestVariablesThatAreNoSettings(t *testing.T) {
	var log bytes.Buffer
	logger, err := newLogger(&log, "text", "info")
	if err != nil {
		t.Fatal(err)
	}
	warnOfVariables(logger, []string{"PATH=x", "GRAPEVINE_HOME=x", "GRAPEVINE_KEY=x", "GRAPEVINE_API=x", "GRAPEVINE_POOL_MAX_TXS=1", "grapevine_x=1"})
	if log.Len() > 0 {
		t.Errorf("what means something, and what is not ours, gave %s", &log)
	}
	warnOfVariables(logger, []string{"GRAPEVINE_SERVICE_HOST=10.0.0.1", "GRAPEVINE_PULL_EVRY=3s"})
	for _, want := range []string{
		`name=GRAPEVINE_PULL_EVRY advice="did you mean GRAPEVINE_PULL_EVERY?"`,
		`name=GRAPEVINE_SERVICE_HOST advice="see peer help settings"`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %s:\n%s", want, &log)
		}
	}

	home := filepath.Join(t.TempDir(), "home")
	peer(t, "init", "--home", home).Want(t, cli.ExitOK)
	start := program.Command(t, "start", "--home", home, "--listen", "nowhere")
	start.Env = append(os.Environ(), "GRAPEVINE_FANOT=3")
	clitest.Run(t, start).Want(t, cli.ExitUsage, "level=WARN", "did you mean GRAPEVINE_FANOUT?")
}

func TestAListFlagMayBeGivenTwice(t *testing.T) {
	s, err := loaded(t, `listen = ["file"]`, "--listen=a,b", "--listen=c")
	if want := []string{"a", "b", "c"}; err != nil || !reflect.DeepEqual(s.Listen, want) {
		t.Errorf("got %q, %v: want %q", s.Listen, err, want)
	}
}

func TestNodeConfig(t *testing.T) {
	cfg := defaultSettings().nodeConfig()
	if cfg.API != defaultAPI || cfg.Protocol != (protocol.Config{}) || cfg.Cutter != (ordering.CutterConfig{}) || cfg.PoolMaxTxs != 0 || cfg.MaxMembers != 0 {
		t.Errorf("the defaults mean %+v", cfg)
	}
	s, err := loaded(t, "", "--api=off", "--catchup=false", "--block-max-txs=5", "--seed=3", "--mode=push", "--pull-every=3s", "--fetch-timeout=750ms", "--api-hosts=peer0")
	if err != nil {
		t.Fatal(err)
	}
	if cfg = s.nodeConfig(); cfg.API != "" || !cfg.Protocol.NoCatchup || cfg.Cutter.MaxTxs != 5 || cfg.Seed != 3 || !reflect.DeepEqual(cfg.APIHosts, []string{"peer0"}) ||
		cfg.Protocol.Fresh != (fresh.Config{Mode: fresh.PushOnly, PullEvery: 3 * time.Second, FetchTimeout: 750 * time.Millisecond}) {
		t.Errorf("other settings mean %+v", cfg)
	}
	// What is given counts, though it be the default: a genesis that allows less must say so.
	s, err = loaded(t, "pool_max_txs = 100000", "--block-max-txs=2000", "--block-preferred-bytes=1MiB")
	if err != nil {
		t.Fatal(err)
	}
	if cfg = s.nodeConfig(); cfg.Cutter.MaxTxs != 2000 || cfg.Cutter.PreferredBytes != 1<<20 || cfg.PoolMaxTxs != 100_000 || cfg.Cutter.Timeout != 0 {
		t.Errorf("settings at their defaults mean %+v", cfg)
	}
}
