package engine

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

func udpFlow(n int) transport.Flow {
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], uint32(n)|10<<24)
	return transport.Flow{Network: transport.UDP, Remote: netip.AddrPortFrom(netip.AddrFrom4(ip), 5060)}
}

func newProven() *Engine {
	e := new(Engine)
	e.proven.start = time.Now()
	return e
}

func TestProven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newProven()
		f := udpFlow(1)
		if e.Proven(f) {
			t.Error("a source is proven before it has shown anything")
		}
		e.Prove(f)
		other := f
		other.Remote = netip.AddrPortFrom(f.Remote.Addr(), 5061)
		if !e.Proven(f) || e.Proven(other) || e.Proven(udpFlow(2)) {
			t.Error("not the address and port that were proven are")
		}
		tcp := udpFlow(3)
		tcp.Network = transport.TCP
		e.Prove(tcp)
		if !e.Proven(tcp) || e.Proven(udpFlow(3)) {
			t.Error("a stream proves a datagram's source")
		}

		time.Sleep(provenTime - 2*time.Minute)
		e.Prove(udpFlow(2))
		if !e.Proven(f) {
			t.Error("proven for less than an hour")
		}
		time.Sleep(3 * time.Minute)
		if e.Proven(f) || !e.Proven(udpFlow(2)) {
			t.Error("not the source whose hour is over is forgotten")
		}
		e.Prove(f)
		if !e.Proven(f) {
			t.Error("a source cannot be proven anew")
		}
	})
}

// TestProvenFull proves many more than there is room for: the memory stays what it is, and nobody is proven who has not shown it.
func TestProvenFull(t *testing.T) {
	e := newProven()
	const n = 4 * provenSets * provenWays
	for i := range n {
		e.Prove(udpFlow(i))
		if !e.Proven(udpFlow(i)) {
			t.Fatalf("%d is not proven", i)
		}
	}
	known := 0
	for i := range n {
		if e.Proven(udpFlow(i)) {
			known++
		}
	}
	if most := provenSets * provenWays; known > most || known < most*9/10 {
		t.Errorf("%d are known, there is room for %d", known, most)
	}
	for i := range 100_000 {
		if e.Proven(udpFlow(n + i)) {
			t.Fatal("a source is proven that has shown nothing")
		}
	}
}

func TestProvenAllocations(t *testing.T) {
	e := newProven()
	f := udpFlow(1)
	if n := testing.AllocsPerRun(100, func() { e.Prove(f); e.Proven(f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkProven(b *testing.B) {
	e := newProven()
	e.Prove(udpFlow(1))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e.Proven(udpFlow(i & 1023))
	}
}
