package dissemination

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"grapevine/dissemination/arrival"
	"grapevine/dissemination/protocol"
	"grapevine/dissemination/txs"
)

// metrics are what the driver counts itself.
type metrics struct {
	latency *prometheus.HistogramVec
	missing prometheus.Counter
	repeats prometheus.Counter
	busy    prometheus.Counter

	messages *prometheus.CounterVec // type, direction
	bytes    *prometheus.CounterVec // type, direction
}

// latencyBuckets go from a hop on one machine to a missed pull on a bad day.
var latencyBuckets = []float64{.002, .005, .01, .02, .05, .1, .15, .2, .25, .5, 1, 2, 5, 10, 30}

func newMetrics(r prometheus.Registerer, d *Driver) metrics {
	m := metrics{
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "grapevine_block_latency_seconds", Help: "From a block's header time until it was accepted here, by the way it came.", Buckets: latencyBuckets,
		}, []string{"via"}),
		missing: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "grapevine_block_missing_txs_total", Help: "Transactions of accepted blocks that had to be fetched.",
		}),
		repeats: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "grapevine_block_repeated_announcements_total", Help: "Announcements that came after a block's first, before the block was accepted.",
		}),
		busy: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "grapevine_loop_busy_seconds_total", Help: "Time that the dissemination loop was not waiting: near one second a second, it is the bottleneck.",
		}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "grapevine_messages_total", Help: "Messages about blocks and transactions, by type and direction; those out that found no room in a queue count as dropped.",
		}, []string{"type", "direction"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "grapevine_message_bytes_total", Help: "Bytes of those messages.",
		}, []string{"type", "direction"}),
	}
	if r != nil {
		r.MustRegister(m.latency, m.missing, m.repeats, m.busy, m.messages, m.bytes, collector{d})
	}
	return m
}

// message counts one message; directions are in, out and dropped.
func (m metrics) message(kind, direction string, size int) {
	m.messages.WithLabelValues(kind, direction).Inc()
	m.bytes.WithLabelValues(kind, direction).Add(float64(size))
}

func (m metrics) accepted(a arrival.Accepted) {
	m.latency.WithLabelValues(a.Via.String()).Observe(a.Latency.Seconds())
	m.missing.Add(float64(a.Missing))
	m.repeats.Add(float64(a.Repeats))
}

// stats are the cores' counts at one moment.
type stats struct {
	protocol.Stats
	pools txs.Stats
}

// stats asks the loop for the cores' counts; after its end they are those of the end.
// Before it runs there is nothing to tell, and nobody to wait for.
func (d *Driver) stats() (s stats, ok bool) {
	if !d.started.Load() {
		return s, false
	}
	answer := make(chan stats, 1)
	select {
	case d.events <- func(time.Time) { answer <- stats{d.core.Stats(), d.pools.core.Stats()} }:
	case <-d.done:
	}
	select {
	case s = <-answer:
	case <-d.done:
		s = *d.last.Load()
	}
	return s, true
}

// collector turns the cores' counts into metrics when they are asked for.
type collector struct{ d *Driver }

var (
	heightDesc = prometheus.NewDesc("grapevine_height", "Height of the chain's last block, by how far it has come: accepted or durable.", []string{"state"}, nil)
	knownDesc  = prometheus.NewDesc("grapevine_blocks_in_progress", "Blocks that were announced and are not accepted yet.", nil, nil)
	againDesc  = prometheus.NewDesc("grapevine_block_again_bytes_total", "Bytes of blocks' transactions that came though they were here already, before or after the block was accepted.", nil, nil)
	countDesc  = prometheus.NewDesc("grapevine_protocol_events_total", "What the protocol cores have counted, by core and event.", []string{"core", "event"}, nil)
)

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{heightDesc, knownDesc, againDesc, countDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s, ok := c.d.stats()
	if !ok {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(heightDesc, float64(s.Height), "accepted")
	gauge(heightDesc, float64(c.d.cfg.Ledger.Tip().Height), "durable")
	gauge(knownDesc, float64(s.Pending))
	ch <- prometheus.MustNewConstMetric(againDesc, prometheus.CounterValue, float64(s.Again))
	for _, x := range []struct {
		core, event string
		n           uint64
	}{
		{"fresh", "announced", s.Fresh.Announced}, {"fresh", "duplicate", s.Fresh.Duplicates}, {"fresh", "ignored", s.Fresh.Ignored},
		{"fresh", "relayed", s.Fresh.Relayed}, {"fresh", "fetch", s.Fresh.Fetches}, {"fresh", "fetch-timeout", s.Fresh.FetchTimeouts},
		{"fresh", "fetch-refused", s.Fresh.FetchRefusals}, {"fresh", "mismatch", s.Fresh.Mismatches}, {"fresh", "served", s.Fresh.Served},
		{"fresh", "refused", s.Fresh.Refused}, {"fresh", "pull", s.Fresh.Pulls}, {"fresh", "pull-answered", s.Fresh.PullsAnswered},
		{"fresh", "pull-ignored", s.Fresh.PullsIgnored},
		{"catch-up", "request", s.Catchup.Requests}, {"catch-up", "timeout", s.Catchup.Timeouts}, {"catch-up", "failure", s.Catchup.Failures},
		{"catch-up", "block", s.Catchup.Blocks}, {"catch-up", "double", s.Catchup.Doubles},
		{"txs", "exchange", s.pools.Exchanges}, {"txs", "timeout", s.pools.Timeouts}, {"txs", "lacked", s.pools.Lacked},
	} {
		ch <- prometheus.MustNewConstMetric(countDesc, prometheus.CounterValue, float64(x.n), x.core, x.event)
	}
}
