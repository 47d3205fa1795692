package local

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
)

// Ports are taken from below the range that systems draw the ports of outgoing
// connections from (32768 up on Linux, 49152 up elsewhere), so that a peer's port
// is still free when the peer is started again.
const (
	lowPort  = 20000
	highPort = 32000
	tries    = 1000 // per port; the range would have to be nearly full
)

// FreePorts returns n ports of the loopback interface on which nothing listens now,
// neither by TCP nor by UDP.
func FreePorts(n int) ([]int, error) {
	var held []io.Closer
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	ports := make([]int, 0, n)
	for try := 0; len(ports) < n; try++ {
		if try == n*tries {
			return nil, fmt.Errorf("found %d free ports from %d to %d on loopback, want %d", len(ports), lowPort, highPort, n)
		}
		port := lowPort + rand.IntN(highPort-lowPort)
		closers, err := hold(port)
		held = append(held, closers...)
		if err == nil {
			ports = append(ports, port)
		}
	}
	return ports, nil
}

// ports returns those of a new network's peers, two for each.
func (c Config) ports() ([]int, error) {
	if c.BasePort == 0 {
		return FreePorts(2 * c.Peers)
	}
	const most = 1<<16 - 1
	if last := c.BasePort + 2*c.Peers - 1; last > most {
		return nil, fmt.Errorf("%d ports from %d on end at %d: want at most %d", 2*c.Peers, c.BasePort, last, most)
	}
	ports := make([]int, 2*c.Peers)
	for i := range ports {
		ports[i] = c.BasePort + i
		held, err := hold(ports[i])
		for _, h := range held {
			h.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("port %d, of %d to %d: %w: choose others with --base-port", ports[i], c.BasePort, c.BasePort+len(ports)-1, err)
		}
	}
	return ports, nil
}

// hold takes a port, so that it is not found free again.
func hold(port int) ([]io.Closer, error) {
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	tcp, terr := net.Listen("tcp", addr)
	udp, uerr := net.ListenPacket("udp", addr)
	var held []io.Closer
	if terr == nil {
		held = append(held, tcp)
	}
	if uerr == nil {
		held = append(held, udp)
	}
	return held, errors.Join(terr, uerr)
}
