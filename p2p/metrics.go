package p2p

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"grapevine/p2p/wire"
)

// metrics are a host's counters. Lanes' counters are looked up once.
type metrics struct {
	bytesOut, bytesIn       [wire.NumLanes]prometheus.Counter
	messagesOut, messagesIn [wire.NumLanes]prometheus.Counter
	drops                   *prometheus.CounterVec // lane, reason
	offences                *prometheus.CounterVec // offence
	goodbyes                *prometheus.CounterVec // code, direction
	dials                   *prometheus.CounterVec // result
	gated                   *prometheus.CounterVec // reason
	pubsub                  *prometheus.CounterVec // event
	pubsubBytes             *prometheus.CounterVec // direction

	all        []prometheus.Collector
	registerer prometheus.Registerer
}

const namespace, subsystem = "grapevine", "p2p"

func newMetrics() *metrics {
	m := &metrics{}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}, labels)
		m.all = append(m.all, v)
		return v
	}
	bytes := vec("bytes_total", "Bytes of frames on the lanes' streams.", "lane", "direction")
	messages := vec("messages_total", "Messages on the lanes' streams.", "lane", "direction")
	m.drops = vec("drops_total", "Messages not sent.", "lane", "reason")
	m.offences = vec("offences_total", "What peers were charged with.", "offence")
	m.goodbyes = vec("goodbyes_total", "Goodbyes by code.", "code", "direction")
	m.dials = vec("dials_total", "Dials by result.", "result")
	m.gated = vec("gated_total", "Connections refused by peer ID.", "reason")
	m.pubsub = vec("pubsub_messages_total", "What became of messages on the transactions' topic.", "event")
	m.pubsubBytes = vec("pubsub_bytes_total", "Bytes of GossipSub's packets.", "direction")
	for lane := range wire.NumLanes {
		m.bytesOut[lane] = bytes.WithLabelValues(lane.String(), "out")
		m.bytesIn[lane] = bytes.WithLabelValues(lane.String(), "in")
		m.messagesOut[lane] = messages.WithLabelValues(lane.String(), "out")
		m.messagesIn[lane] = messages.WithLabelValues(lane.String(), "in")
	}
	return m
}

// gauge adds a value that is asked for when the metrics are read.
func (m *metrics) gauge(name, help string, labels prometheus.Labels, f func() float64) {
	m.all = append(m.all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, ConstLabels: labels,
	}, f))
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	m.registerer = r
	var errs []error
	for _, c := range m.all {
		errs = append(errs, r.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		m.unregister()
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

func (m *metrics) unregister() {
	if m.registerer != nil {
		for _, c := range m.all {
			m.registerer.Unregister(c)
		}
	}
}

func (m *metrics) drop(lane wire.Lane, reason string) {
	m.drops.WithLabelValues(lane.String(), reason).Inc()
}

func (m *metrics) denied(reason string) { m.gated.WithLabelValues(reason).Inc() }
