package node

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"grapevine/mempool"
)

// addMetrics registers what no part registers itself: the pool and the process.
func (n *Node) addMetrics() {
	gauge := func(name, help string, f func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(f()) })
	}
	counter := func(name, help string, f func(mempool.Stats) float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return f(n.pool.Stats()) })
	}
	n.cfg.Registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("grapevine_intake_bytes_per_second", "Bytes of submitted transactions that are let in a second; it falls when the network's queues overflow.",
			func() int { return int(n.driver.IntakeRate()) }),
		gauge("grapevine_pool_txs", "Transactions in the pool.", func() int { txs, _, _ := n.pool.Pending(); return txs }),
		gauge("grapevine_pool_bytes", "Bytes of the transactions in the pool.", func() int { _, bytes, _ := n.pool.Pending(); return bytes }),
		counter("grapevine_pool_accepted_total", "Transactions put on offer, from submitters and gossip.",
			func(s mempool.Stats) float64 { return float64(s.Accepted) }),
		counter("grapevine_pool_refused_total", "Transactions refused by the pool.",
			func(s mempool.Stats) float64 { return float64(s.Refused) }),
		counter("grapevine_pool_committed_total", "Transactions that left the pool in a block.",
			func(s mempool.Stats) float64 { return float64(s.Committed) }),
		counter("grapevine_pool_expired_total", "Transactions that left the pool because no block may have them any more.",
			func(s mempool.Stats) float64 { return float64(s.Expired) }),
		counter("grapevine_pool_wait_seconds_total", "Time that committed transactions spent in the pool, all together.",
			func(s mempool.Stats) float64 { return s.Waited.Seconds() }),
	)
}
