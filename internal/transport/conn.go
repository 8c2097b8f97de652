package transport

import (
	"net"
	"sync"
	"time"
)

const (
	// maxQueue is how many bytes may wait for a slow peer before its connection is closed.
	maxQueue = 1 << 20
	// maxPooled is the largest write buffer that is kept for reuse.
	maxPooled = 64 << 10
)

// writeBuffers hold what is queued; a connection with nothing to write has none.
var writeBuffers = sync.Pool{New: func() any { return new([]byte) }}

// Conn is a stream connection, accepted or dialed.
type Conn struct {
	m    *Manager
	nc   net.Conn
	flow Flow
	done chan struct{}

	mu      sync.Mutex
	out     *[]byte // queued, nil if nothing is
	flying  int     // bytes the writer has taken and not written yet
	writing bool    // a writer goroutine exists
	closing bool    // nothing more is queued; why is in err
	err     error
	reading bool // the reader is alive, and has to be woken by closing the socket
	writer  sync.WaitGroup
}

// Flow returns how to send to the peer.
func (c *Conn) Flow() Flow { return c.flow }

// Network returns the connection's transport.
func (c *Conn) Network() Network { return c.flow.Network }

// Done is closed when the connection has gone.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Close closes the connection once what is queued has been written, or could not be within the write timeout. It does not
// wait for that.
func (c *Conn) Close() { c.shut(ErrClosed, true) }

func (c *Conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// send queues a message and sees that it is written.
func (c *Conn) send(b []byte) error {
	if err := c.queue(b); err != nil {
		return err
	}
	c.kick()
	return nil
}

// queue appends to what waits to be written. b is copied.
func (c *Conn) queue(b []byte) error {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return ErrClosed
	}
	if c.out == nil {
		c.out = writeBuffers.Get().(*[]byte)
	}
	if len(*c.out)+c.flying+len(b) > max(maxQueue, c.flow.Limits().Message) {
		c.mu.Unlock()
		c.m.opts.Dropped(DropQueueFull)
		c.abort(ErrQueueFull)
		return ErrQueueFull
	}
	*c.out = append(*c.out, b...)
	c.mu.Unlock()
	return nil
}

// kick starts a writer if there is something to write and none at it.
func (c *Conn) kick() {
	c.mu.Lock()
	c.startWriter()
	c.mu.Unlock()
}

func (c *Conn) startWriter() {
	if c.out != nil && !c.writing {
		c.writing = true
		c.writer.Go(c.write)
	}
}

// write writes until nothing is queued any more.
func (c *Conn) write() {
	for {
		c.mu.Lock()
		buf := c.out
		if buf == nil {
			c.writing = false
			wake := c.closing && c.reading
			c.mu.Unlock()
			if wake {
				c.nc.Close()
			}
			return
		}
		c.out, c.flying = nil, len(*buf)
		c.mu.Unlock()

		var deadline time.Time
		if c.m.opts.WriteTimeout > 0 {
			deadline = time.Now().Add(c.m.opts.WriteTimeout)
		}
		_ = c.nc.SetWriteDeadline(deadline)
		n, err := c.nc.Write(*buf)
		c.m.opts.Traffic(c.flow.Network, false, 0, n)
		recycle(buf)

		c.mu.Lock()
		c.flying = 0
		c.mu.Unlock()
		if err != nil {
			if c.abort(err) {
				c.m.opts.Dropped(DropWriteError)
			}
		}
	}
}

func recycle(buf *[]byte) {
	if cap(*buf) <= maxPooled {
		*buf = (*buf)[:0]
		writeBuffers.Put(buf)
	}
}

// shut lets what is queued be written and nothing more be queued. Unless the reader has ended by itself, the socket is
// closed then, which ends it.
func (c *Conn) shut(err error, reading bool) {
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

// abort closes the connection at once. It tells whether that was news.
func (c *Conn) abort(err error) bool {
	c.mu.Lock()
	first := !c.closing
	if first {
		c.closing, c.err = true, err
	}
	if c.out != nil {
		recycle(c.out)
		c.out = nil
	}
	c.mu.Unlock()
	c.m.conns.unindex(c)
	c.nc.Close()
	return first
}

// finish is the end of the reader, and so of the connection. A peer that may have sent more than was read gets a moment
// to read our answer before the socket closes: closing with unread data would reset the connection and lose the answer.
func (c *Conn) finish(err error, unread bool) {
	c.shut(err, false)
	c.writer.Wait()
	if unread {
		c.linger()
	}
	c.nc.Close()
	c.m.conns.release(c)
	close(c.done)
	c.mu.Lock()
	err = c.err
	c.mu.Unlock()
	c.m.handler.ConnClosed(c, err)
}

const (
	lingerTime  = time.Second
	lingerBytes = 256 << 10
)

// linger tells the peer that nothing more comes and discards what it still sends, within limits.
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
