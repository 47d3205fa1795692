// Package plot draws what happened in runs of one scenario:
//
//	┌──────────────────────────────┐  latency: the share of all (block, peer) pairs
//	│          ╭────── a           │  that have accepted, against the time since the
//	│   ╭──────╯  ╭─── b           │  block was made; a curve per protocol
//	├─────────┬─────────┬──────────┤
//	│ a     ⋰ │ b     ⋰ │ c      ⋰ │  spread: one block, who got it from whom; a point
//	│   ⋰⋰⋰   │   ⋰⋰    │    ⋰⋰⋰   │  per peer in the order of arrival, a line from
//	│ ⋰       │ ⋰       │ ⋰        │  the point of the peer that told it first
//	└─────────┴─────────┴──────────┘
//
// The same picture is written as SVG, as PNG, or as a page of HTML that answers the
// pointer: what has arrived by a time, and the way by which a block came to a peer. The
// page is one file, and fetches nothing.
package plot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"grapevine/testnet/outcome"
)

// ErrFormat says that a file's name does not end as a picture's does.
var ErrFormat = errors.New("no picture's name: want one that ends with .svg, .png or .html")

// formats write a picture, by what the file's name ends with.
var formats = map[string]func(w io.Writer, p *picture) error{".svg": writeSVG, ".png": writePNG, ".html": writeHTML}

func format(file string) (func(w io.Writer, p *picture) error, error) {
	f, ok := formats[strings.ToLower(filepath.Ext(file))]
	if !ok {
		return nil, fmt.Errorf("plot %q: %w", file, ErrFormat)
	}
	return f, nil
}

// Check says what keeps Write from writing this file: its name (ErrFormat), or a folder
// that is not there. So a long run need not be over before one knows.
func Check(file string) error {
	if _, err := format(file); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Dir(file))
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder", filepath.Dir(file))
	}
	if err != nil {
		return fmt.Errorf("plot %q: %w", file, err)
	}
	return nil
}

// Write draws runs of the scenario of this name, in the order of the legend, to a file
// whose name says the format.
func Write(file, scenario string, runs []*outcome.Outcome) error {
	write, err := format(file)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := write(&text, &picture{scenario: scenario, runs: runs}); err != nil {
		return fmt.Errorf("plot %q: %w", file, err)
	}
	if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	return nil
}

// picture is what is drawn, and where it came to be.
type picture struct {
	scenario string
	runs     []*outcome.Outcome

	// What draw leaves for the page.
	curves  panel         // of the latencies
	shares  []plotter.XYs // each run's curve
	panels  []panel       // of the spreads
	spreads []spread      // a run each
}

const (
	width        = 900 * vg.Length(1) // points; of a page, and of a screen
	curvesHeight = 300
	spreadHeight = 300
	margin       = 12
	columns      = 3   // spreads side by side
	pixels       = 144 // an inch of PNG: twice what a screen has, for README and print
)

func (p *picture) size() (w, h vg.Length) {
	rows := (len(p.runs) + columns - 1) / columns
	return width, curvesHeight + vg.Length(rows)*spreadHeight
}

// draw draws all of it, once.
func (p *picture) draw(c draw.Canvas) error {
	c.SetColor(white)
	c.Fill(c.Rectangle.Path())
	_, h := p.size()
	if err := p.drawCurves(within(c, 0, h-curvesHeight, width, curvesHeight)); err != nil {
		return err
	}
	across := vg.Length(min(columns, len(p.runs)))
	for i, o := range p.runs {
		row, column := vg.Length(i/columns), vg.Length(i%columns)
		at := within(c, column*width/across, h-curvesHeight-(row+1)*spreadHeight, width/across, spreadHeight)
		if err := p.drawSpread(at, o); err != nil {
			return err
		}
	}
	return nil
}

// within is the part of a canvas from a corner on, less a margin.
func within(c draw.Canvas, x, y, w, h vg.Length) draw.Canvas {
	corner := vg.Point{X: c.Min.X + x + margin, Y: c.Min.Y + y + margin}
	c.Rectangle = vg.Rectangle{Min: corner, Max: corner.Add(vg.Point{X: w - 2*margin, Y: h - 2*margin})}
	return c
}

func writeSVG(w io.Writer, p *picture) error {
	c := vgsvg.New(p.size())
	if err := p.draw(draw.New(c)); err != nil {
		return err
	}
	var text bytes.Buffer
	if _, err := c.WriteTo(&text); err != nil {
		return err
	}
	_, err := w.Write(bytes.ReplaceAll(text.Bytes(), []byte(typeface), []byte(alikes)))
	return err
}

// gonum places text by this typeface's widths, and names no other for viewers that
// have not got it; those that follow it here are as wide.
const (
	typeface = "font-family:Liberation Sans;"
	alikes   = "font-family:'Liberation Sans',Arial,Helvetica,sans-serif;"
)

func writePNG(w io.Writer, p *picture) error {
	wide, high := p.size()
	c := vgimg.NewWith(vgimg.UseWH(wide, high), vgimg.UseDPI(pixels))
	if err := p.draw(draw.New(c)); err != nil {
		return err
	}
	_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(w)
	return err
}

// title says what all curves have in common.
func (p *picture) title() string {
	if len(p.runs) == 0 {
		return p.scenario
	}
	o := p.runs[0]
	var worlds []string
	for _, r := range p.runs {
		if !slices.Contains(worlds, r.World) {
			worlds = append(worlds, r.World)
		}
	}
	return fmt.Sprintf("%s: %d peers, %s, world %s, seed %d", p.scenario, len(o.Peers), blocks(o), strings.Join(worlds, " and "), o.Seed)
}
