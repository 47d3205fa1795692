// Package preset holds other systems' dissemination as settings of our own cores, to
// be measured against in the same network.
//
// "fabric" is the gossip of Hyperledger Fabric (gossip/gossip, gossip/gossip/algo and
// gossip/state, with the values of sampleconfig/core.yaml): whoever gets a block and
// has checked it sends the whole of it, once, at the emitter's next tick, to 3 random
// neighbours, whatever they hold. Every 4 s a peer asks 3 random neighbours for the
// last 10 blocks, and after a second fetches what it lacks. Every 10 s it compares
// heights, and fetches what it is behind in requests of 11 blocks, one at a time.
//
// "fabric-enhanced" is "Fair and Efficient Gossip in Hyperledger Fabric" (Berendea,
// Mercier, Onica, Rivière; ICDCS 2020) as its prototype is set: fan-out 4, pushTtl 2,
// advTtl 7. The producer sends the body to one peer; it goes two hops further, and
// from there seven hops of digests, each answered by a request of whoever lacks the
// block. A peer passes a block on once for every hop count that it sees. There is no
// emitter's delay and no pull.
//
// Where they differ from the originals it is in their favour: a request that is not
// answered is made again, of another; a neighbour that left one unanswered is passed
// over for a while; a pull is answered with what the asker lacks; and a block that
// was pushed during the wait after a pull is not fetched as well. An answer to a
// request for a range is at most 2 MiB, or a block.
package preset

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"grapevine/dissemination/catchup"
	"grapevine/dissemination/fresh"
)

// Preset is a protocol's settings.
type Preset struct {
	Fresh     fresh.Config
	Catchup   catchup.Config
	NoCatchup bool
}

// The presets' names.
const (
	Grapevine      = "grapevine" // our own: the cores' defaults
	Fabric         = "fabric"
	FabricEnhanced = "fabric-enhanced"
)

// Names returns the presets' names, our own first.
func Names() []string { return []string{Grapevine, Fabric, FabricEnhanced} }

// everyHop is more hops than any block takes.
const everyHop = 256

// Get returns a preset by its name.
func Get(name string) (Preset, error) {
	if !slices.Contains(Names(), name) {
		return Preset{}, fmt.Errorf("preset is %q: want %s", name, strings.Join(Names(), ", "))
	}
	switch name {
	case Fabric:
		return Preset{Fresh: fabricGossip(), Catchup: fabricState()}, nil
	case FabricEnhanced:
		return Preset{Fresh: enhancedGossip(), Catchup: fabricState()}, nil
	}
	return Preset{}, nil
}

func fabricGossip() fresh.Config {
	return fresh.Config{
		Fanout:       3,                     // propagatePeerNum
		Batch:        10 * time.Millisecond, // maxPropagationBurstLatency
		Blind:        true,
		BodyHops:     everyHop,
		PullEvery:    4 * time.Second, // pullInterval
		PullFixed:    true,
		PullPeers:    3,               // pullPeerNum
		DigestWait:   time.Second,     // digestWaitTime
		FetchTimeout: 2 * time.Second, // responseWaitTime
		GapDelay:     -1,
		Keep:         10, // maxBlockCountToStore
	}
}

func enhancedGossip() fresh.Config {
	return fresh.Config{
		Mode:         fresh.PushOnly,
		Fanout:       4, // blockPeerNum
		SourceFanout: 1,
		Blind:        true,
		BodyHops:     3, // the producer's own, and pushTtl 2
		Contagion:    9, // pushTtl 2 and advTtl 7
		GapDelay:     -1,
		Keep:         10,
		// The prototype waits for one answer for ever; by this time the comparison of
		// heights has found the gap.
		FetchTimeout: 10 * time.Second,
	}
}

func fabricState() catchup.Config {
	return catchup.Config{
		Every:    10 * time.Second, // state.checkInterval
		Batch:    11,               // state.batchSize 10, and the range includes both ends
		Parallel: 1,
		Timeout:  3 * time.Second, // state.responseTimeout
	}
}
