package transport

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// The sockets are not connected, so the kernel tells them of ICMP errors only when asked to
// (IP_RECVERR): each is put into a queue of its own, with the address that the datagram went to and
// with as much of the datagram as the ICMP message quotes. It also makes the next call on the
// socket fail, whatever that call is for.

const (
	quoted    = 1 << 10 // bytes of a datagram that matter: the topmost Via is near its start
	sendTries = 64      // how often a datagram is sent while the errors of others are in its way
)

// errorQueue is what errors are read into.
type errorQueue struct {
	v    *vector
	room [callSlots][quoted]byte
	n    int
	call func(fd uintptr)
}

// expectErrors asks for ICMP errors, if anybody wants to hear of them. A dual-stack socket gets
// those of IPv4 by the option of IPv4. Where there is none, nothing is heard.
func (s *udpSocket) expectErrors(fd int) {
	if s.l.m.opts.Unreachable == nil {
		return
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
	if s.is6 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
	}
}

// pending reports whether an error may belong to an earlier datagram.
func pending(errno unix.Errno) bool {
	switch errno {
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ENOPROTOOPT, unix.EHOSTDOWN,
		unix.ENONET, unix.EOPNOTSUPP, unix.EACCES, unix.EPROTO, unix.EMSGSIZE:
		return true
	}
	return false
}

// again reports whether a datagram that was not sent is tried again. Nothing but an earlier one is
// ever refused by its receiver; the other errors may be its own.
func again(errno unix.Errno, tries int) bool {
	if errno == unix.ECONNREFUSED {
		return tries < sendTries
	}
	return tries == 0 && pending(errno)
}

// wakeReader has the reader look for errors. It may be waiting, and would not hear of one that
// somebody else's call has taken.
func (s *udpSocket) wakeReader() {
	if s.l.m.opts.Unreachable != nil {
		_ = s.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// readErrors reads some of the errors that are queued. If there are more, the kernel says so at the
// next call.
func (s *udpSocket) readErrors() {
	if s.l.m.opts.Unreachable == nil {
		return
	}
	q := s.errors
	if q == nil {
		q = &errorQueue{v: newVector(callSlots)}
		for i := range q.room {
			q.v.expect(i, q.room[i][:])
		}
		q.call = func(fd uintptr) {
			q.n, _ = q.v.mmsgWith(unix.MSG_DONTWAIT|unix.MSG_ERRQUEUE, unix.SYS_RECVMMSG, fd, 0, callSlots)
		}
		s.errors = q
	}
	q.n = 0
	if s.raw.Control(q.call) != nil {
		return
	}
	for i := range q.n {
		if errno := q.v.unreachable(i); errno != 0 {
			s.l.m.opts.Unreachable(q.v.remote(i), q.room[i][:min(int(q.v.hdrs[i].n), quoted)], errno)
		}
		q.v.reset(i)
	}
}

// unreachable returns what the error in slot i is, if it means that a datagram did not arrive and
// none will: host, network, port or protocol are unreachable, or there is a problem with a
// parameter. That it lived too long, or must be cut into smaller fragments, is for the kernel (RFC
// 3261 §18.4).
func (v *vector) unreachable(i int) unix.Errno {
	rest := v.controls[i][:min(int(v.hdrs[i].Controllen), controlSize)]
	for len(rest) > 0 {
		hdr, data, next, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			break
		}
		rest = next
		if len(data) < 16 || !(hdr.Level == unix.IPPROTO_IP && hdr.Type == unix.IP_RECVERR ||
			hdr.Level == unix.IPPROTO_IPV6 && hdr.Type == unix.IPV6_RECVERR) {
			continue
		}
		// struct sock_extended_err
		errno := unix.Errno(binary.NativeEndian.Uint32(data))
		switch origin, kind, code := data[4], data[5], data[6]; {
		case origin == unix.SO_EE_ORIGIN_ICMP && kind == 3 && code != 4,
			origin == unix.SO_EE_ORIGIN_ICMP && kind == 12,
			origin == unix.SO_EE_ORIGIN_ICMP6 && (kind == 1 || kind == 4):
			return errno
		}
	}
	return 0
}
