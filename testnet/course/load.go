package course

import (
	"time"

	"grapevine/block"
	"grapevine/testnet/scenario"
	"grapevine/testnet/traffic"
)

// Transactions makes those of a planned block.
func Transactions(p *scenario.Plan, number int, by traffic.Signer) []*block.Tx {
	return by.Batch(p.TxCount(number), p.TxBytes(number), p.Random("payload", uint64(number)))
}

// Users is what users submit from Load.First on: whom they submit it to is the world's to
// say, and for which network.
func Users(p *scenario.Plan) traffic.Load {
	return traffic.Load{
		Rate: p.Load.TxRate, Duration: time.Duration(p.Load.Blocks) * p.Load.Every.D(), Size: int(p.Load.TxSize) - block.TxOverhead,
		Random: p.Random,
	}
}
