package transport

import (
	"net"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// unsent is how many bytes the kernel takes for a peer beyond those that are on their way. By
// default it takes megabytes: a phone on a slow line would have to read all that before anything
// new, and it would take minutes to notice that it doesn't read at all.
const unsent = 32 << 10

// limitSendQueue limits what the kernel queues for a peer.
func limitSendQueue(nc net.Conn) {
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = control(raw, func(fd int) error {
				return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
			})
		}
	}
}

// direct writes to a connection without waiting. Only one goroutine may use it at a time.
type direct struct {
	raw  syscall.RawConn
	data []byte
	n    int
	call func(fd uintptr) bool
}

// newDirect returns nil for a connection that is no TCP connection of the kernel.
func newDirect(nc net.Conn) *direct {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	d := &direct{raw: raw}
	d.call = d.send
	return d
}

// write returns how many bytes were written. Why it was not all is for whoever writes the rest to
// find out.
func (d *direct) write(b []byte) int {
	d.data, d.n = b, 0
	_ = d.raw.Write(d.call)
	d.data = nil
	return d.n
}

// send is one system call, of which the runtime is not told: see mmsg. It takes chunkSize, or one
// message.
func (d *direct) send(fd uintptr) bool {
	for {
		sent, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&d.data[0])),
			uintptr(len(d.data)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		runtime.KeepAlive(d)
		if errno == unix.EINTR {
			continue
		}
		if errno == 0 {
			d.n = int(sent)
		}
		return true
	}
}
