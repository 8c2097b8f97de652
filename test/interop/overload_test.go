//go:build interop

package interop

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var floodTime = flag.Duration("flood.time", 4*time.Second, "how long the flood lasts")

// TestOverload floods the server with calls to a phone that never answers. It goes on taking as
// many as it can, refuses the others, and what belongs to calls that are there, phones that
// register and the admin API are answered meanwhile. When the flood ends a call gets through at
// once.
func TestOverload(t *testing.T) {
	s := start(t, binary, strings.Replace(lamps, "\t\t\tlog\n", "", 1))
	dead := freeAddr(t)
	s.register(t, "999", port(dead), udp)
	silent, err := net.ListenPacket("udp", dead)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_ = silent.(*net.UDPConn).SetReadBuffer(8 << 20)
	var arrived atomic.Int64
	go func() {
		for buf := make([]byte, 2048); ; {
			n, _, err := silent.ReadFrom(buf)
			if err != nil {
				return
			}
			if strings.HasPrefix(string(buf[:n]), "INVITE") {
				arrived.Add(1)
			}
		}
	}()

	// Calls that are there when the flood begins and end in the middle of it.
	const calls = 20
	callee := port(freeAddr(t))
	s.register(t, "106", callee, udp)
	uas := s.sipp(t, "uas.xml", callee, udp, "-m", fmt.Sprint(calls), "-d", "9000") // its answer to BYE may be lost
	uas.bound(t, callee, udp)
	half := *floodTime / 2
	uac := s.sipp(t, "uac.xml", port(freeAddr(t)), udp, "-s", "106", "-m", fmt.Sprint(calls), "-r", "100", "-d", fmt.Sprint((half + time.Second).Milliseconds()))
	poll(t, "the calls are there", func() bool { return s.metricOr0(t, `caddy_sip_requests_total{method="INVITE",status="200"}`) == calls })

	done := make(chan struct{})
	var flood sync.WaitGroup
	var sent atomic.Int64
	flood.Go(func() { sent.Store(s.flood(t, done)) })
	phone := s.asker(t, s.addr, "phone", udp, 10_000)
	flood.Go(func() { keepAsking([]*asker{phone}, 100, done) })
	var slowest time.Duration
	for end := time.Now().Add(*floodTime); time.Now().Before(end); {
		began := time.Now()
		res, err := http.Get("http://" + s.admin + "/config/apps/sip/servers")
		if err != nil {
			t.Error(err)
			break
		}
		res.Body.Close()
		slowest = max(slowest, time.Since(began))
	}
	before := arrived.Load()
	close(done)
	flood.Wait()
	over := time.Now()
	s.takesCalls(t)
	normal := time.Since(over)
	phone.finish()
	uac.wait(t)
	uas.wait(t)

	// After the flood.
	callee = port(freeAddr(t))
	s.register(t, "107", callee, udp)
	uas = s.sipp(t, "uas.xml", callee, udp, "-m", "1")
	uas.bound(t, callee, udp)
	s.sipp(t, "uac.xml", port(freeAddr(t)), udp, "-s", "107", "-m", "1").wait(t)
	uas.wait(t)
	t.Logf("in %v %d calls were sent, %d taken, %.0f refused, %.0f dropped and %.0f lost in the receive buffer; %d requests of a phone answered, %d of them sent again; "+
		"the admin API took %v at most; %v after the flood all calls were taken",
		*floodTime, sent.Load(), before, s.metricOr0(t, `caddy_sip_dropped_total{reason="overload_refused"}`), s.metricOr0(t, `caddy_sip_dropped_total{reason="overload"}`), s.metricOr0(t, `caddy_sip_dropped_total{reason="receive_buffer"}`),
		phone.answered, phone.repeated, slowest, normal)
}

// takesCalls waits until a call from anywhere is taken: each of the server's readers serves some of
// the ports.
func (s *server) takesCalls(t *testing.T) {
	t.Helper()
	buf := make([]byte, 4096)
	for port := range 16 {
		c, err := net.Dial("udp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		poll(t, "a call is taken", func() bool {
			id := fmt.Sprint("after-", port, "-", time.Now().UnixNano())
			fmt.Fprintf(c, "INVITE sip:999@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;rport;branch=z9hG4bK-%s\r\nMax-Forwards: 70\r\nFrom: <sip:after@127.0.0.1>;tag=a\r\nTo: <sip:999@127.0.0.1>\r\n"+
				"Contact: <sip:after@%[2]s>\r\nCall-ID: %[3]s\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n", s.addr, c.LocalAddr(), id)
			c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			for {
				n, err := c.Read(buf)
				if err != nil {
					return false // it was dropped, or is still waiting
				}
				if answer := string(buf[:n]); strings.Contains(answer, id) {
					return strings.HasPrefix(answer, "SIP/2.0 100")
				}
			}
		})
	}
}

// flood calls 999 as fast as it can, until it is done, and tells how often.
func (s *server) flood(t *testing.T, done <-chan struct{}) (n int64) {
	conn, err := net.Dial("udp", s.addr)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer conn.Close()
	head := "INVITE sip:999@" + s.addr + " SIP/2.0\r\nVia: SIP/2.0/UDP " + conn.LocalAddr().String() + ";rport;branch=z9hG4bK-flood-"
	tail := "\r\nMax-Forwards: 70\r\nFrom: <sip:flood@127.0.0.1>;tag=f\r\nTo: <sip:999@127.0.0.1>\r\nContact: <sip:flood@" + conn.LocalAddr().String() +
		">\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\nCall-ID: flood-"
	var text []byte
	for ; ; n++ {
		if n%64 == 0 {
			select {
			case <-done:
				return n
			default:
			}
		}
		text = fmt.Appendf(text[:0], "%s%d%s%d\r\n\r\n", head, n, tail, n)
		_, _ = conn.Write(text) // what is refused is refused
	}
}
