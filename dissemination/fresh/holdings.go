package fresh

// Held says how many bytes the transaction at a place of a block has that the peer's
// own pool holds; zero: the pool does not hold it. Nil: it holds none.
type Held func(place uint32) int

// holdings are the transactions of a block that are here.
type holdings struct {
	places int
	has    []uint64 // a bit a place; nil once none lacks
	lacks  int
	bytes  int      // of what is here
	wanted []uint32 // the lacking places; nil when they have changed
}

// pooled returns what of a block the pool holds.
func pooled(places int, held Held) holdings {
	h := holdings{places: places, has: make([]uint64, (places+63)/64), lacks: places}
	if held == nil {
		return h
	}
	for i := range uint32(places) {
		if size := held(i); size > 0 {
			h.add(i, size)
		}
	}
	return h
}

// have says whether the transaction at a place is here.
func (h *holdings) have(i uint32) bool {
	return h.lacks == 0 || int(i) < h.places && h.has[i/64]>>(i%64)&1 != 0
}

// add notes that the transaction at a place is here, and says whether that is new.
func (h *holdings) add(i uint32, size int) bool {
	if int(i) >= h.places || h.have(i) {
		return false
	}
	h.has[i/64] |= 1 << (i % 64)
	h.lacks--
	h.bytes += size
	h.wanted = nil
	return true
}

// fill notes that all are here, which are so many bytes.
func (h *holdings) fill(bytes int) {
	*h = holdings{places: h.places, bytes: bytes}
}

// missing returns the lacking places, ascending. Nobody may change the slice, which
// goes into every request until one is answered.
func (h *holdings) missing() []uint32 {
	if h.wanted == nil {
		h.wanted = make([]uint32, 0, h.lacks)
		for i := range uint32(h.places) {
			if !h.have(i) {
				h.wanted = append(h.wanted, i)
			}
		}
	}
	return h.wanted
}
