package genesis

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"grapevine/block"
	"grapevine/block/sig"
)

func peerID(b byte) string { return PeerID(sig.NewKey([32]byte{b}).Public()) }

// full is a genesis with every key, as text to change.
func full() string {
	return `{
  "version": 1,
  "chain_id": "net-1",
  "ordering": {"type": "solo", "orderer": "` + peerID(1) + `"},
  "admission": {"type": "list", "peers": ["` + peerID(2) + `", "` + peerID(3) + `"]},
  "limits": {"max_tx_bytes": 1000, "max_body_bytes": 2000, "max_block_txs": 3, "max_lifetime": 40}
}`
}

func TestParse(t *testing.T) {
	raw := []byte(full())
	g, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if g.ID() != block.ID(sha256.Sum256(raw)) || !bytes.Equal(g.Bytes(), raw) {
		t.Errorf("ID is %s of %q", g.ID(), g.Bytes())
	}
	if g.BlockLimits() != (block.Limits{MaxTxBytes: 1000, MaxBodyBytes: 2000, MaxBlockTxs: 3, MaxLifetime: 40}) {
		t.Errorf("limits are %+v", g.BlockLimits())
	}
	if !g.Produces(sig.NewKey([32]byte{1}).Public()) || g.Produces(sig.NewKey([32]byte{2}).Public()) || g.ChainID != "net-1" {
		t.Errorf("genesis is %+v", g)
	}
	for b, want := range map[byte]bool{1: true, 2: true, 3: true, 4: false} {
		id, err := peer.Decode(peerID(b))
		if err != nil || g.Admits(id) != want {
			t.Errorf("admits peer %d: %v, want %v", b, g.Admits(id), want)
		}
	}
	other, err := Parse(append(raw, ' '))
	if err != nil || other.ID() == g.ID() {
		t.Errorf("a space more gives ID %s, %v", other.ID(), err)
	}
	raw[0] = 'x'
	if g.Bytes()[0] != '{' {
		t.Error("keeps the caller's bytes")
	}
}

func TestDefaultLimits(t *testing.T) {
	g, err := New(Genesis{ChainID: "x", Ordering: Ordering{"solo", peerID(1)}, Admission: Admission{Type: "open"}})
	if err != nil {
		t.Fatal(err)
	}
	want := block.Limits{MaxTxBytes: 64 << 10, MaxBodyBytes: 4 << 20, MaxBlockTxs: 10_000, MaxLifetime: 10_000}
	if g.BlockLimits() != want {
		t.Errorf("limits are %+v", g.BlockLimits())
	}
	id, err := peer.Decode(peerID(9))
	if err != nil || !g.Admits(id) {
		t.Errorf("an open network does not admit %s: %v", id, err)
	}
}

// change replaces a part of the full genesis, once.
func change(old, new string) string { return strings.Replace(full(), old, new, 1) }

// rsa is the hash of a key, from which the key cannot be had.
const rsa = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"

// refusals are changes of a good file, one each, and words of the error.
var refusals = []struct{ name, text, words string }{
	{"nothing", "", "reading JSON"},
	{"no object", "7", "the file is not an object"},
	{"a list", "[]", "the file is not an object"},
	{"null", "null", "null"},
	{"a list of lists", strings.Repeat("[", 1<<19), "the file is not an object"},
	{"no JSON", `{"version": 1,}`, "invalid character"},
	{"cut", full()[:100], "EOF"},
	{"trailing object", full() + "{}", "something follows the closing brace"},
	{"trailing brace", full() + "}", "something follows the closing brace"},
	{"too large", full() + strings.Repeat(" ", MaxFileSize), "want at most 1048576"},

	{"unknown key", change(`"chain_id"`, `"name": "x", "chain_id"`), `unknown key "name": want one of version, chain_id`},
	{"unknown key of ordering", change(`"orderer":`, `"orderers": 1, "orderer":`), `unknown key "ordering.orderers": want one of type, orderer`},
	{"unknown key of admission", change(`"peers":`, `"peer": 1, "peers":`), `unknown key "admission.peer"`},
	{"unknown key of limits", change(`"max_tx_bytes":`, `"max_txs": 1, "max_tx_bytes":`), `unknown key "limits.max_txs"`},
	{"key twice", change(`"chain_id"`, `"version": 1, "chain_id"`), `key "version" is given twice`},
	{"key of ordering twice", change(`"orderer":`, `"type": "solo", "orderer":`), `key "ordering.type" is given twice`},
	{"key of admission twice", change(`"peers":`, `"type": "list", "peers":`), `key "admission.type" is given twice`},
	{"key of limits twice", change(`"max_block_txs":`, `"max_tx_bytes": 1, "max_block_txs":`), `key "limits.max_tx_bytes" is given twice`},
	{"object twice", change(`"limits":`, `"admission": {"type": "open"}, "limits":`), `key "admission" is given twice`},
	{"key in another case", change(`"version"`, `"Version"`), `key "Version" is spelled "version"`},
	{"key of ordering in another case", change(`"orderer":`, `"Orderer":`), `key "ordering.Orderer" is spelled "orderer"`},
	{"key of admission in another case", change(`"peers"`, `"PEERS"`), `key "admission.PEERS" is spelled "peers"`},
	{"key of limits in another case", change(`"max_lifetime"`, `"max_LifeTime"`), `key "limits.max_LifeTime" is spelled "max_lifetime"`},
	{"escaped key twice", change(`"chain_id"`, `"vers\u0069on": 1, "chain_id"`), `key "version" is given twice`},
	{"null version", change(`1,`, `null,`), `key "version" is null`},
	{"null ordering", change(`{"type": "solo", "orderer": "`+peerID(1)+`"}`, `null`), `key "ordering" is null`},
	{"null limit", change(`1000`, `null`), `key "limits.max_tx_bytes" is null`},
	{"null peer", change(`"`+peerID(2)+`"`, `null`), `is null`},
	{"null peers", change(`["`+peerID(2)+`", "`+peerID(3)+`"]`, `null`), `key "admission.peers" is null`},

	{"text for a number", change(`"version": 1`, `"version": "1"`), "version"},
	{"number for text", change(`"net-1"`, `7`), "chain_id"},
	{"fraction", change(`1000`, `1000.5`), "max_tx_bytes"},
	{"exponent", change(`1000`, `1e3`), "max_tx_bytes"},
	{"negative lifetime", change(`40`, `-40`), "max_lifetime"},
	{"number too large", change(`1000`, `1000000000000000000000`), "max_tx_bytes"},
	{"object for text", change(`"net-1"`, `{}`), `key "chain_id" holds an object`},
	{"object for a peer", change(`"`+peerID(2)+`"`, `{}`), "holds an object"},
	{"text for an object", change(`{"type": "solo", "orderer": "`+peerID(1)+`"}`, `"solo"`), `key "ordering" is not an object`},
	{"list for an object", change(`{"type": "solo", "orderer": "`+peerID(1)+`"}`, `["solo"]`), `key "ordering" is not an object`},
	{"list for text", change(`"net-1"`, `["net-1"]`), `key "chain_id" holds a list`},
	{"lists in the list", change(`"`+peerID(2)+`"`, strings.Repeat("[", 1<<19)), `holds a list`},
	{"list in the list", change(`"`+peerID(2)+`"`, `["`+peerID(2)+`"]`), `holds a list`},
	{"text for a list", change(`["`+peerID(2)+`", "`+peerID(3)+`"]`, `"`+peerID(2)+`"`), "peers"},

	{"version missing", change(`"version": 1,`, ``), "version is 0"},
	{"version 2", change(`"version": 1`, `"version": 2`), "version is 2: this software reads version 1"},
	{"chain ID missing", change(`"chain_id": "net-1",`, ``), `chain_id ""`},
	{"chain ID with a space", change(`net-1`, `net 1`), `chain_id "net 1"`},
	{"chain ID in capitals", change(`net-1`, `Net-1`), `chain_id "Net-1"`},
	{"chain ID too long", change(`net-1`, strings.Repeat("n", 64)), "want 1 to 63"},
	{"chain ID with a line break", change(`net-1`, `net-1\n`), "chain_id"},
	{"ordering raft", change(`"solo"`, `"raft"`), `ordering.type is "raft": want "solo"`},
	{"no orderer", change(`, "orderer": "`+peerID(1)+`"`, ``), "ordering.orderer: peer ID"},
	{"bad orderer", change(peerID(1), "nobody"), `ordering.orderer: peer ID "nobody"`},
	{"orderer without a key", change(peerID(1), rsa), "is not that of an Ed25519 key"},
	{"orderer written otherwise", change(peerID(1), cid(peerID(1))), "write it as"},
	{"admission missing", change(`"type": "list", `, ``), `admission.type is ""`},
	{"open with peers", change(`"list"`, `"open"`), `admission.type is "open" but admission.peers names 2`},
	{"list without peers", change(`["`+peerID(2)+`", "`+peerID(3)+`"]`, `[]`), "admission.peers is empty"},
	{"bad peer", change(peerID(3), "nobody"), `admission.peers[1]: peer ID "nobody"`},
	{"peer twice", change(peerID(3), peerID(2)), "admission.peers[1]: " + peerID(2) + " stands in the list twice"},

	{"transactions too small", change(`1000`, `118`), "limits.max_tx_bytes is 118: want 119 to 1048576"},
	{"transactions too large", change(`1000`, `1048577`), "limits.max_tx_bytes is 1048577"},
	{"transactions below 0", change(`1000`, `-1`), "limits.max_tx_bytes is -1"},
	{"body below a transaction", change(`2000`, `999`), "limits.max_body_bytes is 999: want 1000 to"},
	{"body too large", change(`2000`, `33554433`), "limits.max_body_bytes is 33554433"},
	{"too many transactions", change(`"max_block_txs": 3`, `"max_block_txs": 100001`), "limits.max_block_txs is 100001: want 1 to 100000"},
	{"no transactions", change(`"max_block_txs": 3`, `"max_block_txs": -3`), "limits.max_block_txs is -3"},
	{"lifetime too short", change(`40`, `9`), "limits.max_lifetime is 9: want 10 to"},
	{"lifetime too long", change(`40`, `18446744073709551615`), "limits.max_lifetime is"},
}

func TestRefusals(t *testing.T) {
	for _, tc := range refusals {
		t.Run(tc.name, func(t *testing.T) {
			g, err := Parse([]byte(tc.text))
			if err == nil || g != nil || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("error is %v, want %q in it", err, tc.words)
			}
		})
	}
}

// cid is the peer ID's other spelling, which libp2p reads as well.
func cid(id string) string {
	p, err := peer.Decode(id)
	if err != nil {
		panic(err)
	}
	return peer.ToCid(p).String()
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Genesis{ChainID: "x"}); err == nil || !strings.Contains(err.Error(), "ordering.type") {
		t.Errorf("error is %v", err)
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "genesis.json")
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: %v", err)
	}
	for text, want := range map[string]string{full(): "", "{}": "genesis " + path + ": version is 0"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		g, err := Load(path)
		if want == "" && (err != nil || string(g.Bytes()) != text) {
			t.Errorf("a good file: %v", err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("error is %v, want %q in it", err, want)
		}
	}
}

// Whatever Parse takes, New writes so that Parse takes it again, with the same
// contents; and nothing that it offers panics.
func FuzzGenesis(f *testing.F) {
	f.Add([]byte(full()))
	f.Add([]byte(`{"version":1,"chain_id":"a","ordering":{"type":"solo","orderer":"` + peerID(1) + `"},"admission":{"type":"open"}}`))
	f.Add([]byte(`{"version":1,"limits":{"max_lifetime":null}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		g, err := Parse(raw)
		if err != nil {
			return
		}
		if !json.Valid(raw) || g.ID() != block.ID(sha256.Sum256(raw)) || !bytes.Equal(g.Bytes(), raw) {
			t.Fatalf("%q: ID is %s", raw, g.ID())
		}
		if _, err := publicKey(g.Producer()); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if l := g.BlockLimits(); l.MaxTxBytes <= block.TxOverhead || l.MaxBodyBytes < l.MaxTxBytes || l.MaxBlockTxs < 1 || l.MaxLifetime < 1 {
			t.Fatalf("%q: limits are %+v", raw, l)
		}
		again, err := New(*g)
		if err != nil {
			t.Fatalf("%q is written as something that is refused: %v", raw, err)
		}
		if len(g.Admission.Peers) == 0 {
			g.Admission.Peers = nil // left out, when there are none
		}
		a, b := *again, *g
		a.raw, a.id, b.raw, b.id = nil, block.ID{}, nil, block.ID{}
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("%q is written as %q", raw, again.Bytes())
		}
	})
}
