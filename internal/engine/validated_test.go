package engine

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/seen"
	"github.com/caddysip/caddysip/internal/sip/transport"
)

func udpFlow(n int) transport.Flow {
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], uint32(n)|10<<24)
	return transport.Flow{Network: transport.UDP, Remote: netip.AddrPortFrom(netip.AddrFrom4(ip), 5060)}
}

func newEngineForValidation() *Engine {
	return &Engine{validated: seen.New(validatedBits)}
}

func TestValidated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngineForValidation()
		f := udpFlow(1)
		if e.Validated(f) {
			t.Error("a source is validated before anything was received from it")
		}
		e.MarkValidated(f)
		other := f
		other.Remote = netip.AddrPortFrom(f.Remote.Addr(), 5061)
		if !e.Validated(f) || e.Validated(other) || e.Validated(udpFlow(2)) {
			t.Error("validated is not exactly the address and port that were marked")
		}
		tcp := udpFlow(3)
		tcp.Network = transport.TCP
		e.MarkValidated(tcp)
		if !e.Validated(tcp) || e.Validated(udpFlow(3)) {
			t.Error("marking a stream validates the source of datagrams")
		}

		time.Sleep(validatedTime - 2*time.Minute)
		e.MarkValidated(udpFlow(2))
		if !e.Validated(f) {
			t.Error("validated for less than an hour")
		}
		time.Sleep(2*time.Minute - 1)
		if !e.Validated(f) {
			t.Error("validated for less than an hour")
		}
		time.Sleep(time.Nanosecond)
		if e.Validated(f) || !e.Validated(udpFlow(2)) {
			t.Error("after an hour not exactly the first source is forgotten")
		}
		e.MarkValidated(f)
		if !e.Validated(f) {
			t.Error("a source cannot be validated again")
		}
	})
}

// TestValidatedFull marks many more sources than there is room for: the memory stays the same, and
// no source is validated that was not marked.
func TestValidatedFull(t *testing.T) {
	e := newEngineForValidation()
	n := 4 * e.validated.Room()
	for i := range n {
		e.MarkValidated(udpFlow(i))
		if !e.Validated(udpFlow(i)) {
			t.Fatalf("%d is not validated", i)
		}
	}
	known := 0
	for i := range n {
		if e.Validated(udpFlow(i)) {
			known++
		}
	}
	if most := e.validated.Room(); known > most || known < most*9/10 {
		t.Errorf("%d are known, there is room for %d", known, most)
	}
	for i := range 100_000 {
		if e.Validated(udpFlow(n + i)) {
			t.Fatal("a source is validated that was never marked")
		}
	}
}

func TestValidatedAllocations(t *testing.T) {
	e := newEngineForValidation()
	f := udpFlow(1)
	if n := testing.AllocsPerRun(100, func() { e.MarkValidated(f); e.Validated(f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkValidated(b *testing.B) {
	e := newEngineForValidation()
	e.MarkValidated(udpFlow(1))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e.Validated(udpFlow(i & 1023))
	}
}
