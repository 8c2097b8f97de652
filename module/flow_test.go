package module_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/module"
)

func TestFlows(t *testing.T) {
	s := start(t, "")
	a := s.App()
	udp, tcp := s.UDP(), s.TCP()
	tcp.Nothing()

	f, ok := inside.AppOf(a).FlowTo(transport.UDP, udp.Addr, nil, netip.AddrPort{})
	if !ok || f.Local != s.Addr || f.Remote != udp.Addr || inside.AppOf(a).SentBy(f).Addr != s.Addr {
		t.Errorf("to a UDP peer: %+v, %v", f, ok)
	}
	if again, ok := inside.AppOf(a).FlowTo(transport.UDP, udp.Addr, f.Listener, netip.AddrPort{}); !ok || again != f {
		t.Errorf("by the same socket: %+v, %v", again, ok)
	}
	f, ok = inside.AppOf(a).FlowTo(transport.TCP, tcp.Addr, nil, netip.AddrPort{})
	if !ok || f.Remote != tcp.Addr || f.Conn == nil || inside.AppOf(a).SentBy(f).Addr != s.Addr {
		t.Errorf("down a connection: %+v, %v", f, ok)
	}
	// A socket on loopback leads nowhere else, and IPv4 to no IPv6.
	for _, addr := range []string{"192.0.2.1:5060", "[::1]:5060"} {
		if f, ok := inside.AppOf(a).FlowTo(transport.UDP, netip.MustParseAddrPort(addr), nil, netip.AddrPort{}); ok {
			t.Errorf("to %s: %+v", addr, f)
		}
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	remote := netip.MustParseAddrPort(l.Addr().String())
	if _, ok := inside.AppOf(a).FlowTo(transport.TCP, remote, nil, netip.AddrPort{}); ok {
		t.Error("there is a connection that nobody made")
	}
	for range 2 {
		if _, err := inside.AppOf(a).Engine.Transport.Dial(t.Context(), transport.TCP, remote); err != nil {
			t.Fatal(err)
		}
	}
	f, ok = inside.AppOf(a).FlowTo(transport.TCP, remote, nil, netip.AddrPort{})
	if !ok || f.Listener != nil || f.Local.Port() == s.Addr.Port() {
		t.Errorf("down our own connection: %+v, %v", f, ok)
	}
	// We are reached where we listen, not at that connection's port.
	if inside.AppOf(a).SentBy(f).Addr != s.Addr {
		t.Errorf("reached at %s", inside.AppOf(a).SentBy(f))
	}
}

// TestSipgo answers and asks with sipgo's types.
func TestSipgo(t *testing.T) {
	s := start(t, "@held method MESSAGE INVITE\nact @held hold")
	for _, p := range peers(s) {
		text := request("INVITE", "sip:bob@example.com", "{branch}", "z9hG4bKsipgo"+p.Transport())
		p.Send(text)
		h := <-holds
		tx, err := h.r.ServerTransaction()
		if err != nil {
			t.Fatal(err)
		}
		req, err := h.r.SIP()
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Respond(sip.NewResponseFromRequest(req, 180, "Ringing", nil)); err != nil {
			t.Fatal(err)
		}
		first := p.Expect("SIP/2.0 180 Ringing")
		// A transaction answers a retransmission from memory.
		p.Send(text)
		if p.Transport() == "UDP" {
			if again := p.Receive(); again.Text != first.Text {
				t.Errorf("got\n%s\nafter\n%s", again.Text, first.Text)
			}
		}
		if err := tx.Respond(sip.NewResponseFromRequest(req, 486, "Busy", nil)); err != nil {
			t.Fatal(err)
		}
		m := p.Expect("SIP/2.0 486 Busy")
		p.Ignore(m)
		p.Send(strings.NewReplacer("INVITE", "ACK", "To: <sip:bob@example.com>", "To: "+m.Header("To")).Replace(text))
		p.Nothing()
	}
	if len(holds) != 0 {
		t.Error("a retransmission has reached the handlers")
	}

	ua, err := sipgo.NewUA()
	if err != nil {
		t.Fatal(err)
	}
	defer ua.Close()
	client, err := s.App().Client(ua)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range peers(s) {
		p.Nothing()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		req := sip.NewRequest(sip.MESSAGE, sip.Uri{Scheme: "sip", User: "phone", Host: p.Addr.Addr().String(), Port: int(p.Addr.Port())})
		req.SetTransport(p.Transport())
		req.SetDestination(p.Addr.String())
		type answer struct {
			res *sip.Response
			err error
		}
		answers := make(chan answer, 1)
		go func() {
			res, err := client.Do(ctx, req)
			answers <- answer{res, err}
		}()
		m := p.Expect("MESSAGE sip:phone@" + p.Addr.String())
		p.Ignore(m)
		if !strings.HasPrefix(m.Header("Via"), fmt.Sprintf("SIP/2.0/%s %s;", p.Transport(), s.Addr)) {
			t.Errorf("got\n%s", m.Text)
		}
		p.Answer(m, "202 Accepted", "p")
		if a := <-answers; a.err != nil || a.res.StatusCode != 202 {
			t.Errorf("got %+v, %v", a.res, a.err)
		}
		cancel()
	}
}

func TestTransaction(t *testing.T) {
	s := start(t, "@held method MESSAGE\nact @held hold")
	p := s.UDP()
	text := request("MESSAGE", "sip:bob@example.com", "{branch}", "z9hG4bKtransaction")
	p.Send(text)
	h := <-holds
	for range 2 {
		if err := h.r.Transaction(nil); err != nil {
			t.Fatal(err)
		}
	}
	p.Send(text) // absorbed, there is no answer yet
	p.Nothing()
	res := &module.Response{Status: 200, ContentType: "text/plain", Body: []byte("hello"), Header: []byte("X-One: 1\r\n")}
	res.AddHeader("X-Two", "2\r\nX-Three: 3")
	if err := h.w.WriteResponse(res); err != nil {
		t.Fatal(err)
	}
	m := p.Expect("SIP/2.0 200 OK\r\n")
	if m.Header("X-One") != "1" || m.Header("X-Two") != "2  X-Three: 3" || m.Header("Content-Type") != "text/plain" || m.Body() != "hello" {
		t.Errorf("got\n%s", m.Text)
	}
	p.Send(text)
	if again := p.Receive(); again.Text != m.Text {
		t.Errorf("got\n%s\nafter\n%s", again.Text, m.Text)
	}
	p.Nothing()
	if len(holds) != 0 {
		t.Error("a retransmission has reached the handlers")
	}
}
