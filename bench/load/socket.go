//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"strings"
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

	// stream says that it is a TCP connection: received is the beginning of a
	// message whose end has not come, unsent what the kernel had no room for.
	stream           bool
	received, unsent []byte
}

// overTCP makes the text of a message that goes over UDP one that goes over
// TCP, and the phone one that wants to be called over it.
var overTCP = strings.NewReplacer(
	"SIP/2.0/UDP 127.0.0.1:", "SIP/2.0/TCP 127.0.0.1:",
	"@127.0.0.1:{port}", "@127.0.0.1:{port};transport=tcp",
)

// template reads the text of a message that the socket is to send.
func (s *socket) template(text string) *template {
	if s.stream {
		text = overTCP.Replace(text)
	}
	return newTemplate(text)
}

// send queues a message until the loop has handled what it has received.
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
	stream      [streamMost]byte
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

// open adds a socket that talks to the server over "udp" or "tcp".
func (l *loop) open(transport string, server netip.AddrPort) (*socket, error) {
	s := &socket{stream: transport == "tcp", loop: l}
	kind := unix.SOCK_DGRAM
	if s.stream {
		kind = unix.SOCK_STREAM
	}
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a socket: %w", err)
	}
	s.fd = fd
	if err := l.connect(s, server); err != nil {
		unix.Close(fd)
		return nil, err
	}
	l.sockets = append(l.sockets, s)
	return s, nil
}

func (l *loop) connect(s *socket, server netip.AddrPort) error {
	if s.stream {
		if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return fmt.Errorf("setting TCP_NODELAY: %w", err)
		}
	} else if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketQueue); err != nil {
		return fmt.Errorf("setting the receive buffer: %w", err)
	}
	to := &unix.SockaddrInet4{Addr: server.Addr().As4(), Port: int(server.Port())}
	if err := unix.Connect(s.fd, to); err != nil {
		return fmt.Errorf("connecting to %s: %w", server, err)
	}
	if err := unix.SetNonblock(s.fd, true); err != nil {
		return fmt.Errorf("making a socket non-blocking: %w", err)
	}
	local, err := unix.Getsockname(s.fd)
	if err != nil {
		return fmt.Errorf("asking for a socket's port: %w", err)
	}
	s.port = local.(*unix.SockaddrInet4).Port
	if s.port < 10_000 {
		return fmt.Errorf("the system gave port %d, but the messages have room for five digits: "+
			"set net.ipv4.ip_local_port_range to begin at 10000 or above", s.port)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(len(l.sockets))}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, s.fd, &event); err != nil {
		return fmt.Errorf("watching a socket: %w", err)
	}
	return nil
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

// wait hands every message that arrives within timeout milliseconds to
// receive, then sends what is queued. It fails when a connection has ended.
func (l *loop) wait(timeout int, receive func(*socket, []byte)) error {
	n, err := unix.EpollWait(l.epoll, l.events[:], timeout)
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("waiting for messages: %w", err)
	}
	l.now = nanotime()
	for i := range max(n, 0) {
		if l.events[i].Fd < 0 {
			var expirations [8]byte
			unix.Read(l.timer, expirations[:]) //nolint:errcheck // Only to make it unreadable again.
			continue
		}
		s := l.sockets[l.events[i].Fd]
		if !s.stream {
			l.read(s, receive)
		} else if err := l.readStream(s, receive); err != nil {
			return err
		}
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

// readStream reads from a TCP connection.
func (l *loop) readStream(s *socket, receive func(*socket, []byte)) error {
	n, err := unix.Read(s.fd, l.stream[:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return fmt.Errorf("reading from a connection: %w", err)
	case n == 0:
		return fmt.Errorf("the server has closed the connection of port %d", s.port)
	}
	l.now = nanotime()
	data := l.stream[:n]
	if len(s.received) > 0 {
		s.received = append(s.received, data...)
		data = s.received
	}
	for {
		first, rest, err := frame(data)
		if err != nil {
			return err
		}
		if first == nil {
			s.received = append(s.received[:0], rest...)
			return nil
		}
		receive(s, first)
		data = rest
	}
}

// flush sends what the sockets have queued.
func (l *loop) flush() {
	waiting := l.dirty[:0]
	for _, s := range l.dirty {
		if s.stream {
			s.flushStream()
		} else {
			l.flushDatagrams(s)
		}
		s.out = s.out[:0]
		if s.dirty = len(s.unsent) > 0; s.dirty {
			waiting = append(waiting, s)
		}
	}
	l.dirty = waiting
}

func (l *loop) flushDatagrams(s *socket) {
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
}

// flushStream writes as much as the connection takes. The rest has its turn at
// the next flush. That a connection has ended is seen when it is read.
func (s *socket) flushStream() {
	for _, data := range s.out {
		s.unsent = append(s.unsent, data...)
	}
	n, err := unix.Write(s.fd, s.unsent)
	if err != nil {
		return
	}
	s.unsent = s.unsent[:copy(s.unsent, s.unsent[n:])]
}

// openSockets opens n sockets to the server.
func (l *loop) openSockets(transport string, server netip.AddrPort, n int) ([]*socket, error) {
	sockets := make([]*socket, n)
	for i := range sockets {
		s, err := l.open(transport, server)
		if err != nil {
			return nil, err
		}
		sockets[i] = s
	}
	return sockets, nil
}
