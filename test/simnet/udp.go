package simnet

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

const (
	maxPayload    = 65507   // of a datagram, over IPv4
	receiveBuffer = 4 << 20 // of a socket; what finds no room is lost
)

// UDPConn is a UDP socket.
type UDPConn struct {
	h    *Host
	addr netip.AddrPort

	wake     sync.Cond
	waiting  []datagram
	bytes    int
	closed   bool
	crashed  bool
	deadline deadline
}

type datagram struct {
	from, to netip.AddrPort
	data     []byte
}

// LocalAddr implements net.PacketConn.
func (c *UDPConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.addr) }

// AddrPort returns LocalAddr as a netip.AddrPort.
func (c *UDPConn) AddrPort() netip.AddrPort { return c.addr }

func (c *UDPConn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Addr: c.LocalAddr(), Err: err}
}

// ReadDatagram implements transport.PacketConn.
func (c *UDPConn) ReadDatagram(b []byte) (n int, remote, local netip.AddrPort, err error) {
	c.h.n.mu.Lock()
	defer c.h.n.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, remote, local, c.fail("read", net.ErrClosed)
		case len(c.waiting) > 0:
			d := c.waiting[0]
			c.waiting = c.waiting[1:]
			c.bytes -= len(d.data)
			return copy(b, d.data), d.from, d.to, nil
		case c.deadline.passed():
			return 0, remote, local, c.fail("read", os.ErrDeadlineExceeded)
		}
		c.wake.Wait()
	}
}

// ReadFrom implements net.PacketConn.
func (c *UDPConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, remote, _, err := c.ReadDatagram(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(remote), nil
}

// WriteDatagram implements transport.PacketConn. Without an IP in local, the host picks the
// address.
func (c *UDPConn) WriteDatagram(b []byte, remote, local netip.AddrPort) error {
	n := c.h.n
	n.mu.Lock()
	defer n.mu.Unlock()
	from := c.addr.Addr()
	if from.IsUnspecified() {
		if from = local.Addr(); !from.IsValid() {
			from = c.h.route(remote.Addr())
		}
	}
	switch {
	case c.closed:
		return c.fail("write", net.ErrClosed)
	case len(b) > maxPayload:
		return c.fail("write", syscall.EMSGSIZE)
	case !from.IsValid() || !c.h.has(from) || from.Is4() != remote.Addr().Is4():
		return c.fail("write", syscall.ENETUNREACH)
	}
	n.send(datagram{netip.AddrPortFrom(from, c.addr.Port()), remote, bytes.Clone(b)})
	return nil
}

// WriteTo implements net.PacketConn.
func (c *UDPConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if err := c.WriteDatagram(b, to.(*net.UDPAddr).AddrPort(), netip.AddrPort{}); err != nil {
		return 0, err
	}
	return len(b), nil
}

// send sends a datagram.
func (n *Net) send(d datagram) {
	p, l := n.path(d.from.Addr(), d.to.Addr()), n.draw(d.from, d.to)
	lost := p.Down || l.lost < p.Loss
	n.tap(Packet{At: time.Now(), From: d.from, To: d.to, Data: d.data, Lost: lost})
	if lost {
		return
	}
	travel := p.travel(l.jitter)
	if l.reorder < p.Reorder {
		travel += p.ReorderBy
	}
	n.after(travel, func() { n.arrive(d) })
	if l.duplicate < p.Duplicate {
		n.after(p.travel(l.second), func() { n.arrive(d) })
	}
}

// arrive delivers a datagram to the socket that is bound to its destination now.
func (n *Net) arrive(d datagram) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[d.to.Addr()]
	if h == nil {
		return
	}
	if c := h.udpAt(d.to); c != nil && c.bytes+len(d.data) <= receiveBuffer {
		c.waiting = append(c.waiting, d)
		c.bytes += len(d.data)
		c.wake.Signal()
	}
}

// Close implements net.PacketConn.
func (c *UDPConn) Close() error {
	c.h.n.mu.Lock()
	defer c.h.n.mu.Unlock()
	if c.crashed {
		return nil // there is nobody to tell
	}
	if c.closed {
		return c.fail("close", net.ErrClosed)
	}
	c.shut()
	return nil
}

func (c *UDPConn) shut() {
	c.closed = true
	c.deadline.stop()
	c.wake.Broadcast()
	if c.h.udp[c.addr] == c {
		delete(c.h.udp, c.addr)
	}
}

// SetDeadline implements net.PacketConn. Writing never waits.
func (c *UDPConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (c *UDPConn) SetReadDeadline(t time.Time) error {
	c.h.n.mu.Lock()
	defer c.h.n.mu.Unlock()
	c.deadline.set(t, &c.wake)
	return nil
}

// SetWriteDeadline implements net.PacketConn.
func (c *UDPConn) SetWriteDeadline(time.Time) error { return nil }

// deadline wakes the waiters of a socket when it has passed.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

func (d *deadline) set(t time.Time, wake *sync.Cond) {
	d.stop()
	d.at = t
	if !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), func() {
			wake.L.Lock()
			defer wake.L.Unlock()
			wake.Broadcast()
		})
	}
	wake.Broadcast()
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// Interface guard
var _ transport.PacketConn = (*UDPConn)(nil)
