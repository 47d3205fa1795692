package report

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Figure is a number, or NaN where there is nothing to take it of. JSON has null for that.
type Figure float64

// Ratio is a over b to six places: a peer in a million that is missed still shows.
func Ratio(a, b float64) Figure {
	if b == 0 {
		return Figure(math.NaN())
	}
	return Figure(math.Round(a/b*1e6) / 1e6)
}

// Known says that it is a number.
func (f Figure) Known() bool { return !math.IsNaN(float64(f)) }

// String is without an exponent, however large it is.
func (f Figure) String() string { return strconv.FormatFloat(float64(f), 'f', -1, 64) }

func (f Figure) MarshalJSON() ([]byte, error) {
	if !f.Known() {
		return []byte("null"), nil
	}
	return json.Marshal(float64(f))
}

func (f *Figure) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*f = Figure(math.NaN())
		return nil
	}
	return json.Unmarshal(text, (*float64)(f))
}

const unknown = "–"

// Show is the figure for people, so many times over and in a format of package fmt.
func (f Figure) Show(format string, times float64) string {
	if !f.Known() {
		return unknown
	}
	return fmt.Sprintf(format, float64(f)*times)
}

// Millis and the others are the figure in a cell of a table.
func (f Figure) Millis() string { return f.Show("%.1f ms", 1) }
func (f Figure) Times() string  { return f.Show("%.2f", 1) }
func (f Figure) Count() string  { return f.Show("%.0f", 1) }

// Percent is of a share. It cuts off rather than rounds: only all is 100 %.
func (f Figure) Percent() string { return f.Down(3).Show("%.1f %%", 100) }

// Down cuts off after so many places.
func (f Figure) Down(places int) Figure {
	scale := math.Pow10(places)
	return Figure(math.Floor(float64(f)*scale+1e-6) / scale)
}

// Size is of a number of bytes.
func (f Figure) Size() string {
	if !f.Known() {
		return unknown
	}
	return Size(int(f))
}
