package transport

import (
	"errors"
	"os"
	"time"

	"github.com/caddysip/caddysip/internal/budget"
)

// minRead is the size in bytes of the read buffer of an idle connection: most messages fit, and
// each of thousands of phones that are silent most of the time has one.
const minRead = 2 << 10

var (
	crlf = []byte("\r\n")

	errMemory = errors.New("there is no memory for what the peer sends")
)

// reader cuts what a connection sends into messages.
type reader struct {
	c       *Conn
	in      Inbound
	outbox  Outbox
	buf     []byte
	start   int // buf[:start] was handled
	end     int // buf[:end] was read
	framer  framer
	pinging bool // the last thing read was a single CRLF between messages
	timed   bool // the deadline is that of the current message
	armed   bool // there is a deadline
	unread  bool // the reader has given up before the peer had sent everything
}

// read is the connection's goroutine.
func (c *Conn) read() {
	r := &reader{c: c, buf: make([]byte, minRead)}
	r.outbox.conn, r.outbox.in = c, &r.in
	r.in.Outbox = &r.outbox
	err := r.run()
	c.resize(budget.Connections, len(r.buf)-minRead, 0)
	c.finish(err, r.unread)
}

// run reads until that fails and returns why.
func (r *reader) run() error {
	opts := &r.c.m.opts
	for {
		r.deadline()
		n, err := r.c.nc.Read(r.buf[r.end:])
		r.end += n
		if n > 0 {
			limit := r.c.flow.Limits().Message // read once, so that what is not too large has room
			r.outbox.more = r.end == len(r.buf)
			messages, bad := r.messages(limit)
			opts.Traffic(r.c.flow.Network, true, messages, n)
			r.outbox.flush()
			if bad != nil {
				if bad.Status == 400 {
					opts.Dropped(DropFraming)
				} else {
					opts.Dropped(DropTooLarge)
				}
				r.unread = true
				return bad
			}
			if !r.compact(limit) {
				return errMemory
			}
			r.throttle()
		}
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case !r.timed && r.c.flow.Listener == nil && !r.c.quiet():
		case r.timed:
			opts.Dropped(DropMessageTimeout)
			return err
		default:
			opts.Dropped(DropIdleTimeout)
			return err
		}
	}
}

// deadline sets how long to wait for more. A message has one deadline, from its first byte, which
// more bytes don't extend, so that dripping them keeps nothing open.
func (r *reader) deadline() {
	limits := r.c.flow.Limits()
	within := r.end > r.start
	if within && r.timed {
		return
	}
	wait := limits.IdleTimeout
	if wait == 0 && r.c.flow.Listener == nil {
		wait = r.c.m.opts.DialedIdle
	}
	if within {
		wait = limits.MessageTimeout
	}
	r.timed = within
	switch {
	case wait > 0:
		r.armed = true
		_ = r.c.nc.SetReadDeadline(time.Now().Add(wait))
	case r.armed:
		r.armed = false
		_ = r.c.nc.SetReadDeadline(time.Time{})
	}
}

// messages passes every complete message to the handler, and returns how many there were.
func (r *reader) messages(limit int) (n int, bad *FrameError) {
	for {
		r.keepAlive()
		data := r.buf[r.start:r.end]
		if len(data) == 0 || len(data) == 1 && data[0] == '\r' {
			return n, nil
		}
		r.pinging = false
		size, bad := r.framer.scan(data, limit)
		if bad != nil {
			if r.framer.head > 0 {
				data = data[:r.framer.head]
			}
			r.deliver(data[:min(len(data), limit)], bad)
			return n, bad
		}
		if size == 0 {
			return n, nil
		}
		r.throttle()
		if r.c.isClosing() {
			return n, nil // the next read returns the error
		}
		r.deliver(data[:size], nil)
		n++
		r.start += size
		r.framer = framer{}
		// The message is done. The next one's time starts with its own first byte.
		r.timed = false
	}
}

// throttle waits while the peer doesn't read what its messages cause: otherwise it could make us
// hold more and more.
func (r *reader) throttle() {
	if r.c.congested() {
		r.outbox.flush()
		r.c.waitUncongested()
		r.timed = false // what comes next has been waiting for us to read
	}
}

func (r *reader) deliver(data []byte, bad *FrameError) {
	r.in.Data, r.in.Flow, r.in.Err = data[:len(data):len(data)], r.c.flow, nil
	if bad != nil {
		r.in.Err = bad
	}
	r.c.m.handler.HandleMessage(&r.in)
}

// keepAlive skips the empty lines between messages (RFC 3261 §7.5), and the NULs that some clients
// keep a NAT binding open with. Two empty lines are a ping, which one answers (RFC 5626 §4.4.1).
func (r *reader) keepAlive() {
	if r.framer.seen > 0 {
		return // within a message
	}
	for ; r.start < r.end; r.start++ {
		switch {
		case r.buf[r.start] == '\n', r.buf[r.start] == 0:
		case r.buf[r.start] != '\r' || r.start+1 == r.end || r.buf[r.start+1] != '\n':
			return
		case r.pinging:
			r.pinging = false
			r.start++
			_ = r.c.queueOwn(crlf) // if it is closing, the next read returns the error
		default:
			r.pinging = true
			r.start++
		}
	}
}

// compact moves an incomplete message to the front of the buffer, and enlarges the buffer if
// needed. At rest the buffer is small again. It returns false if there is no memory.
func (r *reader) compact(limit int) bool {
	rest := r.buf[r.start:r.end]
	size := minRead
	for size <= len(rest) {
		size *= 2
	}
	size = max(min(size, limit), minRead)
	if size != len(r.buf) {
		if !r.c.resize(budget.Connections, len(r.buf)-minRead, size-minRead) {
			return false
		}
		r.buf = make([]byte, size)
	}
	copy(r.buf, rest)
	r.start, r.end = 0, len(rest)
	return true
}
