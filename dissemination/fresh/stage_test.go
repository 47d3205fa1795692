package fresh

import (
	"fmt"
	"slices"
	"testing"

	"grapevine/block"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
)

// The table in the comment, and nothing else.
func TestStages(t *testing.T) {
	may := map[Stage]string{
		Unknown: "gathering whole", Gathering: "gathering checking whole refused", Listing: "gathering whole refused",
		Checking: "gathering listing whole refused", Whole: "accepted refused", Accepted: "durable", Durable: "", Refused: "",
	}
	for from := Unknown; from <= Refused; from++ {
		var legal []string
		for to := Unknown; to <= Refused; to++ {
			if func() (ok bool) {
				defer func() { ok = recover() == nil }()
				(&entry{stage: from}).become(to)
				return
			}() {
				legal = append(legal, to.String())
			}
		}
		if got := fmt.Sprint(legal); got != "["+may[from]+"]" {
			t.Errorf("%v may become %s, want [%s]", from, got, may[from])
		}
	}
}

// A block's way from announced to durable, with a collision in the middle.
func TestLifeOfABlock(t *testing.T) {
	e := engine("a", "b")
	id := blockID(1)
	var stages []Stage
	step := func() { stages = append(stages, e.Stage(id)) }
	step()
	hear(e, at(0), "a", ann(1, 1, 2))
	step()
	bring(e, at(1), "a", 1, id, 2)
	step()
	e.Mismatched(at(2), id)
	step()
	e.Listed(at(3), id, lacking())
	step()
	e.Checked(id)
	step()
	e.Accepted(at(4), block.Tip{Height: 1, ID: id})
	step()
	e.Durable(id)
	step()
	want := []Stage{Unknown, Gathering, Checking, Listing, Checking, Whole, Accepted, Durable}
	if !slices.Equal(stages, want) {
		t.Errorf("stages are %v, want %v", stages, want)
	}
	e.Effects()
	e.Asked(at(5), "b", &message.Fetch{Number: 7, Block: id, At: []uint32{0}})
	want7 := effect.Serve{To: "b", Block: id, Number: 7, At: []uint32{0}, Stored: true}
	if got := e.Effects(); len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want7) {
		t.Errorf("of a durable block it serves %+v, want %+v", got, want7)
	}
}

// When the chain takes another block at the height, this one is refused and forgotten.
func TestAnotherBlockIsTaken(t *testing.T) {
	e := engine("a")
	hear(e, at(0), "a", ann(9, 1, 2))
	e.Effects()
	e.Accepted(at(1), block.Tip{Height: 1, ID: blockID(1)})
	want(t, e, effect.Forget{Block: blockID(9)})
	if got := e.Stage(blockID(9)); got != Unknown {
		t.Errorf("it is %v", got)
	}
}

// A list of full IDs comes in pieces, in order, from one answer.
func TestListComesInPieces(t *testing.T) {
	e := engine("a", "b")
	id := blockID(1)
	hear(e, at(0), "a", ann(1, 1))
	e.Mismatched(at(1), id)
	e.Effects()
	ids := []block.ID{{10}, {11}, {12}, {13}}
	piece := func(number uint32, from int, ids ...block.ID) {
		e.Came(at(2), "a", &message.Part{Number: number, Block: id, From: from, IDs: ids}, nil)
	}
	piece(1, 0, ids[:2]...)
	piece(1, 3, ids[3]) // one is lacking between
	piece(2, 2, ids[2]) // of another answer
	want(t, e)
	piece(2, 0, ids[0]) // which begins
	piece(1, 2, ids[2:]...)
	want(t, e)
	piece(2, 1, ids[1:]...)
	want(t, e, effect.CheckList{Block: id, Number: 2, From: "a", IDs: ids})
	e.ListForged(at(3), "a", 2, id)
	piece(3, 0, ids...)
	want(t, e, effect.CheckList{Block: id, Number: 3, From: "a", IDs: ids})
}
