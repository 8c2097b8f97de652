package transport

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	nameSize = unix.SizeofSockaddrInet6
	// controlSize has room for both kinds of packet information, which a dual-stack socket reports
	// for IPv4, a timestamp, and a count or an error with who reports it.
	controlSize = 192
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	n uint32 // bytes received or sent
}

// vector is the arguments of recvmmsg and sendmmsg, allocated once and used for every call.
type vector struct {
	hdrs     []mmsghdr
	iovs     []unix.Iovec
	names    [][nameSize]byte
	controls [][controlSize]byte
}

func newVector(n int) *vector {
	v := &vector{
		hdrs:     make([]mmsghdr, n),
		iovs:     make([]unix.Iovec, n),
		names:    make([][nameSize]byte, n),
		controls: make([][controlSize]byte, n),
	}
	for i := range v.hdrs {
		v.hdrs[i].Iov = &v.iovs[i]
		v.hdrs[i].SetIovlen(1)
		v.hdrs[i].Name = &v.names[i][0]
	}
	return v
}

// expect prepares slot i for receiving into b.
func (v *vector) expect(i int, b []byte) {
	v.iovs[i].Base = &b[0]
	v.iovs[i].SetLen(len(b))
	v.reset(i)
}

// reset prepares slot i for receiving again: the kernel has overwritten the sizes with what it
// used.
func (v *vector) reset(i int) {
	h := &v.hdrs[i]
	h.Namelen = nameSize
	h.Control = &v.controls[i][0]
	h.SetControllen(controlSize)
	h.Flags = 0
}

// fill puts a datagram into slot i. On a wildcard socket it leaves from local, if that is valid.
func (v *vector) fill(i int, s *udpSocket, remote, local netip.AddrPort, b []byte) {
	h := &v.hdrs[i]
	v.iovs[i].Base = &b[0]
	v.iovs[i].SetLen(len(b))
	h.Namelen = uint32(putName(&v.names[i], remote, s.is6))
	h.Control = nil
	h.SetControllen(0)
	if s.l.wildcard && local.IsValid() {
		h.Control = &v.controls[i][0]
		h.SetControllen(putSource(&v.controls[i], local.Addr()))
	}
}

// remote returns where the datagram in slot i came from.
func (v *vector) remote(i int) netip.AddrPort {
	b := &v.names[i]
	port := binary.BigEndian.Uint16(b[2:])
	if binary.NativeEndian.Uint16(b[:]) == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port)
	}
	ip := netip.AddrFrom16([16]byte(b[8:24])).Unmap()
	return netip.AddrPortFrom(withScope(ip, binary.NativeEndian.Uint32(b[24:])), port)
}

// local returns the address that the datagram in slot i was sent to, or an invalid one if the
// kernel didn't report it.
func (v *vector) local(i int) (local netip.Addr) {
	rest := v.controls[i][:min(int(v.hdrs[i].Controllen), controlSize)]
	for len(rest) > 0 {
		hdr, data, next, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			return local
		}
		rest = next
		switch {
		case hdr.Level == unix.IPPROTO_IP && hdr.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			// ipi_spec_dst: ours even if the packet was broadcast.
			return netip.AddrFrom4([4]byte(data[4:8]))
		case hdr.Level == unix.IPPROTO_IPV6 && hdr.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			local = netip.AddrFrom16([16]byte(data[:16])).Unmap()
			if local.IsLinkLocalUnicast() && local.Is6() {
				local = withScope(local, binary.NativeEndian.Uint32(data[16:]))
			}
		}
	}
	return local
}

// arrival returns when the datagram in slot i arrived, and how many the socket had dropped by then
// because its buffer was full; zero if the kernel didn't report it.
func (v *vector) arrival(i int) (at time.Time, lost uint32) {
	rest := v.controls[i][:min(int(v.hdrs[i].Controllen), controlSize)]
	for len(rest) > 0 {
		hdr, data, next, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			break
		}
		rest = next
		switch {
		case hdr.Level != unix.SOL_SOCKET:
		case hdr.Type == unix.SO_TIMESTAMPNS_NEW && len(data) >= 16:
			at = time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
		case hdr.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			lost = binary.NativeEndian.Uint32(data)
		}
	}
	return at, lost
}

// putName writes a socket address and returns its length. A socket of the IPv6 family needs IPv4
// mapped.
func putName(b *[nameSize]byte, a netip.AddrPort, is6 bool) int {
	binary.BigEndian.PutUint16(b[2:], a.Port())
	if !is6 {
		binary.NativeEndian.PutUint16(b[:], unix.AF_INET)
		ip := a.Addr().As4()
		copy(b[4:8], ip[:])
		clear(b[8:16])
		return unix.SizeofSockaddrInet4
	}
	binary.NativeEndian.PutUint16(b[:], unix.AF_INET6)
	ip := a.Addr().As16()
	clear(b[4:8])
	copy(b[8:24], ip[:])
	binary.NativeEndian.PutUint32(b[24:], scopeOf(a.Addr()))
	return unix.SizeofSockaddrInet6
}

// putSource writes the control message that makes a datagram leave from local, and returns its
// length. IPv4 has the same one on a dual-stack socket.
func putSource(b *[controlSize]byte, local netip.Addr) int {
	hdr := (*unix.Cmsghdr)(unsafe.Pointer(b))
	data := b[unix.CmsgLen(0):]
	if local.Is4() {
		hdr.Level, hdr.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		hdr.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		ip := local.As4()
		clear(data[:unix.SizeofInet4Pktinfo])
		copy(data[4:8], ip[:])
		return unix.CmsgSpace(unix.SizeofInet4Pktinfo)
	}
	hdr.Level, hdr.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
	hdr.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	ip := local.As16()
	copy(data, ip[:])
	binary.NativeEndian.PutUint32(data[16:], scopeOf(local))
	return unix.CmsgSpace(unix.SizeofInet6Pktinfo)
}

// The runtime is not told of these calls. A batch takes longer than it lets a call keep its
// processor, and handing that over and waking another thread for it, thousands of times a second,
// costs more than the call does. So nothing may interrupt one, and whoever wants the world to stop
// for a moment, as the garbage collector does, waits for it. Therefore a call never waits for the
// network (MSG_DONTWAIT), and one takes no more than these.
const (
	// callSlots is how many datagrams one call may receive or send. Receiving copies; sending goes
	// all the way to the network card, or to the receiver on this host: 16 take about 50 µs.
	callSlots = 16
	// callBytes is how many bytes, beyond the first datagram, one call may send.
	callBytes = 64 << 10
)

// until returns where the call ends that sends from slot from, of the slots up to to.
func (v *vector) until(from, to int) int {
	to = min(to, from+callSlots)
	bytes := uint64(v.iovs[from].Len)
	for i := from + 1; i < to; i++ {
		if bytes += uint64(v.iovs[i].Len); bytes > callBytes {
			return i
		}
	}
	return to
}

// mmsg is recvmmsg or sendmmsg over slots from to to, of which there are callSlots at most, without
// waiting. It returns how many were done.
func (v *vector) mmsg(call, fd uintptr, from, to int) (int, unix.Errno) {
	return v.mmsgWith(unix.MSG_DONTWAIT, call, fd, from, to)
}

func (v *vector) mmsgWith(flags, call, fd uintptr, from, to int) (int, unix.Errno) {
	for {
		// What the kernel writes to is in the heap: the stack may move, and the race detector sees none
		// of it.
		n, _, errno := unix.RawSyscall6(call, fd, uintptr(unsafe.Pointer(&v.hdrs[from])), uintptr(to-from), flags, 0, 0)
		runtime.KeepAlive(v)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		return int(n), 0
	}
}

// receive is recvmmsg into all slots, in calls of callSlots. It returns how many were filled, and
// why none was. failed says that an error was pending: however many come, datagrams are read
// between them.
func (v *vector) receive(fd uintptr) (n int, failed bool, errno unix.Errno) {
	for to := 0; n == to && n < len(v.hdrs); {
		to = min(n+callSlots, len(v.hdrs))
		var got int
		if got, errno = v.mmsg(unix.SYS_RECVMMSG, fd, n, to); pending(errno) && !failed {
			failed, to = true, n
		}
		n += got
	}
	if n > 0 {
		errno = 0 // if it is no pending one, the next call says so again
	}
	return n, failed, errno
}
