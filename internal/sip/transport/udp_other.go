//go:build !linux

package transport

import (
	"context"
	"net"
	"net/netip"
)

// choosesSource says that a wildcard socket cannot send from a given address.
const choosesSource = false

// udpSocket is the socket of a UDP address on systems without batches that Go can use. On a
// wildcard socket it is not known which of our addresses a datagram was sent to; the one that
// packets back would leave from is taken for it.
type udpSocket struct {
	l    *Listener
	conn *net.UDPConn
}

func (l *Listener) openUDP() error {
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(context.Background(), socketFamily("udp", l.addr.Addr()), l.addr.String())
	if err != nil {
		return err
	}
	s := &udpSocket{l: l, conn: pc.(*net.UDPConn)}
	if size := l.m.opts.ReadBuffer; size > 0 {
		_ = s.conn.SetReadBuffer(size) // the system may give less
	}
	l.udp = append(l.udp, s)
	l.addr = canonical(s.conn.LocalAddr().(*net.UDPAddr).AddrPort())
	return nil
}

func (s *udpSocket) close() error { return s.conn.Close() }

func (s *udpSocket) send(remote, _ netip.AddrPort, b []byte) error {
	_, err := s.conn.WriteToUDPAddrPort(b, remote)
	return err
}

// udpBatch sends at once.
type udpBatch struct{ s *udpSocket }

func (b *udpBatch) add(remote, local netip.AddrPort, data []byte) {
	_ = b.s.l.send(remote, local, data) // counted there
}

func (b *udpBatch) flush() {}

// serve reads until the socket is closed.
func (s *udpSocket) serve() {
	local := s.l.addr.Addr()
	if s.l.wildcard {
		local = netip.Addr{}
	}
	outbox := &Outbox{arena: new([arenaSize]byte), batch: &udpBatch{s}, listener: s.l}
	s.l.receiveFrom(outbox, func(b []byte) (int, netip.AddrPort, netip.Addr, error) {
		n, remote, err := s.conn.ReadFromUDPAddrPort(b)
		return n, remote, local, err
	})
}
