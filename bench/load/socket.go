//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batch       = 32
	datagram    = 4096
	socketQueue = 4 << 20
)

// mmsghdr is the kernel's struct mmsghdr: a message and how much of it moved.
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

// socket is one phone's: connected to the server, so that the kernel drops
// whatever comes from elsewhere and an answer from a wrong port is seen as none.
type socket struct {
	fd   int
	port int
	out  [][]byte // Waits for flush; the bytes must not change before.
	// dirty is set while the socket is in its loop's list of sockets to flush.
	dirty bool
	loop  *loop
}

// send queues a datagram until the loop has handled what it has received.
func (s *socket) send(data []byte) {
	s.out = append(s.out, data)
	if !s.dirty {
		s.dirty = true
		s.loop.dirty = append(s.loop.dirty, s)
	}
}

// begun is where nanotime counts from.
var begun = time.Now()

// nanotime reads the monotonic clock.
func nanotime() int64 { return int64(time.Since(begun)) }

// loop is the event loop: one thread, epoll, batches both ways.
type loop struct {
	epoll   int
	timer   int // timerfd of the open loop, or -1.
	sockets []*socket
	dirty   []*socket
	events  [128]unix.EpollEvent
	now     int64 // Nanoseconds, read once a batch of datagrams.

	in struct {
		buffers  [batch][datagram]byte
		iovecs   [batch]unix.Iovec
		messages [batch]mmsghdr
	}
	outIovecs   [batch]unix.Iovec
	outMessages [batch]mmsghdr
}

func newLoop() (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("opening epoll: %w", err)
	}
	l := &loop{epoll: fd, timer: -1}
	for i := range l.in.messages {
		l.in.iovecs[i].Base = &l.in.buffers[i][0]
		l.in.iovecs[i].SetLen(datagram)
		l.in.messages[i].header.Iov = &l.in.iovecs[i]
		l.in.messages[i].header.Iovlen = 1
		l.outMessages[i].header.Iov = &l.outIovecs[i]
		l.outMessages[i].header.Iovlen = 1
	}
	return l, nil
}

// close gives back what the loop has opened.
func (l *loop) close() {
	for _, s := range l.sockets {
		unix.Close(s.fd)
	}
	if l.timer >= 0 {
		unix.Close(l.timer)
	}
	unix.Close(l.epoll)
}

// open adds a socket that talks to the server.
func (l *loop) open(server netip.AddrPort) (*socket, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketQueue); err != nil {
		return nil, fmt.Errorf("setting the receive buffer: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, fmt.Errorf("binding a socket: %w", err)
	}
	local, err := unix.Getsockname(fd)
	if err != nil {
		return nil, fmt.Errorf("asking for a socket's port: %w", err)
	}
	port := local.(*unix.SockaddrInet4).Port
	if port < 10_000 {
		return nil, fmt.Errorf("the system gave port %d, but the messages have room for five digits: "+
			"set net.ipv4.ip_local_port_range to begin at 10000 or above", port)
	}
	to := &unix.SockaddrInet4{Addr: server.Addr().As4(), Port: int(server.Port())}
	if err := unix.Connect(fd, to); err != nil {
		return nil, fmt.Errorf("connecting a socket to %s: %w", server, err)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(len(l.sockets))}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return nil, fmt.Errorf("watching a socket: %w", err)
	}
	s := &socket{fd: fd, port: port, loop: l}
	l.sockets = append(l.sockets, s)
	return s, nil
}

// tick makes wait return at least every interval of nanoseconds; zero stops it.
func (l *loop) tick(interval int64) error {
	if l.timer < 0 {
		fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
		if err != nil {
			return fmt.Errorf("opening a timer: %w", err)
		}
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1}
		if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return fmt.Errorf("watching a timer: %w", err)
		}
		l.timer = fd
	}
	every := unix.NsecToTimespec(interval)
	return unix.TimerfdSettime(l.timer, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil)
}

// wait hands every datagram that arrives within timeout milliseconds to
// receive, then sends what is queued.
func (l *loop) wait(timeout int, receive func(*socket, []byte)) error {
	n, err := unix.EpollWait(l.epoll, l.events[:], timeout)
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("waiting for datagrams: %w", err)
	}
	l.now = nanotime()
	for i := range max(n, 0) {
		if l.events[i].Fd < 0 {
			var expirations [8]byte
			unix.Read(l.timer, expirations[:]) //nolint:errcheck // Only to make it unreadable again.
			continue
		}
		l.read(l.sockets[l.events[i].Fd], receive)
	}
	l.flush()
	return nil
}

func (l *loop) read(s *socket, receive func(*socket, []byte)) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(s.fd),
		uintptr(unsafe.Pointer(&l.in.messages[0])), batch, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		// ECONNREFUSED: the server is not there yet, or has gone. The
		// operations that wait for it will say so when they time out.
		return
	}
	l.now = nanotime()
	for i := range int(n) {
		receive(s, l.in.buffers[i][:l.in.messages[i].length])
	}
}

// flush sends what the sockets have queued.
func (l *loop) flush() {
	for _, s := range l.dirty {
		for start := 0; start < len(s.out); {
			n := min(len(s.out)-start, batch)
			for i, data := range s.out[start : start+n] {
				l.outIovecs[i].Base = &data[0]
				l.outIovecs[i].SetLen(len(data))
			}
			done, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd),
				uintptr(unsafe.Pointer(&l.outMessages[0])), uintptr(n), 0, 0, 0)
			if errno != 0 {
				start++ // This one counts as lost on the way; it will be retransmitted.
				continue
			}
			start += int(done)
		}
		s.out, s.dirty = s.out[:0], false
	}
	l.dirty = l.dirty[:0]
}

// openSockets opens n sockets to the server.
func (l *loop) openSockets(server netip.AddrPort, n int) ([]*socket, error) {
	sockets := make([]*socket, n)
	for i := range sockets {
		s, err := l.open(server)
		if err != nil {
			return nil, err
		}
		sockets[i] = s
	}
	return sockets, nil
}
