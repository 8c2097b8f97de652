package transport

import (
	"context"
	"net"
	"net/netip"
)

// Net opens sockets. A Manager uses the operating system's unless Options.Net is set.
type Net interface {
	// ListenPacket opens a UDP socket. Its LocalAddr is a *net.UDPAddr.
	ListenPacket(addr netip.AddrPort) (PacketConn, error)
	// Listen opens a TCP socket. Its addresses, and those of what it accepts, are *net.TCPAddr.
	Listen(addr netip.AddrPort) (net.Listener, error)
	// Dial opens a TCP connection.
	Dial(ctx context.Context, remote netip.AddrPort) (net.Conn, error)
	// Route returns the address that packets to remote leave from, or an invalid one if there is no
	// route.
	Route(remote netip.Addr) netip.Addr
}

// PacketConn is a UDP socket that says which of our addresses a datagram was sent to, and that
// sends from a given one.
type PacketConn interface {
	net.PacketConn
	ReadDatagram(b []byte) (n int, remote, local netip.AddrPort, err error)
	WriteDatagram(b []byte, remote, local netip.AddrPort) error
}

// dialTCP opens a connection, with Options.Net if it is set.
func (m *Manager) dialTCP(ctx context.Context, remote netip.AddrPort) (net.Conn, error) {
	if m.opts.Net != nil {
		return m.opts.Net.Dial(ctx, remote)
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", remote.String())
}

// route returns the address that packets to remote leave from.
func (m *Manager) route(remote netip.Addr) netip.Addr {
	if m.opts.Net != nil {
		return m.opts.Net.Route(remote)
	}
	return lookupRoute(remote)
}

// openOn opens the listener's socket on a Net.
func (l *Listener) openOn(n Net) (err error) {
	switch l.network {
	case UDP:
		var conn PacketConn
		if conn, err = n.ListenPacket(l.addr); err == nil {
			l.packet = &packetSocket{l: l, conn: conn}
			l.addr = canonical(conn.LocalAddr().(*net.UDPAddr).AddrPort())
		}
	case TCP:
		if l.tcp, err = n.Listen(l.addr); err == nil {
			l.addr = canonical(l.tcp.Addr().(*net.TCPAddr).AddrPort())
		}
	default:
		err = errUnsupported
	}
	return err
}

// packetSocket is the UDP socket of a listener on a Net.
type packetSocket struct {
	l    *Listener
	conn PacketConn
}

// serve reads until the socket is closed. As on the system's sockets, what is sent while a datagram
// is handled leaves after it.
func (s *packetSocket) serve() {
	outbox := &Outbox{arena: new([arenaSize]byte), packets: &packetBatch{s: s}, listener: s.l}
	s.l.receiveFrom(outbox, func(b []byte) (int, netip.AddrPort, netip.Addr, error) {
		n, remote, local, err := s.conn.ReadDatagram(b)
		return n, remote, canonical(local).Addr(), err
	})
}

// packetBatch is what an Outbox has collected for a packetSocket.
type packetBatch struct {
	s       *packetSocket
	waiting []packet
}

type packet struct {
	remote, local netip.AddrPort
	data          []byte
}

func (b *packetBatch) add(remote, local netip.AddrPort, data []byte) {
	b.waiting = append(b.waiting, packet{remote, local, data})
}

// flush sends what was collected, and counts what cannot be sent. A nil batch has nothing.
func (b *packetBatch) flush() {
	if b == nil {
		return
	}
	for i, p := range b.waiting {
		_ = b.s.l.send(p.remote, p.local, p.data)
		b.waiting[i] = packet{}
	}
	b.waiting = b.waiting[:0]
}
