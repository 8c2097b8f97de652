package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// choosesSource says that a wildcard socket can send from a given address.
const choosesSource = true

// udpSocket is one of the sockets that share a UDP address.
type udpSocket struct {
	l    *Listener
	conn *net.UDPConn
	raw  syscall.RawConn
	is6  bool

	errors *errorQueue // the reader's; nil: none was read yet
}

// openUDP opens the sockets of the listener. SO_REUSEPORT lets them share the address, but it would
// also let us share it with another process without noticing. So the first is bound without the
// option, which fails if anybody else is there, and the option set on it afterwards lets the others
// in.
func (l *Listener) openUDP() error {
	first, err := l.openSocket(l.addr, l.shared)
	if err != nil {
		return err
	}
	l.udp = append(l.udp, first)
	l.addr = canonical(first.conn.LocalAddr().(*net.UDPAddr).AddrPort())
	if l.m.opts.UDPSockets > 1 {
		if err := first.control(reusePort); err != nil {
			return err
		}
	}
	for len(l.udp) < l.m.opts.UDPSockets {
		s, err := l.openSocket(l.addr, true)
		if err != nil {
			return err
		}
		l.udp = append(l.udp, s)
	}
	return nil
}

func (l *Listener) openSocket(addr netip.AddrPort, shared bool) (*udpSocket, error) {
	s := &udpSocket{l: l, is6: addr.Addr().Is6()}
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		s.raw = raw
		if shared {
			if err := s.control(reusePort); err != nil {
				return err
			}
		}
		return s.control(s.setOptions)
	}}
	pc, err := lc.ListenPacket(context.Background(), socketFamily("udp", addr.Addr()), addr.String())
	if err != nil {
		return nil, err
	}
	s.conn = pc.(*net.UDPConn)
	if s.raw, err = s.conn.SyscallConn(); err != nil {
		s.conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *udpSocket) control(f func(fd int) error) error { return control(s.raw, f) }

func control(raw syscall.RawConn, f func(fd int) error) (err error) {
	if e := raw.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil {
		return e
	}
	return err
}

func reusePort(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
}

func (s *udpSocket) setOptions(fd int) error {
	// Package net lets every socket send to broadcast addresses. No SIP goes there.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 0); err != nil {
		return err
	}
	// The first needs a privilege and exceeds the system's limit, the second stays within it.
	// Either may give less.
	if size := s.l.m.opts.ReadBuffer; size > 0 && unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	}
	// Both are for noticing overload. An old kernel doesn't know the first; then overload isn't
	// noticed.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
	s.expectErrors(fd)
	if !s.l.wildcard {
		return nil
	}
	// On a dual-stack socket, IPv4 has its own packet information, with our address even for a
	// broadcast.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1); err != nil {
		return err
	}
	if s.is6 {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
	return nil
}

func (s *udpSocket) close() error { return s.conn.Close() }

// reachable reports whether an address can be written in the family of this socket.
func (s *udpSocket) reachable(a netip.AddrPort) bool { return a.IsValid() && (s.is6 || a.Addr().Is4()) }

// single is the arguments of a system call that sends one datagram outside a batch.
type single struct {
	v     *vector
	call  func(fd uintptr)
	errno unix.Errno
}

var singles = sync.Pool{New: func() any {
	o := &single{v: newVector(1)}
	o.call = func(fd uintptr) { _, o.errno = o.v.mmsg(unix.SYS_SENDMMSG, fd, 0, 1) }
	return o
}}

// send sends one datagram. RawConn.Control does not take the descriptor's write lock, so it never
// waits for a batch that is waiting.
func (s *udpSocket) send(remote, local netip.AddrPort, b []byte) error {
	if !s.reachable(remote) {
		return unix.EAFNOSUPPORT
	}
	o := singles.Get().(*single)
	defer func() {
		o.v.iovs[0].Base = nil
		singles.Put(o)
	}()
	o.v.fill(0, s, remote, local, b)
	for try := 0; ; try++ {
		if err := s.raw.Control(o.call); err != nil {
			return err
		}
		if pending(o.errno) {
			s.wakeReader() // who gets a pending error has taken it from the reader
		}
		switch {
		case o.errno == 0:
			return nil
		case o.errno == unix.EAGAIN:
			return ErrWouldBlock
		case !again(o.errno, try):
			return o.errno
		}
	}
}

// localOf returns the address that the datagram in slot i was sent to.
func (s *udpSocket) localOf(v *vector, i int) netip.Addr {
	if !s.l.wildcard {
		return s.l.addr.Addr()
	}
	return v.local(i)
}

// udpBatch is what an Outbox has collected for one socket.
type udpBatch struct {
	s       *udpSocket
	v       *vector
	n       int  // slots filled
	done    int  // slots sent or dropped
	tries   int  // how often the slot done was tried
	failed  bool // an error was pending, or may have been: the reader looks for it after the batch
	waiting bool
	write   func(fd uintptr) bool
	mmsg    func(call, fd uintptr, from, to int) (int, unix.Errno) // the system call; tests replace it

	sent, bytes int
}

func newBatch(s *udpSocket) *udpBatch {
	b := &udpBatch{s: s, v: newVector(batchSize)}
	b.write, b.mmsg = b.writeSlots, b.v.mmsg
	return b
}

func (b *udpBatch) add(remote, local netip.AddrPort, data []byte) {
	if !b.s.reachable(remote) {
		b.s.l.m.opts.Dropped(DropSendError)
		return
	}
	if b.n == batchSize {
		b.flush()
	}
	b.v.fill(b.n, b.s, remote, local, data)
	b.n++
}

// flush sends what was collected. A datagram that the kernel refuses is skipped. If there is no
// room in the send buffer the rest waits for it, but not for long, because the reader must go on
// reading.
func (b *udpBatch) flush() {
	if b.n == 0 {
		return
	}
	err := b.s.raw.Write(b.write)
	if b.waiting {
		b.waiting = false
		_ = b.s.conn.SetWriteDeadline(time.Time{})
	}
	reason := DropSendError // the socket is closed
	if errors.Is(err, os.ErrDeadlineExceeded) {
		reason = DropSendBuffer
	}
	for ; b.done < b.n; b.done++ {
		b.s.l.m.opts.Dropped(reason)
	}
	if b.sent > 0 {
		b.s.l.m.opts.Traffic(UDP, false, b.sent, b.bytes)
	}
	for i := range b.n {
		b.v.iovs[i].Base = nil // don't keep alive what is not in the arena
	}
	b.n, b.done, b.tries, b.sent, b.bytes = 0, 0, 0, 0, 0
}

// writeSlots returns false to wait until the socket can be written to.
func (b *udpBatch) writeSlots(fd uintptr) bool {
	for b.done < b.n {
		to := b.v.until(b.done, b.n)
		n, errno := b.mmsg(unix.SYS_SENDMMSG, fd, b.done, to)
		for range n {
			b.bytes += int(b.v.hdrs[b.done].n)
			b.done++
			b.tries = 0
		}
		b.sent += n
		// When some were sent, the kernel keeps to itself why the next was not.
		b.failed = b.failed || pending(errno) || errno == 0 && b.done < to
		switch {
		case errno == 0:
		case errno == unix.EAGAIN:
			if !b.waiting {
				b.waiting = true
				_ = b.s.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
			}
			return false
		case again(errno, b.tries):
			b.tries++
		default:
			b.s.l.m.opts.Dropped(DropSendError)
			b.done++
			b.tries = 0
		}
	}
	return true
}

// serve reads until the socket is closed.
func (s *udpSocket) serve() {
	l := s.l
	v := newVector(batchSize)
	const size = maxDatagram
	buf := make([]byte, batchSize*size)
	for i := range batchSize {
		v.expect(i, buf[i*size:(i+1)*size])
	}
	batch := newBatch(s)
	outbox := &Outbox{arena: new([arenaSize]byte), batch: batch, listener: l}
	in := l.newInbound(outbox)
	in.load = new(load)
	var lost uint32

	var n int
	var errno unix.Errno
	read := func(fd uintptr) bool {
		var failed bool
		n, failed, errno = v.receive(fd)
		batch.failed = batch.failed || failed
		return errno != unix.EAGAIN || batch.failed
	}
	for failures := 0; ; {
		err := s.raw.Read(read)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if errors.Is(err, os.ErrDeadlineExceeded) { // see wakeReader
			_ = s.conn.SetReadDeadline(time.Time{})
			n, errno, err, batch.failed = 0, 0, nil, true
		}
		if batch.failed {
			batch.failed = false
			s.readErrors()
		}
		if err == nil && errno != 0 {
			if errno == unix.EAGAIN || pending(errno) {
				continue
			}
			err = errno
		}
		if err != nil {
			failures++
			if !l.backoff(failures, err) {
				return
			}
			continue
		}
		failures = 0
		if n == 0 {
			continue // it was woken for the errors alone
		}
		if n == batchSize || in.load.watched() {
			at, all := v.arrival(n - 1)
			if now := time.Now(); !at.IsZero() {
				in.load.observe(now, now.Sub(at), all > lost)
			}
			for ; lost < all; lost++ {
				l.m.opts.Dropped(DropReceiveBuffer)
			}
		}
		bytes := 0
		for i := range n {
			bytes += int(v.hdrs[i].n)
			if v.hdrs[i].Flags&unix.MSG_TRUNC != 0 {
				l.m.opts.Dropped(DropTooLarge)
			} else {
				l.receive(in, buf[i*size:i*size+int(v.hdrs[i].n)], v.remote(i), s.localOf(v, i))
			}
			v.reset(i)
		}
		if n > 0 {
			l.m.opts.Traffic(UDP, true, n, bytes)
		}
		outbox.flush()
	}
}
