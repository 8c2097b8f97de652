package simnet

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	window      = 256 << 10 // bytes that may be under way or unread before a writer waits
	segmentSize = 64 << 10
	backlog     = 4096
	dialTimeout = 127 * time.Second // Linux gives up after six SYNs
	giveUp      = 15 * time.Minute  // and after that long without an acknowledgement
)

// Listener is a TCP socket that accepts connections.
type Listener struct {
	h       *Host
	addr    netip.AddrPort
	wake    sync.Cond
	waiting []*Conn
	closed  bool
	crashed bool
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	l.h.n.mu.Lock()
	defer l.h.n.mu.Unlock()
	for {
		if l.closed {
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
		}
		if len(l.waiting) > 0 {
			c := l.waiting[0]
			l.waiting = l.waiting[1:]
			return c, nil
		}
		l.wake.Wait()
	}
}

// Close implements net.Listener. Connections that were not accepted are reset.
func (l *Listener) Close() error {
	l.h.n.mu.Lock()
	defer l.h.n.mu.Unlock()
	if l.crashed {
		return nil // there is nobody to tell
	}
	if l.closed {
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
	l.shut(true)
	return nil
}

func (l *Listener) shut(reset bool) {
	l.closed = true
	delete(l.h.tcp, l.addr)
	for _, c := range l.waiting {
		if reset {
			c.push(segment{reset: true})
		}
		c.vanish()
	}
	l.waiting = nil
	l.wake.Broadcast()
}

// Conn is one end of a TCP connection.
type Conn struct {
	h             *Host
	local, remote netip.AddrPort
	peer          *Conn

	wake    sync.Cond
	unread  []byte // what has arrived
	ended   bool   // the peer sends nothing more
	err     error  // the connection is broken
	closed  bool   // by this end, or its host has crashed
	writing bool   // this end may send; false once it has said that it won't
	read    deadline
	write   deadline

	// The way to the peer, in order.
	queue   []segment
	flying  int
	due     time.Time // when the latest one arrives
	pumping bool
	stalled time.Time // since when nothing gets through; zero: it does
}

// segment is what one Write has sent.
type segment struct {
	data  []byte
	fin   bool
	reset bool
	due   time.Time
}

func (h *Host) newConn(local, remote netip.AddrPort) *Conn {
	c := &Conn{h: h, local: local, remote: remote, writing: true}
	c.wake.L = &h.n.mu
	h.conns[[2]netip.AddrPort{local, remote}] = c
	return c
}

// DialFrom is Dial from one of the host's addresses; the zero address and port 0 mean any.
func (h *Host) DialFrom(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	n := h.n
	done := make(chan *Conn, 1)
	abandoned := false
	fail := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(remote), Err: err}
	}
	n.mu.Lock()
	if !local.Addr().IsValid() {
		local = netip.AddrPortFrom(h.route(remote.Addr()), local.Port())
	}
	if !local.Addr().IsValid() {
		n.mu.Unlock()
		return nil, fail(syscall.ENETUNREACH)
	}
	local, err := h.bind(local, func(a netip.AddrPort) bool { return h.conns[[2]netip.AddrPort{a, remote}] != nil })
	if err != nil {
		n.mu.Unlock()
		return nil, fail(err)
	}
	c := h.newConn(local, remote)
	n.connect(c, time.Second, func(c *Conn) {
		if abandoned && c != nil {
			c.close()
		}
		done <- c
	}, &abandoned)
	n.mu.Unlock()

	timeout := time.NewTimer(dialTimeout)
	defer timeout.Stop()
	select {
	case c := <-done:
		if c == nil {
			return nil, fail(syscall.ECONNREFUSED)
		}
		return c, nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timeout.C:
		err = syscall.ETIMEDOUT
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	abandoned = true
	select {
	case late := <-done:
		if late != nil {
			late.close()
		}
	default:
		if c.peer != nil {
			c.push(segment{reset: true})
		}
		c.vanish()
	}
	return nil, fail(err)
}

// connect sends a SYN, again and again until it is answered. The lock is held by the caller, and
// while answer is called, with nil if the connection is refused.
func (n *Net) connect(c *Conn, again time.Duration, answer func(*Conn), abandoned *bool) {
	from, to := c.local, c.remote
	p, l := n.path(from.Addr(), to.Addr()), n.draw(from, to)
	lost := p.Down || l.lost < p.Loss
	n.tap(Packet{At: time.Now(), TCP: true, From: from, To: to, Lost: lost})
	back := n.path(to.Addr(), from.Addr())
	if h := n.hosts[to.Addr()]; lost || back.Down || h == nil {
		n.after(again, func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			if !*abandoned && again < dialTimeout {
				n.connect(c, 2*again, answer, abandoned)
			}
		})
		return
	}
	n.after(p.travel(l.jitter), func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		var server *Conn
		if h := n.hosts[to.Addr()]; h != nil && !c.closed {
			if listener := h.tcpAt(to); listener != nil && len(listener.waiting) < backlog {
				server = h.newConn(to, from)
				server.peer, c.peer = c, server
				listener.waiting = append(listener.waiting, server)
				listener.wake.Signal()
			}
		}
		n.after(back.travel(l.second), func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			if server == nil {
				c.vanish()
				answer(nil)
				return
			}
			answer(c)
		})
	})
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *Conn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	c.h.n.mu.Lock()
	defer c.h.n.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, c.fail("read", net.ErrClosed)
		case c.err != nil:
			return 0, c.fail("read", c.err)
		case c.read.passed():
			return 0, c.fail("read", os.ErrDeadlineExceeded)
		case len(c.unread) > 0:
			n := copy(b, c.unread)
			if c.unread = c.unread[n:]; len(c.unread) == 0 {
				c.unread = nil
			}
			if c.peer != nil {
				c.peer.wake.Broadcast() // there is room again
			}
			return n, nil
		case c.ended:
			return 0, io.EOF
		}
		c.wake.Wait()
	}
}

// Write implements net.Conn. It blocks while the peer doesn't read.
func (c *Conn) Write(b []byte) (done int, err error) {
	c.h.n.mu.Lock()
	defer c.h.n.mu.Unlock()
	for {
		switch {
		case c.closed:
			return done, c.fail("write", net.ErrClosed)
		case c.err != nil:
			return done, c.fail("write", c.err)
		case !c.writing:
			return done, c.fail("write", syscall.EPIPE)
		case c.write.passed():
			return done, c.fail("write", os.ErrDeadlineExceeded)
		case done == len(b):
			return done, nil
		}
		room := window - c.flying - len(c.peer.unread)
		if room <= 0 {
			c.wake.Wait()
			continue
		}
		part := b[done:min(len(b), done+room, done+segmentSize)]
		c.push(segment{data: bytes.Clone(part)})
		done += len(part)
	}
}

// push sends a segment.
func (c *Conn) push(s segment) {
	n := c.h.n
	p, l := n.path(c.local.Addr(), c.remote.Addr()), n.draw(c.local, c.remote)
	travel := p.travel(l.jitter)
	if l.lost < p.Loss {
		travel += retransmit
	}
	if len(s.data) > 0 {
		n.tap(Packet{At: time.Now(), TCP: true, From: c.local, To: c.remote, Data: s.data})
	}
	if s.due = time.Now().Add(travel); s.due.Before(c.due) {
		s.due = c.due // a stream has an order
	}
	c.due = s.due
	c.queue = append(c.queue, s)
	c.flying += len(s.data)
	if !c.pumping {
		c.pumping = true
		n.after(time.Until(s.due), c.pump)
	}
}

// pump delivers the next segment to the peer.
func (c *Conn) pump() {
	n := c.h.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.path(c.local.Addr(), c.remote.Addr()).Down || !slices.Contains(c.h.addrs, c.local.Addr()) {
		if c.stalled.IsZero() {
			c.stalled = time.Now()
		}
		if time.Since(c.stalled) < giveUp {
			n.after(retransmit, c.pump)
			return
		}
		c.broken(syscall.ETIMEDOUT)
		c.queue, c.flying = nil, 0
	}
	c.stalled = time.Time{}
	if len(c.queue) > 0 {
		s := c.queue[0]
		c.queue = c.queue[1:]
		c.flying -= len(s.data)
		c.deliver(s)
	}
	if c.pumping = len(c.queue) > 0; c.pumping {
		n.after(time.Until(c.queue[0].due), c.pump)
	}
}

func (c *Conn) deliver(s segment) {
	p := c.peer
	if p == nil {
		return
	}
	switch {
	case s.reset:
		p.broken(syscall.ECONNRESET)
	case p.closed && (len(s.data) > 0 || p.err != nil):
		// There is nobody to read it.
		c.broken(syscall.ECONNRESET)
	case s.fin:
		p.ended = true
	default:
		p.unread = append(p.unread, s.data...)
	}
	p.wake.Broadcast()
}

// broken ends the connection at this end, and discards what is under way.
func (c *Conn) broken(err error) {
	if c.err == nil {
		c.err = err
	}
	c.unread = nil
	c.forget()
	c.wake.Broadcast()
}

func (c *Conn) forget() {
	key := [2]netip.AddrPort{c.local, c.remote}
	if c.h.conns[key] == c {
		delete(c.h.conns, key)
	}
}

// vanish ends this end without telling the other.
func (c *Conn) vanish() {
	c.closed = true
	c.read.stop()
	c.write.stop()
	c.forget()
	c.wake.Broadcast()
}

// CloseWrite says that nothing more will be sent.
func (c *Conn) CloseWrite() error {
	c.h.n.mu.Lock()
	defer c.h.n.mu.Unlock()
	if c.closed || c.err != nil {
		return c.fail("close", net.ErrClosed)
	}
	c.end()
	return nil
}

func (c *Conn) end() {
	if c.writing {
		c.writing = false
		c.push(segment{fin: true})
	}
}

// Close implements net.Conn. With something unread it resets the connection, as the system does
// (RFC 2525 §2.17).
func (c *Conn) Close() error {
	c.h.n.mu.Lock()
	defer c.h.n.mu.Unlock()
	if c.closed {
		return c.fail("close", net.ErrClosed)
	}
	c.close()
	return nil
}

func (c *Conn) close() {
	switch {
	case c.closed || c.err != nil:
	case len(c.unread) > 0:
		c.push(segment{reset: true})
	default:
		c.end()
	}
	c.vanish()
}

// Reset closes the connection with a reset, and discards what is under way.
func (c *Conn) Reset() {
	c.h.n.mu.Lock()
	defer c.h.n.mu.Unlock()
	if !c.closed && c.err == nil {
		c.push(segment{reset: true})
	}
	c.vanish()
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.read, t) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.write, t) }

func (c *Conn) setDeadline(d *deadline, t time.Time) error {
	c.h.n.mu.Lock()
	defer c.h.n.mu.Unlock()
	if c.closed {
		return c.fail("set", net.ErrClosed)
	}
	d.set(t, &c.wake)
	return nil
}
