package simnet

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Path is what happens to packets from one address to another. With the zero value they arrive at
// once.
type Path struct {
	Delay     time.Duration // of every packet
	Jitter    time.Duration // a random delay up to this is added to each packet, so packets overtake each other
	Loss      float64       // the fraction of datagrams that is lost, and of stream segments that is retransmitted and comes late
	Duplicate float64       // the fraction of datagrams that arrives twice
	Reorder   float64       // the fraction of datagrams that is delayed by ReorderBy
	ReorderBy time.Duration // default: 100 ms
	Down      bool          // nothing arrives; a stream waits
}

// retransmit is the extra delay of a stream segment whose first transmission was lost.
const retransmit = 300 * time.Millisecond

// Packet is a packet as a tap sees it.
type Packet struct {
	At       time.Time
	TCP      bool
	From, To netip.AddrPort
	Data     []byte // of a stream, what one Write has sent; none when a connection is asked for. It must not be changed.
	Lost     bool   // it never arrives
}

// Net is a network.
type Net struct {
	seed uint64

	mu     sync.Mutex
	hosts  map[netip.Addr]*Host
	all    Path
	paths  map[[2]netip.Addr]Path
	chance map[[2]netip.AddrPort]*rand.Rand
	taken  map[int64]struct{} // instants at which something arrives
	taps   []func(Packet)
}

// New returns a network without hosts, on which everything arrives at once until SetPath is called.
func New(seed uint64) *Net {
	return &Net{
		seed:   seed,
		hosts:  make(map[netip.Addr]*Host),
		paths:  make(map[[2]netip.Addr]Path),
		chance: make(map[[2]netip.AddrPort]*rand.Rand),
		taken:  make(map[int64]struct{}),
	}
}

// Host adds a host with these addresses, such as "192.0.2.1". It panics if one is malformed or
// belongs to another host.
func (n *Net) Host(addrs ...string) *Host {
	h := &Host{n: n, ports: 49152, udp: make(map[netip.AddrPort]*UDPConn), tcp: make(map[netip.AddrPort]*Listener), conns: make(map[[2]netip.AddrPort]*Conn)}
	for _, a := range addrs {
		h.Add(netip.MustParseAddr(a))
	}
	return h
}

// SetPaths sets the path between all addresses for which SetPath has not been called.
func (n *Net) SetPaths(p Path) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = p
}

// SetPath sets the path from one address to another; the way back has its own.
func (n *Net) SetPath(from, to netip.Addr, p Path) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paths[[2]netip.Addr{from, to}] = p
}

// ResetPath undoes SetPath.
func (n *Net) ResetPath(from, to netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.paths, [2]netip.Addr{from, to})
}

// Tap makes the network call f for every packet when it is sent. f must not call the network.
func (n *Net) Tap(f func(Packet)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taps = append(n.taps, f)
}

func (n *Net) tap(p Packet) {
	for _, f := range n.taps {
		f(p)
	}
}

func (n *Net) path(from, to netip.Addr) Path {
	p, ok := n.paths[[2]netip.Addr{from, to}]
	if !ok {
		p = n.all
	}
	if p.ReorderBy == 0 {
		p.ReorderBy = 100 * time.Millisecond
	}
	return p
}

// luck is the random numbers for one packet. Each packet draws the same number of them, so that a
// change of the path does not change the luck of later packets.
type luck struct {
	lost, duplicate, reorder float64
	jitter, second           float64
}

// draw returns the luck of the next packet between two addresses. Each pair has its own sequence,
// so that other senders make no difference.
func (n *Net) draw(from, to netip.AddrPort) luck {
	key := [2]netip.AddrPort{from, to}
	r, ok := n.chance[key]
	if !ok {
		h := fnv.New64a()
		fmt.Fprint(h, from, to)
		r = rand.New(rand.NewPCG(n.seed, h.Sum64()))
		n.chance[key] = r
	}
	return luck{r.Float64(), r.Float64(), r.Float64(), r.Float64(), r.Float64()}
}

// travel returns how long a packet is under way.
func (p *Path) travel(jitter float64) time.Duration {
	return p.Delay + time.Duration(jitter*float64(p.Jitter))
}

// after calls f, without the lock, after a delay, at an instant at which nothing else arrives.
func (n *Net) after(delay time.Duration, f func()) (at time.Time) {
	now := time.Now()
	at = now.Add(max(delay, time.Nanosecond))
	for {
		if _, ok := n.taken[at.UnixNano()]; !ok {
			break
		}
		at = at.Add(time.Nanosecond)
	}
	key := at.UnixNano()
	n.taken[key] = struct{}{}
	time.AfterFunc(at.Sub(now), func() {
		n.mu.Lock()
		delete(n.taken, key)
		n.mu.Unlock()
		f()
	})
	return at
}

// Seeded returns a source of random numbers derived from the network's seed and a name.
func (n *Net) Seeded(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write(binary.BigEndian.AppendUint64([]byte(name), n.seed))
	return rand.New(rand.NewPCG(n.seed, h.Sum64()))
}
