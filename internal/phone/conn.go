package phone

import (
	"bufio"
	"io"
	"net"
	"sync"

	"github.com/emiago/sipgo/sip"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// packetConn is the phone's UDP socket.
type packetConn struct {
	net.PacketConn
	trace   func(sent bool, message string)
	reading chan struct{} // closed when somebody reads
	once    sync.Once
}

func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.once.Do(func() { close(c.reading) })
	n, addr, err := c.PacketConn.ReadFrom(b)
	if err == nil && c.trace != nil {
		c.trace(false, string(b[:n]))
	}
	return n, addr, err
}

func (c *packetConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if c.trace != nil {
		c.trace(true, string(b))
	}
	return c.PacketConn.WriteTo(b, addr)
}

// streamConn is the phone's connection: to sipgo a net.Conn to read from and a
// sip.Connection to write to.
type streamConn struct {
	net.Conn
	trace    func(sent bool, message string)
	received splitter      // only the reader's
	accepted chan struct{} // closed when sipgo begins to read
	usable   chan struct{} // closed by link when it may
	lost     chan struct{} // closed when nothing more comes
	onLost   func()
	readOnce sync.Once
	lostOnce sync.Once
}

func newStreamConn(conn net.Conn, trace func(bool, string)) *streamConn {
	return &streamConn{
		Conn: conn, trace: trace, onLost: func() {},
		accepted: make(chan struct{}), usable: make(chan struct{}), lost: make(chan struct{}),
	}
}

// Read returns io.EOF for every error: sipgo would log others, and a phone often loses its
// connection.
func (c *streamConn) Read(b []byte) (int, error) {
	c.readOnce.Do(func() {
		close(c.accepted)
		select {
		case <-c.usable:
		case <-c.lost:
		}
	})
	n, err := c.Conn.Read(b)
	if n > 0 && c.trace != nil {
		c.received.add(b[:n], func(message string) { c.trace(false, message) })
	}
	if err != nil {
		c.Close()
		err = io.EOF
	}
	return n, err
}

// WriteMsg sends a message in one piece, so that those of several goroutines
// do not mix.
func (c *streamConn) WriteMsg(msg sip.Message) error {
	text := msg.String()
	if c.trace != nil {
		c.trace(true, text)
	}
	_, err := io.WriteString(c.Conn, text)
	return err
}

// Ref and TryClose keep sipgo from closing the connection when no transaction
// uses it.
func (c *streamConn) Ref(int) int            { return 1 }
func (c *streamConn) TryClose() (int, error) { return 1, nil }

func (c *streamConn) Close() error {
	c.lostOnce.Do(func() {
		close(c.lost)
		c.Conn.Close()
		c.onLost()
	})
	return nil
}

func (c *streamConn) isLost() bool {
	select {
	case <-c.lost:
		return true
	default:
		return false
	}
}

// acceptQueue is a net.Listener whose connections are put into it.
type acceptQueue struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newAcceptQueue() *acceptQueue {
	return &acceptQueue{conns: make(chan net.Conn), done: make(chan struct{})}
}

// add reports false when the queue has been closed.
func (q *acceptQueue) add(c net.Conn) bool {
	select {
	case q.conns <- c:
		return true
	case <-q.done:
		return false
	}
}

func (q *acceptQueue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

func (q *acceptQueue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

func (q *acceptQueue) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero} }

// webSocketConn makes a stream of a WebSocket's messages: each Write is one
// (RFC 7118 §5), and what comes in is read one after the other.
type webSocketConn struct {
	net.Conn
	in      io.Reader
	pending []byte // of a message that is not read to its end
	writing sync.Mutex
}

// newWebSocketConn returns a connection whose first bytes may be in buffered.
func newWebSocketConn(conn net.Conn, buffered *bufio.Reader) *webSocketConn {
	c := &webSocketConn{Conn: conn, in: conn}
	if buffered != nil {
		c.in = buffered
	}
	return c
}

func (c *webSocketConn) Read(b []byte) (int, error) {
	for len(c.pending) == 0 {
		// Pings are answered on the way.
		data, _, err := wsutil.ReadServerData(struct {
			io.Reader
			io.Writer
		}{c.in, writerFunc(c.writeRaw)})
		if err != nil {
			return 0, err
		}
		c.pending = data
	}
	n := copy(b, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}

func (c *webSocketConn) Write(b []byte) (int, error) {
	frame, err := ws.CompileFrame(ws.MaskFrame(ws.NewTextFrame(b)))
	if err != nil {
		return 0, err
	}
	if _, err := c.writeRaw(frame); err != nil {
		return 0, err
	}
	return len(b), nil
}

// writeRaw keeps the frames of several writers apart.
func (c *webSocketConn) writeRaw(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.Conn.Write(b)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
