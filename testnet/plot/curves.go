package plot

import (
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"grapevine/testnet/outcome"
)

var (
	white = color.White
	faint = color.Gray{0xe4}
)

// hues tell curves apart for those who see fewer colours, too (Okabe and Ito 2008).
var hues = []color.NRGBA{
	{0x00, 0x72, 0xb2, 0xff}, {0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x9e, 0x73, 0xff},
	{0xcc, 0x79, 0xa7, 0xff}, {0xe6, 0x9f, 0x00, 0xff}, {0x56, 0xb4, 0xe9, 0xff}, {0x55, 0x55, 0x55, 0xff},
}

// newPlot is gonum's with our type: sans serif, and small beside the figures.
func newPlot(title string) *plot.Plot {
	p := plot.New()
	sans := func(size float64) font.Font {
		return font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(size)}
	}
	p.Title.Text, p.Title.Padding = title, 8
	p.Title.TextStyle.Font = sans(12)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font = sans(10), sans(9)
		a.LineStyle.Color, a.Tick.LineStyle.Color = color.Gray{0x80}, color.Gray{0x80}
		a.Padding = 4
	}
	p.Legend.TextStyle.Font = sans(9)
	p.Legend.ThumbnailWidth, p.Legend.Padding = 18, 2
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = faint, faint
	p.Add(grid)
	return p
}

// panel is where a plot came to be in the picture, for what the page does with it.
type panel struct {
	at     vg.Rectangle
	millis [2]float64 // at the left and right edge
}

func placed(p *plot.Plot, c draw.Canvas) panel {
	return panel{at: p.DataCanvas(c).Rectangle, millis: [2]float64{p.X.Min, p.X.Max}}
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// drawCurves has a linear axis: it begins at zero, and what takes ten times as long is
// ten times as far away, which a logarithm hides. How a fast protocol went beside a slow
// one its spread shows, on an axis of its own.
func (p *picture) drawCurves(c draw.Canvas) error {
	pl := newPlot(p.title())
	pl.Title.TextStyle.Font.Size = 14
	pl.X.Label.Text, pl.Y.Label.Text = "ms since the block was made", "share of peers that accepted it"
	pl.Y.Min, pl.Y.Max = 0, 1
	pl.X.Min, pl.X.Max = 0, 1
	all := make([][]float64, len(p.runs))
	for i, o := range p.runs {
		all[i] = latencies(o)
		if n := len(all[i]); n > 0 {
			pl.X.Max = max(pl.X.Max, all[i][n-1]*1.02)
		}
	}
	lines := make([]*plotter.Line, len(p.runs))
	p.shares = make([]plotter.XYs, len(p.runs))
	for i, o := range slices.Backward(p.runs) { // the first on top
		p.shares[i] = steps(all[i], o.Expected(), pl.X.Max)
		line, err := plotter.NewLine(p.shares[i])
		if err != nil {
			return err
		}
		line.Color, line.Width = hues[i%len(hues)], 2
		pl.Add(line)
		lines[i] = line
	}
	for i, o := range p.runs {
		pl.Legend.Add(o.Protocol, lines[i])
	}
	pl.X.Tick.Marker, pl.Y.Tick.Marker = ticks(8), ticks(5)
	pl.Draw(c)
	p.curves = placed(pl, c)
	return nil
}

// latencies are those of all blocks at all peers that were to have them, in
// milliseconds, ascending.
func latencies(o *outcome.Outcome) []float64 {
	var out []float64
	for _, d := range o.Deliveries() {
		if d.Expected {
			out = append(out, millis(d.Latency))
		}
	}
	slices.Sort(out)
	return out
}

// mostSteps bounds a curve: more do not show.
const mostSteps = 1000

// steps is the curve of ascending times: each raises it by one of n, and it goes on to
// the right edge as high as it came.
func steps(times []float64, n int, edge float64) plotter.XYs {
	out := plotter.XYs{{X: 0, Y: 0}}
	every := len(times)/mostSteps + 1
	for i := every - 1; i < len(times); i += every {
		out = append(out, plotter.XY{X: times[i], Y: out[len(out)-1].Y}, plotter.XY{X: times[i], Y: float64(i+1) / float64(n)})
	}
	if k := len(times); k > 0 && k%every != 0 {
		out = append(out, plotter.XY{X: times[k-1], Y: float64(k) / float64(n)})
	}
	return append(out, plotter.XY{X: edge, Y: out[len(out)-1].Y})
}

// ticks are about so many, at round numbers.
type ticks int

func (n ticks) Ticks(low, high float64) []plot.Tick {
	rough := (high - low) / float64(n)
	unit := math.Pow(10, math.Floor(math.Log10(rough)))
	step := unit
	for _, m := range []float64{2, 5, 10} {
		if step < rough {
			step = m * unit
		}
	}
	decimals := max(0, int(-math.Floor(math.Log10(step)+1e-9)))
	var out []plot.Tick
	for k := math.Ceil(low / step); k*step <= high; k++ {
		out = append(out, plot.Tick{Value: k * step, Label: strconv.FormatFloat(k*step, 'f', decimals, 64)})
	}
	return out
}

// blocks says how many blocks of which size there were.
func blocks(o *outcome.Outcome) string {
	if len(o.Blocks) == 0 {
		return "no blocks"
	}
	least, most := o.Blocks[0].Bytes, o.Blocks[0].Bytes
	for _, b := range o.Blocks {
		least, most = min(least, b.Bytes), max(most, b.Bytes)
	}
	what := fmt.Sprintf("%d blocks of %s", len(o.Blocks), size(least))
	if len(o.Blocks) == 1 {
		what = "a block of " + size(least)
	}
	if most > least {
		what += " to " + size(most)
	}
	return what
}

// size writes a number of bytes to three digits: a body of whole transactions falls a
// little short of the round size that it was made for.
func size(n int) string {
	switch f := float64(n); {
	case f >= 0.9995*(1<<20):
		return fmt.Sprintf("%.3g MiB", f/(1<<20))
	case f >= 0.9995*(1<<10):
		return fmt.Sprintf("%.3g KiB", f/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
