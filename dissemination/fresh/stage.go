package fresh

import "fmt"

// Stage is how far a block has come at this peer. It only ever moves as the table says;
// anything else is a fault of this code, and panics.
//
//	from                  when                                       to
//	–                     it is announced                            Gathering
//	–                     it was made here                           Whole
//	Gathering             none of its transactions is lacking        Checking
//	Checking              short IDs had put a wrong body together    Listing
//	Checking              and the block is coded                     Gathering
//	Gathering, Listing    the list of its full IDs is here           Gathering
//	Checking              the body is what the header commits to     Whole
//	all of these          the chain took it, brought by catch-up     Whole
//	all of these          another was taken, or it is wrong          Refused
//	Whole                 the chain takes it                         Accepted
//	Whole                 the chain cannot take it                   Refused
//	Accepted              it is synced to the ledger                 Durable
type Stage uint8

// The stages. From Whole on all of the block can be served.
const (
	Unknown   Stage = iota
	Gathering       // some of its transactions may be lacking, and be asked for
	Listing         // the list of its full IDs is asked for
	Checking        // the driver puts it together and checks it
	Whole           // it waits for its turn in the chain
	Accepted        // the chain has taken it, and it is being written
	Durable         // the ledger has it
	Refused         // it is forgotten
)

var stageNames = [...]string{"unknown", "gathering", "listing", "checking", "whole", "accepted", "durable", "refused"}

func (s Stage) String() string { return stageNames[s] }

// successors are the stages that may follow each stage.
var successors = [...][]Stage{
	Unknown:   {Gathering, Whole},
	Gathering: {Gathering, Checking, Whole, Refused},
	Listing:   {Gathering, Whole, Refused},
	Checking:  {Listing, Gathering, Whole, Refused},
	Whole:     {Accepted, Refused},
	Accepted:  {Durable},
	Durable:   {},
	Refused:   {},
}

// become moves the block on.
func (b *entry) become(s Stage) {
	for _, next := range successors[b.stage] {
		if next == s {
			b.stage = s
			return
		}
	}
	panic(fmt.Sprintf("fresh: the block at height %d becomes %v, and it is %v", b.block.Height, s, b.stage))
}

// whole says that all of the block is here, and right.
func (b *entry) whole() bool { return b.stage >= Whole && b.stage != Refused }
