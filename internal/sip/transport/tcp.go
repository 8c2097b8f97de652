package transport

import (
	"context"
	"errors"
	"net"
	"time"

	"go.uber.org/zap"
)

func (l *Listener) openTCP() (err error) {
	lc := net.ListenConfig{Control: l.controlTCP}
	l.tcp, err = lc.Listen(context.Background(), socketFamily("tcp", l.addr.Addr()), l.addr.String())
	if err == nil {
		l.addr = canonical(l.tcp.Addr().(*net.TCPAddr).AddrPort())
	}
	return err
}

// accept accepts connections until the listener is closed. Running out of descriptors is no reason
// to stop: they come back.
func (l *Listener) accept() {
	for wait := time.Duration(0); ; {
		nc, err := l.tcp.Accept()
		if err == nil {
			wait = 0
			l.handleAccepted(nc)
			continue
		}
		if errors.Is(err, net.ErrClosed) || l.isClosed() {
			return
		}
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		l.m.acceptLog.Log(l.m.opts.Logger, zap.WarnLevel, "accepting a connection failed, trying again",
			zap.Stringer("address", l.addr), zap.Duration("after", wait), zap.Error(err))
		timer := time.NewTimer(wait)
		select {
		case <-l.closed:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

func (l *Listener) handleAccepted(nc net.Conn) {
	flow := tcpFlow(nc)
	flow.Listener = l
	if _, err := l.m.adopt(nc, flow, ""); err != nil {
		nc.Close()
		if errors.Is(err, ErrRefused) {
			return // counted; the operator knows
		}
		l.m.acceptLog.Log(l.m.opts.Logger, zap.WarnLevel, "refused a connection",
			zap.Stringer("address", l.addr), zap.Stringer("remote", flow.Remote), zap.Error(err))
	}
}

func tcpFlow(nc net.Conn) Flow {
	return Flow{
		Network: TCP,
		Remote:  canonical(nc.RemoteAddr().(*net.TCPAddr).AddrPort()),
		Local:   canonical(nc.LocalAddr().(*net.TCPAddr).AddrPort()),
	}
}
