package plot

import (
	"cmp"
	"fmt"
	"image/color"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/testnet/outcome"
)

// ways are the colours of the ways by which a block comes, in the legend's order.
var ways = []struct {
	via   arrival.Via
	color color.NRGBA
}{
	{arrival.Own, color.NRGBA{0x20, 0x20, 0x20, 0xff}},
	{arrival.Push, hues[0]},
	{arrival.Shards, hues[2]},
	{arrival.Pull, hues[1]},
	{arrival.CatchUp, hues[3]},
}

// spread is one block's way to all peers.
type spread struct {
	block  outcome.Block
	points []point // in the order of arrival
	of     int     // peers that there are
}

// point is an arrival.
type point struct {
	outcome.Arrival
	after time.Duration // the block was made
	from  int           // index of who told it first; -1: nobody, or not known
}

// typical is the spread of the block whose last arrival was neither early nor late
// among the run's blocks.
func typical(o *outcome.Outcome) spread {
	all := make([]spread, len(o.Blocks))
	index := make(map[block.ID]int, len(all))
	for i, b := range o.Blocks {
		all[i], index[b.ID] = spread{block: b, of: len(o.Peers)}, i
	}
	if len(all) == 0 {
		return spread{}
	}
	seen := map[[2]int]bool{}
	for _, a := range o.Arrivals {
		if i, ok := index[a.ID]; ok && !seen[[2]int{i, a.Peer}] {
			seen[[2]int{i, a.Peer}] = true
			all[i].points = append(all[i].points, point{Arrival: a, after: a.At - all[i].block.At, from: -1})
		}
	}
	slices.SortStableFunc(all, func(a, b spread) int {
		return cmp.Or(cmp.Compare(len(a.points), len(b.points)), cmp.Compare(a.last(), b.last()))
	})
	s := all[(len(all)-1)/2]
	s.link()
	return s
}

func (s *spread) last() time.Duration {
	if len(s.points) == 0 {
		return 0
	}
	return s.points[len(s.points)-1].after
}

// link finds each sender's point.
func (s *spread) link() {
	slices.SortStableFunc(s.points, func(a, b point) int { return cmp.Compare(a.after, b.after) })
	index := make(map[int]int, len(s.points))
	for i, p := range s.points {
		index[p.Peer] = i
	}
	for i := range s.points {
		if from, ok := index[s.points[i].From]; ok {
			s.points[i].from = from
		}
	}
}

// mostPoints is how many arrivals are drawn: of more, every second, third… is.
const mostPoints = 2000

func (p *picture) drawSpread(c draw.Canvas, o *outcome.Outcome) error {
	s := typical(o)
	every := len(s.points)/(mostPoints+1) + 1
	pl := newPlot(s.title(o.Protocol, every))
	pl.X.Label.Text, pl.Y.Label.Text = "ms since the block was made", "peers, by arrival"
	pl.X.Min, pl.X.Max, pl.Y.Min, pl.Y.Max = 0, max(1, millis(s.last())*1.02), 0, float64(max(s.of, 1))
	pl.X.Tick.Marker, pl.Y.Tick.Marker = ticks(5), ticks(5)
	if err := s.addLines(pl.Add, every); err != nil {
		return err
	}
	for _, way := range ways {
		at := plotter.XYs{}
		for i := 0; i < len(s.points); i += every {
			if s.points[i].Via == way.via {
				at = append(at, s.xy(i))
			}
		}
		if len(at) == 0 {
			continue
		}
		dots, err := plotter.NewScatter(at)
		if err != nil {
			return err
		}
		dots.GlyphStyle = draw.GlyphStyle{Color: way.color, Radius: s.radius(), Shape: draw.CircleGlyph{}}
		pl.Add(dots)
		sample := *dots
		sample.Radius = largest
		pl.Legend.Add(way.via.String(), &sample)
	}
	pl.Draw(c)
	p.panels, p.spreads = append(p.panels, placed(pl, c)), append(p.spreads, s)
	return nil
}

func (s *spread) title(protocol string, every int) string {
	if len(s.points) == 0 {
		return protocol
	}
	title := fmt.Sprintf("%s, block %d: %d of %d peers", protocol, s.block.Height, len(s.points), s.of)
	if every > 1 {
		title += fmt.Sprintf(" (one in %d drawn)", every)
	}
	return title
}

func (s *spread) xy(i int) plotter.XY {
	return plotter.XY{X: millis(s.points[i].after), Y: float64(i + 1)}
}

const largest = 2.2 // points

// radius is that of a point: they may touch, and not hide each other.
func (s *spread) radius() vg.Length {
	switch n := len(s.points); {
	case n <= 150:
		return largest
	case n <= 600:
		return 1.5
	}
	return 1
}

// addLines adds a line from each sender to the receiver, in the colour of its way.
func (s *spread) addLines(add func(...plot.Plotter), every int) error {
	for _, way := range ways {
		for i := 0; i < len(s.points); i += every {
			p := s.points[i]
			if p.from < 0 || p.Via != way.via {
				continue
			}
			line, err := plotter.NewLine(plotter.XYs{s.xy(p.from), s.xy(i)})
			if err != nil {
				return err
			}
			line.Color, line.Width = faded(way.color, len(s.points)), 0.6
			add(line)
		}
	}
	return nil
}

// faded lets lines shine through each other, the more the more there are.
func faded(c color.NRGBA, lines int) color.NRGBA {
	switch {
	case lines <= 150:
		c.A = 0x70
	case lines <= 600:
		c.A = 0x40
	default:
		c.A = 0x20
	}
	return c
}
