package plot

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"grapevine/dissemination/arrival"
	"grapevine/testnet/outcome"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is what page.html is filled with.
type page struct {
	Title string
	SVG   template.HTML // ours, and of texts that gonum has escaped
	Table string
	Data  pageData
}

// pageData is what the page's script knows of the picture, in the units of its viewBox.
type pageData struct {
	Curves  pagePanel    `json:"curves"`
	Shares  []pageShare  `json:"shares"`
	Spreads []pageSpread `json:"spreads"`
}

type pagePanel struct {
	X      float64    `json:"x"` // of the upper left corner
	Y      float64    `json:"y"`
	W      float64    `json:"w"`
	H      float64    `json:"h"`
	Millis [2]float64 `json:"ms"`
}

type pageShare struct {
	Name string       `json:"name"`
	At   [][2]float64 `json:"at"` // milliseconds and share, ascending
}

type pageSpread struct {
	Panel  pagePanel   `json:"panel"`
	Of     int         `json:"of"`
	Points []pagePoint `json:"points"`
}

type pagePoint struct {
	Peer   int         `json:"peer"`
	From   int         `json:"from"` // index of a point, or -1
	Millis float64     `json:"ms"`
	Via    arrival.Via `json:"via"`
	Hop    int         `json:"hop"`
}

func writeHTML(w io.Writer, p *picture) error {
	var svg bytes.Buffer
	if err := writeSVG(&svg, p); err != nil {
		return err
	}
	_, drawing, ok := strings.Cut(svg.String(), "<svg")
	if !ok {
		return fmt.Errorf("gonum wrote no svg element, but %.80q", svg.String())
	}
	var rows []outcome.Row
	for _, o := range p.runs {
		rows = append(rows, o.Row())
	}
	var table strings.Builder
	if err := outcome.WriteTable(&table, 0, rows); err != nil {
		return err
	}
	return pageTemplate.Execute(w, page{p.title(), template.HTML("<svg" + drawing), table.String(), p.data()})
}

func (p *picture) data() pageData {
	d := pageData{Curves: p.inPage(p.curves), Shares: []pageShare{}, Spreads: []pageSpread{}}
	for i, o := range p.runs {
		d.Shares = append(d.Shares, pageShare{o.Protocol, pairs(p.shares[i])})
		s := pageSpread{Panel: p.inPage(p.panels[i]), Of: max(p.spreads[i].of, 1), Points: []pagePoint{}}
		for _, q := range p.spreads[i].points {
			s.Points = append(s.Points, pagePoint{q.Peer, q.from, micros(millis(q.after)), q.Via, q.Hop})
		}
		d.Spreads = append(d.Spreads, s)
	}
	return d
}

// inPage turns a panel's corner to where SVG counts from: the upper left.
func (p *picture) inPage(at panel) pagePanel {
	_, h := p.size()
	size := at.at.Size()
	in := func(l vg.Length) float64 { return math.Round(l.Points()*100) / 100 }
	return pagePanel{X: in(at.at.Min.X), Y: in(h - at.at.Max.Y), W: in(size.X), H: in(size.Y), Millis: at.millis}
}

func pairs(curve plotter.XYs) [][2]float64 {
	out := make([][2]float64, len(curve))
	for i, at := range curve {
		out[i] = [2]float64{micros(at.X), math.Round(at.Y*1e6) / 1e6}
	}
	return out
}

// micros cuts milliseconds to what the eye needs.
func micros(ms float64) float64 { return math.Round(ms*1000) / 1000 }
