package transport

import (
	"net"
	"syscall"
)

// share lets the socket of another listener bind an address that overlaps with this one's.
func (l *Listener) share() error {
	for _, s := range l.udp {
		if err := s.control(reusePort); err != nil {
			return err
		}
	}
	if l.tcp == nil || l.m.opts.Net != nil {
		return nil
	}
	raw, err := l.tcp.(*net.TCPListener).SyscallConn()
	if err != nil {
		return err
	}
	return control(raw, reusePort)
}

// controlTCP sets the options of a listening socket.
func (l *Listener) controlTCP(_, _ string, raw syscall.RawConn) error {
	if !l.shared {
		return nil
	}
	return control(raw, reusePort)
}
