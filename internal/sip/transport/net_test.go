package transport_test

import (
	"io"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/test/simnet"
)

// echo sends back what arrives.
type echo struct{ closed atomic.Int32 }

func (e *echo) HandleMessage(in *transport.Inbound) {
	_ = in.Outbox.Send(in.Flow, append(in.Outbox.Buffer(), in.Data...))
}

func (e *echo) ConnClosed(*transport.Conn, error) { e.closed.Add(1) }

const ping = "OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n"

// TestNet runs a manager on a network in memory: datagrams to each of its addresses, connections
// both ways, and an end that leaves nothing behind.
func TestNet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		n.SetPaths(simnet.Path{Delay: 5 * time.Millisecond})
		server, phone := n.Host("192.0.2.1", "192.0.2.9"), n.Host("192.0.2.2")
		var e echo
		m := transport.NewManager(&e, transport.Options{Net: server})
		at := netip.MustParseAddrPort("[::]:5060")
		for _, network := range []transport.Network{transport.UDP, transport.TCP} {
			if _, err := m.Listen(network, at); err != nil {
				t.Fatal(err)
			}
		}
		socket, err := phone.ListenUDP(netip.MustParseAddrPort("192.0.2.2:5060"))
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		buf := make([]byte, 1000)
		for _, to := range []string{"192.0.2.1:5060", "192.0.2.9:5060"} {
			to := netip.MustParseAddrPort(to)
			if err := socket.WriteDatagram([]byte(ping), to, netip.AddrPort{}); err != nil {
				t.Fatal(err)
			}
			size, from, _, err := socket.ReadDatagram(buf)
			if err != nil || string(buf[:size]) != ping || from != to {
				t.Errorf("%q comes back from %s: %v", buf[:size], from, err)
			}
		}

		c, err := phone.Dial(t.Context(), netip.MustParseAddrPort("192.0.2.1:5060"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, ping); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf[:len(ping)]); err != nil || string(buf[:len(ping)]) != ping {
			t.Errorf("%q comes back: %v", buf[:len(ping)], err)
		}

		// Out of its own accord.
		f, err := m.Dial(t.Context(), transport.UDP, socket.AddrPort())
		if err == nil {
			err = f.Send([]byte(ping))
		}
		if _, from, _, e := socket.ReadDatagram(buf); err != nil || e != nil || from.String() != "192.0.2.1:5060" {
			t.Errorf("a datagram from %s: %v, %v", from, err, e)
		}
		l, err := phone.Listen(netip.MustParseAddrPort("192.0.2.2:5060"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if f, err = m.Dial(t.Context(), transport.TCP, socket.AddrPort()); err == nil {
			err = f.Send([]byte(ping))
		}
		if err != nil {
			t.Fatal(err)
		}
		d, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(d); err != nil || !strings.HasPrefix(ping, string(got)) || len(got) != len(ping) {
			t.Errorf("%q of a connection that was made: %v", got, err)
		}
		if _, err := c.Read(buf); err != io.EOF {
			t.Errorf("the server has closed: %v", err)
		}
		if n := e.closed.Load(); n != 2 {
			t.Errorf("%d connections were reported closed", n)
		}
		c.Close()
		d.Close()
	})
}
