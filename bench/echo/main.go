//go:build linux

// Command echo sends every UDP datagram back to where it came from, 64 to a
// system call. Its CPU time is what the kernel alone asks for: the floor that
// any server's figure stands on.
package main

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batch    = 64
	datagram = 2048
)

// mmsghdr is the kernel's struct mmsghdr: a message and how much of it moved.
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

func main() {
	listen := flag.String("listen", "127.0.0.1:15060", "IPv4 address and port to listen on")
	flag.Parse()
	if err := run(*listen); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func run(listen string) error {
	addr, err := netip.ParseAddrPort(listen)
	if err != nil || !addr.Addr().Is4() {
		return fmt.Errorf("%q is not an IPv4 address and port", listen)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20); err != nil {
		return fmt.Errorf("setting the receive buffer: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}); err != nil {
		return fmt.Errorf("listening on %s: %w", listen, err)
	}
	return serve(fd)
}

// frames is what one receive and one send work on. It lives on the heap, for
// the kernel keeps its addresses while the goroutine's stack may move.
type frames struct {
	buffers  [batch][datagram]byte
	iovecs   [batch]unix.Iovec
	names    [batch]unix.RawSockaddrInet4
	messages [batch]mmsghdr
}

// serve echoes until the socket fails. It uses raw system calls: there is one
// goroutine and no other work that the runtime's scheduler could do meanwhile.
func serve(fd int) error {
	f := new(frames)
	for i := range f.messages {
		f.iovecs[i].Base = &f.buffers[i][0]
		f.messages[i].header.Iov = &f.iovecs[i]
		f.messages[i].header.Iovlen = 1
		f.messages[i].header.Name = (*byte)(unsafe.Pointer(&f.names[i]))
	}
	for {
		for i := range f.messages {
			f.iovecs[i].SetLen(datagram)
			f.messages[i].header.Namelen = uint32(unsafe.Sizeof(f.names[i]))
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&f.messages[0])), batch, unix.MSG_WAITFORONE, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return fmt.Errorf("receiving: %w", errno)
		}
		for i := range f.messages[:n] {
			f.iovecs[i].SetLen(int(f.messages[i].length))
		}
		for sent := uintptr(0); sent < n; {
			done, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd),
				uintptr(unsafe.Pointer(&f.messages[sent])), n-sent, 0, 0, 0)
			switch {
			case errno == unix.EINTR:
			case errno != 0:
				sent++ // The first datagram's peer has gone; the others may be there.
			default:
				sent += done
			}
		}
	}
}
