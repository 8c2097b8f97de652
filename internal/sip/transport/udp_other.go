//go:build !linux

package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

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
	l := s.l
	buf := make([]byte, maxDatagram)
	outbox := &Outbox{arena: new([arenaSize]byte), batch: &udpBatch{s}, listener: l}
	in := l.newInbound(outbox)
	for failures := 0; ; {
		n, remote, err := s.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			failures++
			if !l.backoff(failures, err) {
				return
			}
			continue
		}
		failures = 0
		local := l.addr.Addr()
		if l.wildcard {
			local = netip.Addr{}
		}
		l.receive(in, buf[:n], canonical(remote), local)
		l.m.opts.Traffic(UDP, true, 1, n)
		outbox.flush()
	}
}
