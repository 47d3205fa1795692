package packets

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marcopolo/simnet"

	"grapevine/testnet/scenario"
)

// pair is two peers with nothing but their sockets.
type pair struct {
	t       *testing.T
	network *network
	sockets [2]net.PacketConn
	heard   chan heard // what the second received
}

type heard struct {
	number byte
	bytes  int
	at     time.Duration
}

// linked runs a test with two peers in a bubble.
func linked(t *testing.T, link scenario.Link, test func(*pair)) {
	t.Helper()
	plan := planned(t, func(s *scenario.Scenario) { s.Peers, s.Link = 2, link })
	synctest.Test(t, func(t *testing.T) {
		p := &pair{t: t, network: newNetwork(plan), heard: make(chan heard, 1<<16)}
		for i, port := range p.network.ports {
			s, err := port.listen(&net.UDPAddr{IP: port.ip, Port: 4001})
			if err != nil {
				t.Fatal(err)
			}
			p.sockets[i] = s
		}
		began, done := time.Now(), make(chan struct{})
		go func() {
			defer close(done)
			b := make([]byte, 2000)
			for {
				n, from, err := p.sockets[1].ReadFrom(b)
				if err != nil {
					return
				}
				if p.network.peerAt(from) != 0 {
					t.Errorf("a packet from %v", from)
				}
				p.heard <- heard{b[0], n, time.Since(began)}
			}
		}()
		test(p)
		for _, s := range p.sockets {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		<-done
		p.network.sim.Close()
	})
}

// send sends packets from the first to the second.
func (p *pair) send(n int) {
	p.t.Helper()
	for i := range n {
		p.packet(i)
	}
}

// packet sends one, of 1,000 bytes.
func (p *pair) packet(number int) {
	p.t.Helper()
	b := make([]byte, 1000)
	b[0] = byte(number)
	if _, err := p.sockets[0].WriteTo(b, p.sockets[1].LocalAddr()); err != nil {
		p.t.Fatal(err)
	}
}

// after lets time pass and returns what came.
func (p *pair) after(d time.Duration) (out []heard) {
	time.Sleep(d)
	for len(p.heard) > 0 {
		out = append(out, <-p.heard)
	}
	return out
}

var plain = scenario.Link{Up: 8e6, Down: 8e6, Latency: scenario.Duration(30 * time.Millisecond)}

func TestLargeLinkTakesTime(t *testing.T) {
	for _, tc := range []struct {
		up, down scenario.Rate
		want     time.Duration // for 50 packets of 1,000 bytes, and the way
	}{
		{8e6, 800e6, 80 * time.Millisecond},
		{800e6, 4e6, 130 * time.Millisecond},
	} {
		link := plain
		link.Up, link.Down = tc.up, tc.down
		linked(t, link, func(p *pair) {
			p.send(50)
			got := p.after(time.Second)
			if len(got) != 50 {
				t.Fatalf("up %v, down %v: %d packets came, want 50", tc.up, tc.down, len(got))
			}
			// A bucket of 1,500 bytes is full at the beginning of each link.
			if last := got[49].at; last < tc.want-5*time.Millisecond || last > tc.want+5*time.Millisecond {
				t.Errorf("up %v, down %v: the last came after %v, want %v", tc.up, tc.down, last, tc.want)
			}
			for i, h := range got {
				if h.number != byte(i) || h.bytes != 1000 {
					t.Errorf("packet %d is %+v", i, h)
				}
			}
			tally := p.network.tally()
			if tally[0].sent != 50_000 || tally[1].received != 50_000 || tally[0].received != 0 || tally[1].coming != 0 {
				t.Errorf("counted are %+v", tally)
			}
		})
	}
}

func TestLargePacketsOnTheirWayAreKnown(t *testing.T) {
	linked(t, plain, func(p *pair) {
		p.send(3)
		time.Sleep(10 * time.Millisecond)
		if got := p.network.tally()[1]; got.coming != 3000 || got.received != 0 {
			t.Errorf("counted are %+v", got)
		}
	})
}

func TestLargeJitterDelaysAndNeverReorders(t *testing.T) {
	link := plain
	link.Up, link.Down, link.Jitter = 1e9, 1e9, scenario.Duration(20*time.Millisecond)
	linked(t, link, func(p *pair) {
		var sent []time.Duration
		began := time.Now()
		for range 200 {
			p.packet(len(sent))
			sent = append(sent, time.Since(began))
			time.Sleep(7 * time.Millisecond)
		}
		got := p.after(time.Second)
		var sum time.Duration
		for i, h := range got {
			took := h.at - sent[i]
			sum += took
			if took < 30*time.Millisecond || took > 51*time.Millisecond {
				t.Errorf("packet %d took %v", i, took)
			}
			if h.number != byte(i) {
				t.Errorf("packet %d came as number %d", h.number, i)
			}
		}
		if mean := sum / 200; mean < 38*time.Millisecond || mean > 45*time.Millisecond {
			t.Errorf("packets took %v in the mean, want 40 ms and a little", mean)
		}
	})
}

func TestLargeLoss(t *testing.T) {
	for _, tc := range []struct {
		own   float64
		fault [2]float64 // of the sender, of the receiver
		want  float64
	}{
		{0.3, [2]float64{}, 0.7}, {0, [2]float64{0.4, 0}, 0.6}, {0, [2]float64{0, 0.4}, 0.6}, {0.2, [2]float64{0.5, 0.5}, 0.2},
	} {
		link := plain
		link.Up, link.Down, link.Loss = 1e9, 1e9, tc.own
		linked(t, link, func(p *pair) {
			for i, loss := range tc.fault {
				p.network.ports[i].setLoss(loss)
			}
			const n = 4000
			p.send(n)
			got := p.after(time.Second)
			if share := float64(len(got)) / n; share < tc.want-0.03 || share > tc.want+0.03 {
				t.Errorf("loss %v, faults %v: %v came, want %v", tc.own, tc.fault, share, tc.want)
			}
			tally := p.network.tally()
			if tally[0].sent != n*1000 || tally[1].received != int64(len(got))*1000 {
				t.Errorf("counted are %+v, and %d packets came", tally, len(got))
			}
			for i := range tc.fault {
				p.network.ports[i].setLoss(0)
			}
			p.send(100)
			if got := p.after(time.Second); tc.own == 0 && len(got) != 100 {
				t.Errorf("%d of 100 came when the fault was over", len(got))
			}
		})
	}
}

func TestLargeCutStopsWhatIsOnItsWay(t *testing.T) {
	linked(t, plain, func(p *pair) {
		p.send(1)
		time.Sleep(10 * time.Millisecond)
		p.network.cut(1, []int{1})
		p.send(1)
		if got := p.after(time.Second); len(got) > 0 {
			t.Errorf("%d packets came through the cut", len(got))
		}
		if got := p.network.tally()[0].sent; got != 1000 {
			t.Errorf("%d bytes were sent, want the 1000 before the cut", got)
		}
		p.network.cut(1, []int{0}) // behind the same cut they hear each other
		p.send(2)
		if got := p.after(time.Second); len(got) != 2 {
			t.Errorf("%d of 2 packets came behind the cut", len(got))
		}
		p.network.cut(2, []int{1})
		p.send(2)
		if got := p.after(time.Second); len(got) > 0 {
			t.Errorf("%d packets came from one cut to another", len(got))
		}
		p.network.cut(0, []int{0, 1})
		p.send(2)
		if got := p.after(time.Second); len(got) != 2 {
			t.Errorf("%d of 2 packets came after the cuts", len(got))
		}
	})
}

func TestLargeKilledPeerIsSilentAndDeaf(t *testing.T) {
	for i := range 2 {
		linked(t, plain, func(p *pair) {
			p.network.ports[i].kill()
			p.send(1)
			if got := p.after(time.Second); len(got) > 0 {
				t.Errorf("%d packets came though peer %d is dead", len(got), i)
			}
			if got := p.network.tally()[1].received; got != 0 {
				t.Errorf("%d bytes counted", got)
			}
		})
	}
}

func TestLargeRateChanges(t *testing.T) {
	const each = time.Millisecond // of 1,000 bytes at 8 Mbit/s
	for i, side := range []string{"up", "down"} {
		link := plain
		link.Up, link.Down = 800e6, 800e6
		linked(t, link, func(p *pair) {
			took := func() time.Duration {
				if late := p.after(0); len(late) > 0 {
					t.Errorf("%d packets came late", len(late))
				}
				start := time.Now()
				p.send(20) // more would stand in the slowest queue for longer than it lets them
				got := 0
				for got < 20 && time.Since(start) < 5*time.Second {
					got += len(p.after(each / 2))
				}
				if got != 20 {
					t.Errorf("%s: %d of 20 packets came", side, got)
				}
				return time.Since(start)
			}
			for _, step := range []struct {
				rate scenario.Rate
				want time.Duration
			}{{0, 30 * each}, {8e6, 50 * each}, {2e6, 110 * each}, {0, 30 * each}} {
				p.network.ports[i].setRate(step.rate)
				// The bucket may hold a packet and a half at the start.
				if got := took(); got < step.want-6*each || got > step.want+3*each {
					t.Errorf("%s at %v: 20 packets took %v, want %v", side, step.rate, got, step.want)
				}
			}
		})
	}
}

// Reading goes on where the link is exchanged under it, with its deadline; closing ends it.
func TestLargeDeadlineOutlivesTheLink(t *testing.T) {
	linked(t, plain, func(p *pair) {
		err := make(chan error, 1)
		go func() {
			_, _, e := p.sockets[0].ReadFrom(make([]byte, 10))
			err <- e
		}()
		if e := p.sockets[0].SetReadDeadline(time.Now().Add(time.Second)); e != nil {
			t.Fatal(e)
		}
		time.Sleep(500 * time.Millisecond)
		p.network.ports[0].setRate(1e6)
		time.Sleep(400 * time.Millisecond)
		if len(err) > 0 {
			t.Fatalf("reading ended early: %v", <-err)
		}
		time.Sleep(200 * time.Millisecond)
		if len(err) != 1 {
			t.Error("reading goes on past its deadline")
		}
	})
}

func TestLargeAddresses(t *testing.T) {
	f := &network{ports: make([]*port, 300)}
	for _, i := range []int{0, 1, 254, 255, 299} {
		ip := simnet.IntToPublicIPv4(i)
		if got := f.peerAt(&net.UDPAddr{IP: ip}); got != i {
			t.Errorf("%v is peer %d, want %d", ip, got, i)
		}
	}
	for _, a := range []net.Addr{&net.TCPAddr{}, &net.UDPAddr{}, &net.UDPAddr{IP: net.IPv4(1, 0, 0, 0)}, &net.UDPAddr{IP: net.IPv4(1, 0, 1, 45)}} {
		if got := f.peerAt(a); got != -1 {
			t.Errorf("%v is peer %d", a, got)
		}
	}
}
