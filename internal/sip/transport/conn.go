package transport

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/caddysip/caddysip/internal/budget"
)

// Conn is a stream connection, accepted or dialed.
type Conn struct {
	m    *Manager
	nc   net.Conn
	flow Flow
	done chan struct{}
	user string // the user it was dialed for; see DialFor

	account *account

	mu      sync.Mutex
	own     lane          // what the peer's own messages cause
	others  lane          // what others send to it
	held    int           // bytes that the lanes hold
	resume  chan struct{} // closed when the reader may go on; nil: it doesn't wait
	direct  *direct       // writes without waiting; nil: that is not possible
	writing bool          // somebody writes
	used    bool          // something was written since quiet was called
	closing bool          // nothing more is queued, because of err
	err     error
	reading bool // the reader runs, and is stopped by closing the socket
	writer  sync.WaitGroup
}

// Flow returns the way to send to the peer.
func (c *Conn) Flow() Flow { return c.flow }

// Network returns the connection's transport.
func (c *Conn) Network() Network { return c.flow.Network }

// Done returns a channel that is closed when the connection has closed.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Close closes the connection once what is queued has been written, or could not be within the
// write timeout. It does not wait for that.
func (c *Conn) Close() { c.shutdown(ErrClosed, true) }

func (c *Conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// quiet reports whether nothing was written since it was last called.
func (c *Conn) quiet() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	used := c.used || c.writing
	c.used = false
	return !used
}

// send queues a message on behalf of a source, and makes sure that it is written.
func (c *Conn) send(b []byte, from netip.Addr) error {
	if err := c.queue(b, from); err != nil {
		return err
	}
	c.kick(true)
	return nil
}

// queue appends to what is to be written, on behalf of a source other than the peer. b is copied.
func (c *Conn) queue(b []byte, from netip.Addr) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closing:
		return ErrClosed
	case !c.others.admits(b, from, queueLimit(b)):
		c.m.opts.Dropped(DropQueueFull)
		return ErrQueueFull
	}
	return c.add(&c.others, b, from)
}

// queueOwn is queue for what the peer's own messages cause. That must not get lost, so a peer for
// which there is no room is disconnected: it was only read from while it read itself.
func (c *Conn) queueOwn(b []byte) error {
	c.mu.Lock()
	err := ErrClosed
	switch {
	case c.closing:
	case c.own.bytes+len(b) > maxOwn:
		c.m.opts.Dropped(DropQueueFull)
		err = ErrQueueFull
	default:
		err = c.add(&c.own, b, netip.Addr{})
	}
	c.mu.Unlock()
	if err == ErrQueueFull {
		c.abort(ErrQueueFull)
	}
	return err
}

// add appends to a lane, if there is memory for it. The lock is held.
func (c *Conn) add(l *lane, b []byte, from netip.Addr) error {
	if !l.fits(len(b)) {
		now := c.held + max(len(b), chunkSize)
		if !c.resize(budget.Queues, c.held, now) {
			return ErrQueueFull
		}
		c.held = now
	}
	l.add(b, from)
	return nil
}

// kick has what is queued be written: now, as much as the peer takes at once, and the rest by a
// writer, or all of it by a writer.
func (c *Conn) kick(now bool) {
	c.mu.Lock()
	if now && c.direct != nil && !c.writing && !c.closing && c.next() != nil {
		c.writeDirect()
	}
	c.startWriter()
	c.mu.Unlock()
}

// writeDirect writes from the goroutine that has something to send, without waiting: a goroutine
// for each message would cost as much as the message. It stops where the peer takes no more, or
// after maxWrite, and a writer goes on. The lock is held, but released meanwhile.
func (c *Conn) writeDirect() {
	c.writing, c.used = true, true
	c.writer.Add(1)
	defer c.writer.Done()
	for written := 0; written < maxWrite; {
		l := c.next()
		if l == nil {
			break
		}
		first := l.first
		l.written = first // nothing is added to it meanwhile
		data := first.data[first.sent:]
		c.mu.Unlock()
		n := c.direct.write(data)
		if n > 0 {
			c.m.opts.Traffic(c.flow.Network, false, 0, n)
		}
		c.mu.Lock()
		l.written = nil
		written += n
		if first.sent += n; n < len(data) {
			break
		}
		c.drop(l)
	}
	c.writing = false
	c.startWriter() // before finish can go on, which waits for writers
	c.resumeReader()
	if c.closing && c.reading && c.next() == nil {
		c.nc.Close()
	}
}

// startWriter starts a writer if there is something to write and nobody does. The lock is held.
func (c *Conn) startWriter() {
	if !c.writing && c.next() != nil {
		c.writing, c.used = true, true
		c.writer.Go(c.write)
	}
}

// next returns the lane to write from, or nil if nothing is queued. The lock is held.
func (c *Conn) next() *lane {
	switch {
	case c.own.first != nil:
		return &c.own
	case c.others.first != nil:
		return &c.others
	}
	return nil
}

// write writes until nothing is queued any more.
func (c *Conn) write() {
	g := gathers.Get().(*gather)
	defer gathers.Put(g)
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		l := c.next()
		if l == nil {
			c.writing = false
			if c.closing && c.reading {
				c.nc.Close()
			}
			return
		}
		l.begin(g)
		c.mu.Unlock()
		err := c.writeAll(&g.data)
		c.mu.Lock()
		for l.written != nil {
			c.drop(l)
		}
		if err != nil && c.disconnect(err) {
			c.m.opts.Dropped(DropWriteError)
		}
		c.resumeReader()
	}
}

// writeAll writes as long as the peer accepts some of it: a phone on a slow line is not dead. One
// that accepts nothing for the write timeout is.
func (c *Conn) writeAll(data *net.Buffers) error {
	for {
		var deadline time.Time
		if c.m.opts.WriteTimeout > 0 {
			deadline = time.Now().Add(c.m.opts.WriteTimeout)
		}
		_ = c.nc.SetWriteDeadline(deadline)
		n, err := data.WriteTo(c.nc)
		c.m.opts.Traffic(c.flow.Network, false, 0, int(n))
		if n == 0 || len(*data) == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			if err == nil && c.direct != nil {
				_ = c.nc.SetWriteDeadline(time.Time{}) // a direct write has none
			}
			return err
		}
	}
}

// drop removes the first chunk of a lane. The lock is held.
func (c *Conn) drop(l *lane) {
	done := l.drop()
	if done == l.written {
		l.written = nil
	}
	now := c.held - cap(done.data)
	c.resize(budget.Queues, c.held, now)
	c.held = now
	recycle(done)
}

// congested reports whether the peer leaves so much of its own unread that it is not read from any
// more.
func (c *Conn) congested() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.own.bytes > ownHighWater && !c.closing
}

// waitUncongested waits until the peer has read enough to be read from again, or is disconnected.
func (c *Conn) waitUncongested() {
	c.mu.Lock()
	if c.own.bytes <= ownHighWater || c.closing {
		c.mu.Unlock()
		return
	}
	resume := make(chan struct{})
	c.resume = resume
	c.mu.Unlock()
	<-resume
}

// resumeReader lets the reader go on if it may. The lock is held.
func (c *Conn) resumeReader() {
	if c.resume != nil && (c.own.bytes <= ownHighWater || c.closing) {
		close(c.resume)
		c.resume = nil
	}
}

// shutdown stops queueing, and lets what is queued be written. Then it closes the socket, which
// ends the reader, unless that has ended by itself.
func (c *Conn) shutdown(err error, reading bool) {
	c.mu.Lock()
	if !c.closing {
		c.closing, c.err = true, err
	}
	c.reading = c.reading && reading
	c.startWriter()
	idle := !c.writing && c.reading
	c.mu.Unlock()
	c.m.conns.unindex(c)
	if idle {
		c.nc.Close()
	}
}

// abort closes the connection at once, and reports whether it was open.
func (c *Conn) abort(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.disconnect(err)
}

// disconnect closes the socket and drops what is queued for the peer. It reports whether the
// connection was open. The lock is held, but released meanwhile.
func (c *Conn) disconnect(err error) bool {
	first := !c.closing
	if first {
		c.closing, c.err = true, err
	}
	c.startWriter() // it cannot write, and drops what is queued
	c.resumeReader()
	c.mu.Unlock()
	c.m.conns.unindex(c)
	c.nc.Close()
	c.mu.Lock()
	return first
}

// finish runs at the end of the reader, and so of the connection. A peer that may have sent more
// than was read gets a moment to read our answer before the socket closes: closing with unread data
// would reset the connection and lose the answer.
func (c *Conn) finish(err error, unread bool) {
	c.shutdown(err, false)
	c.writer.Wait()
	if unread {
		c.linger()
	}
	c.m.conns.release(c)
	close(c.done) // before the peer can know that the connection has ended
	c.nc.Close()
	c.mu.Lock()
	err = c.err
	c.mu.Unlock()
	c.m.handler.ConnClosed(c, err)
}

const (
	lingerTime  = time.Second
	lingerBytes = 256 << 10
)

// linger closes our direction and discards what the peer still sends, within limits.
func (c *Conn) linger() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	var scrap [4 << 10]byte
	for left := lingerBytes; left > 0; {
		n, err := c.nc.Read(scrap[:])
		if err != nil {
			return
		}
		left -= n
	}
}
