//go:build !race

package allocations

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/proxy"
	_ "github.com/caddysip/caddysip/handler/register"
	_ "github.com/caddysip/caddysip/handler/respond"
	_ "github.com/caddysip/caddysip/handler/snomlrc"
	"github.com/caddysip/caddysip/wire"
)

// TestAllocations has each operation of bench/ not allocate more than it did when this was written.
// More may be worth it, but not unseen.
func TestAllocations(t *testing.T) {
	// Each processor has pools of its own.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s := handlertest.Start(t, "snom_lrc\nregister\nproxy\nrespond 404")
	alice, bob := newPhone(t, s.Addr, "alice"), newPhone(t, s.Addr, "bob")
	bob.register(0)
	for _, op := range []struct {
		name        string
		do          func(n int)
		most, bytes float64
	}{
		{"REGISTER", alice.register, 1.5, 250},
		{"OPTIONS", alice.options, 0.5, 150},
		{"tutorial", alice.tutorial, 14, 1700},
		{"call", func(n int) { alice.callTo(bob, n) }, 31, 10_000},
	} {
		t.Run(op.name, func(t *testing.T) {
			const warm, n = 300, 1000
			for i := range warm {
				op.do(i)
			}
			defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it empties the pools
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for i := range n {
				op.do(warm + i)
			}
			runtime.ReadMemStats(&after)
			each := float64(after.Mallocs-before.Mallocs) / n
			size := float64(after.TotalAlloc-before.TotalAlloc) / n
			t.Logf("%.2f allocations of %.0f bytes", each, size)
			if each > op.most {
				t.Errorf("%.2f allocations each, not %v at most", each, op.most)
			}
			if size > op.bytes {
				t.Errorf("%.0f bytes each, not %v at most", size, op.bytes)
			}
		})
	}
}

// phone is a peer that allocates nothing itself.
type phone struct {
	t       *testing.T
	conn    *net.UDPConn
	server  netip.AddrPort
	user    string
	contact string // a URI
	in      []byte
	msg     wire.Message
	out     []byte
	call    []byte // the Call-ID of its latest request
	route   []byte
	to      []byte
}

func newPhone(t *testing.T, server netip.AddrPort, user string) *phone {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &phone{
		t: t, conn: conn, server: server, user: user, in: make([]byte, 64<<10), out: make([]byte, 0, 64<<10),
		contact: fmt.Sprintf("sip:%s@%s", user, conn.LocalAddr()),
	}
}

// request begins a request, whose branch and Call-ID have the number n.
func (p *phone) request(method, uri, what string, n, cseq int) {
	id := func(b []byte) []byte {
		b = append(append(append(b, p.user...), what...), '-')
		return appendInt(b, n)
	}
	b := append(append(append(append(p.out[:0], method...), ' '), uri...), " SIP/2.0\r\nVia: SIP/2.0/UDP "...)
	b = append(append(b, p.contact[strings.IndexByte(p.contact, '@')+1:]...), ";branch=z9hG4bK-"...)
	b = appendInt(append(id(b), '-'), cseq)
	b = append(append(b, ";rport\r\nMax-Forwards: 70\r\nFrom: <sip:"...), p.user...)
	b = append(append(b, "@127.0.0.1>;tag="...), p.user...)
	b = append(b, "\r\nCall-ID: "...)
	p.call = id(p.call[:0])
	b = append(append(b, p.call...), "\r\nCSeq: "...)
	b = append(append(append(appendInt(b, cseq), ' '), method...), "\r\nContact: <"...)
	p.out = append(append(b, p.contact...), ">\r\n"...)
}

func appendInt(b []byte, n int) []byte {
	for d := 100_000; d > 0; d /= 10 {
		b = append(b, byte('0'+n/d%10))
	}
	return b
}

func (p *phone) line(name string, value []byte) { p.out = wire.AppendHeader(p.out, name, value) }

func (p *phone) send() {
	p.out = append(p.out, "Content-Length: 0\r\n\r\n"...)
	p.write(p.out)
}

func (p *phone) write(b []byte) {
	if _, err := p.conn.WriteToUDPAddrPort(b, p.server); err != nil {
		p.t.Fatal(err)
	}
}

// expect reads a request with that method, or a response with that status, of a call. It reads over
// anything else: on a machine that stops for half a second something is repeated.
func (p *phone) expect(method wire.Method, status int, call []byte) {
	p.t.Helper()
	for {
		n, _, err := p.conn.ReadFromUDPAddrPort(p.in)
		if err != nil {
			p.t.Fatalf("waiting for %v %d: %v; the last was\n%s", method, status, err, p.msg.Raw)
		}
		if err := p.msg.Parse(p.in[:n]); err != nil {
			p.t.Fatal(err)
		}
		if p.msg.Method == method && p.msg.Status == status &&
			(call == nil || bytes.Equal(p.msg.Header(wire.CallID), call)) {
			return
		}
	}
}

// answer answers the request that was read last.
func (p *phone) answer(status int, tag string) {
	o := &wire.ResponseOptions{ToTag: []byte(tag), RecordRoute: true}
	p.out = append(append(append(p.out[:0], "Contact: <"...), p.contact...), ">\r\n"...)
	o.Header = p.out
	p.write(p.msg.AppendResponse(p.out[len(p.out):], status, "OK", p.server, o))
}

// remember keeps what a dialog needs of the response that was read last.
func (p *phone) remember() {
	p.route = append(p.route[:0], p.msg.Header(wire.RecordRoute)...)
	p.to = append(p.to[:0], p.msg.Header(wire.To)...)
}

var registrar, options, dialled = "sip:127.0.0.1", "sip:nobody@127.0.0.1", "sip:433@127.0.0.1"

func (p *phone) register(n int) {
	p.request("REGISTER", registrar, "register", 0, 1+n)
	p.out = append(append(append(p.out, "To: <sip:"...), p.user...), "@127.0.0.1>\r\nExpires: 600\r\n"...)
	p.send()
	p.expect(wire.REGISTER, 200, p.call)
}

func (p *phone) options(n int) {
	p.request("OPTIONS", options, "options", n, 1)
	p.out = append(append(append(p.out, "To: <"...), options...), ">\r\n"...)
	p.send()
	p.expect(wire.OPTIONS, 404, p.call)
}

func (p *phone) tutorial(n int) {
	p.request("INVITE", dialled, "tutorial", n, 1)
	p.out = append(append(append(p.out, "To: <"...), dialled...), ">\r\nUser-Agent: snom370/8.7\r\n"...)
	p.send()
	p.expect(wire.INVITE, 404, p.call)
	p.remember()
	p.expect(wire.MESSAGE, 0, nil)
	p.answer(200, "m")
	p.request("ACK", dialled, "tutorial", n, 1)
	p.line("To", p.to)
	p.send()
}

func (p *phone) callTo(callee *phone, n int) {
	p.request("INVITE", "sip:bob@127.0.0.1", "call", n, 1)
	p.out = append(p.out, "To: <sip:bob@127.0.0.1>\r\n"...)
	p.send()
	p.expect(wire.INVITE, 100, p.call)
	callee.expect(wire.INVITE, 0, p.call)
	callee.answer(180, "b")
	p.expect(wire.INVITE, 180, p.call)
	callee.answer(200, "b")
	p.expect(wire.INVITE, 200, p.call)
	p.remember()
	p.request("ACK", callee.contact, "call", n, 2)
	p.withinCall()
	callee.expect(wire.ACK, 0, p.call)
	p.request("BYE", callee.contact, "call", n, 3)
	p.withinCall()
	callee.expect(wire.BYE, 0, p.call)
	callee.answer(200, "b")
	p.expect(wire.BYE, 200, p.call)
}

func (p *phone) withinCall() {
	p.line("Route", p.route)
	p.line("To", p.to)
	p.send()
}
