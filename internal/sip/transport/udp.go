package transport

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"
)

const (
	// maxDatagram is at least the size of any UDP payload.
	maxDatagram = 64 << 10
	// minDatagram is shorter than any SIP message: "A B SIP/2.0" and a line end.
	minDatagram = 13
	// sendTimeout is how long the replies to a batch may wait for room in the send buffer.
	sendTimeout = 50 * time.Millisecond
)

// newInbound returns the Inbound that a reader of l reuses for each datagram.
func (l *Listener) newInbound(o *Outbox) *Inbound {
	o.in = &Inbound{Flow: Flow{Network: UDP, Listener: l}, Outbox: o}
	return o.in
}

// receive passes one datagram to the handler. local is invalid if the kernel didn't report it.
func (l *Listener) receive(in *Inbound, data []byte, remote netip.AddrPort, local netip.Addr) {
	// Empty lines before a message are skipped (RFC 3261 §7.5). A datagram of nothing else, or of
	// NULs, keeps a NAT binding open.
	start := 0
	for start < len(data) && (data[start] == '\r' || data[start] == '\n' || data[start] == 0) {
		start++
	}
	data = data[start:]
	switch {
	case len(data) == 0:
		l.m.opts.Dropped(DropKeepAlive)
		l.m.opts.KeepAlive(Flow{Network: UDP, Remote: remote, Listener: l})
		return
	case len(data) < minDatagram:
		l.m.opts.Dropped(DropShort)
		return
	case len(data) > l.Limits().Datagram:
		l.m.opts.Dropped(DropTooLarge)
		return
	}
	in.Flow.Remote = remote
	// A multicast address can't be sent from.
	if local.IsValid() && !local.IsUnspecified() && !local.IsMulticast() {
		in.Flow.Local = netip.AddrPortFrom(local, l.addr.Port())
	} else {
		in.Flow.Local = l.localFor(remote.Addr())
	}
	in.Data = data[:len(data):len(data)]
	l.m.handler.HandleMessage(in)
}

// receiveFrom passes datagrams to the handler as read returns them, until the socket is closed.
// What is sent while a datagram is handled leaves after it. local is as for receive.
func (l *Listener) receiveFrom(
	outbox *Outbox,
	read func(b []byte) (n int, remote netip.AddrPort, local netip.Addr, err error),
) {
	buf := make([]byte, maxDatagram)
	in := l.newInbound(outbox)
	for failures := 0; ; {
		n, remote, local, err := read(buf)
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
		l.receive(in, buf[:n], canonical(remote), local)
		l.m.opts.Traffic(UDP, true, 1, n)
		outbox.flush()
	}
}

// send sends one datagram at once.
func (l *Listener) send(remote, local netip.AddrPort, b []byte) error {
	if l.isClosed() {
		// Another listener may have the address by now.
		if other := l.m.covering(local); other != nil {
			return other.send(remote, local, b)
		}
		return ErrClosed
	}
	var err error
	if l.packet != nil {
		err = l.packet.conn.WriteDatagram(b, remote, local)
	} else {
		err = l.udp[0].send(remote, local, b)
	}
	switch {
	case err == nil:
		l.m.opts.Traffic(UDP, false, 1, len(b))
	case err == ErrWouldBlock:
		l.m.opts.Dropped(DropSendBuffer)
	default:
		l.m.opts.Dropped(DropSendError)
		l.routes.forget(remote.Addr())
		err = &net.OpError{Op: "write", Net: "udp", Source: net.UDPAddrFromAddrPort(local), Addr: net.UDPAddrFromAddrPort(remote), Err: err}
	}
	return err
}

// backoff is called when reading has failed n times in a row. It waits a moment and reports whether
// to go on: a socket is read until it is closed, whatever happens.
func (l *Listener) backoff(n int, err error) bool {
	if l.isClosed() {
		return false
	}
	l.m.opts.Dropped(DropReadError)
	l.m.readLog.Log(l.m.opts.Logger, zap.WarnLevel, "reading from a UDP socket failed, trying again",
		zap.Stringer("address", l.addr), zap.Error(err))
	wait := time.NewTimer(min(time.Millisecond<<min(n, 10), 100*time.Millisecond))
	defer wait.Stop()
	select {
	case <-l.closed:
		return false
	case <-wait.C:
		return true
	}
}
