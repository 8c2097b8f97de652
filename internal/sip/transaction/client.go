package transaction

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// ClientHandler is told what happens to a client transaction. The package documentation says how it
// is called.
type ClientHandler interface {
	// OnResponse is called for each new response: the provisional ones and the final one, and after
	// a 2xx to an INVITE every further 2xx, be it a retransmission or from another branch (RFC 6026
	// §7.2). A final response other than 2xx to an INVITE has already been acknowledged, and its
	// retransmissions are absorbed. m is valid only during the call.
	OnResponse(c *Client, m *wire.Message, out *transport.Outbox)
	// OnFailure is called, once at most, when there will be no final response. err is ErrTimeout,
	// an error of the transport, or ErrClosed.
	OnFailure(c *Client, err error)
	// OnTerminated is called exactly once, when the transaction ends.
	OnTerminated(c *Client)
}

// ClientOptions are the settings of one client transaction. The zero value does what RFC 3261 says.
type ClientOptions struct {
	// MaxRetransmits limits how often the request is sent again, so that nobody can use the server
	// to flood a host that never asked for anything. The time until ErrTimeout stays the same. 0:
	// no limit; negative: never again.
	MaxRetransmits int
	// Source is where the request came from that this one forwards. Its memory and its share of a
	// connection's queue are charged to that source. Invalid: it is a request of the server itself.
	Source netip.AddrPort
	// Method and Branch are those of the request, for whoever has made it of what was read or
	// checked before: then it is not read once more, unless it may have become too large for whoever
	// gets it. Without Branch it is always read.
	Method wire.Method
	Branch []byte
}

// Client is a client transaction (RFC 3261 §17.1).
type Client struct {
	core
	handler   ClientHandler
	invite    bool
	final     bool    // the handler has been told of a final response
	cancelled *reason // of the CANCEL that was sent or will be; nil: none

	keyRoom [48]byte // enough for our branches

	after, before *Client // on the same connection; guarded by connections.mu
}

// reason is the Reason lines of a CANCEL.
type reason []byte

var errBranch = errors.New("the request's topmost Via has no branch that starts with " + wire.MagicCookie)

var errMethod = errors.New("only a request other than ACK has a client transaction")

// isSmall reports whether a message has certainly no more bytes, lines and parameters than whoever
// reads it accepts.
func isSmall(b []byte) bool {
	return len(b) <= wire.MaxSize && bytes.Count(b, []byte{'\n'}) <= wire.DefaultMaxHeaders &&
		bytes.Count(b, []byte{';'}) <= wire.MaxParams && bytes.Count(b, []byte{'&'}) <= wire.MaxParams
}

// minTimerD is the shortest timer D over UDP, whatever T1 is here: how long the server repeats its
// response depends on the server's T1 (RFC 3261 §17.1.1.2).
const minTimerD = 32 * time.Second

// NewClient sends a request, whose bytes are b, with a Via of ours on top, and makes the
// transaction that waits for the response. With out, b must not change until the batch is flushed
// (Outbox.Send); without out it is sent at once, and b belongs to the caller again. h may be nil.
// After an error there is no transaction and h is not called.
//
// The response may arrive, on another goroutine, before NewClient has returned.
func (t *Table) NewClient(
	b []byte, flow transport.Flow, h ClientHandler, out *transport.Outbox, o ClientOptions,
) (*Client, error) {
	return t.newClient(b, flow, h, out, o, true)
}

func (t *Table) newClient(
	b []byte, flow transport.Flow, h ClientHandler, out *transport.Outbox, o ClientOptions, limited bool,
) (*Client, error) {
	c := &Client{handler: h}
	raw := bytes.Clone(b)
	if o.Branch == nil || o.Method == wire.OtherMethod || !isSmall(b) {
		m, err := parse(raw)
		if err != nil {
			return nil, fmt.Errorf("reading the request to send: %w", err)
		}
		defer release(m)
		if m.IsResponse {
			return nil, errMethod
		}
		o.Method, o.Branch = m.Method, m.Via.Branch
		c.key = appendClientKey(c.keyRoom[:0], o.Method, o.Branch, m.MethodName())
	} else {
		c.key = appendClientKey(c.keyRoom[:0], o.Method, o.Branch, nil)
	}
	if o.Method == wire.ACK {
		return nil, errMethod
	}
	if via := (wire.ViaValue{Branch: o.Branch}); !via.HasMagicCookie() {
		return nil, errBranch
	}
	c.invite = o.Method == wire.INVITE
	c.flow = flow
	if o.Source.IsValid() {
		c.account = t.account(o.Source.Addr())
	}
	c.messageBytes = len(raw)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.start(t, c, limited); err != nil {
		return nil, err
	}
	if flow.Conn != nil {
		// Before it is sent, so that a connection that closes after it finds the transaction.
		t.conns.add(c)
	}
	if out == nil && flow.Conn != nil && o.Source.IsValid() {
		out = transport.OutboxFrom(o.Source)
	}
	if err := t.send(flow, b, out); err != nil {
		t.remove(c)
		c.state, c.reported = terminated, true
		return nil, err
	}
	now := t.wheel.now()
	c.due = now + 64*t.opts.T1 // timers B and F
	c.retransmitsLeft = int16(max(-1, min(o.MaxRetransmits, 1<<15-1)))
	if !flow.Network.Reliable() && c.retransmitsLeft >= 0 {
		c.interval = t.opts.T1
		c.resend = now + c.interval // timers A and E
	}
	if c.resend != 0 || c.invite {
		c.message = raw
	} else {
		c.hold(-len(raw))
	}
	c.arm()
	return c, nil
}

// Abandon is for a caller that has lost interest: the handler is not called any more. The
// transaction goes on to its end, which comes after 64*T1 for an INVITE that is ringing.
func (c *Client) Abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handler = nil
	c.limitRinging()
}

// Hush sends the request no more. A response is still awaited, as long as it would be otherwise.
func (c *Client) Hush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state < completed {
		c.resend = 0
		c.arm()
	}
}

// limitRinging makes sure that an INVITE that is ringing ends although nobody is there to cancel
// it.
func (c *Client) limitRinging() {
	if c.invite && c.state == proceeding && c.due == 0 && c.handler == nil {
		c.due = c.table.wheel.now() + 64*c.table.opts.T1
		c.arm()
	}
}

// Cancel cancels an INVITE (RFC 3261 §9.1): at once if a provisional response has come, otherwise
// as soon as one comes, and not at all once a final one has. The server then answers the INVITE
// with 487, which OnResponse is called with as with any other response. If it doesn't within 64*T1,
// the transaction fails with ErrTimeout.
//
// lines are the Reason lines that the CANCEL has (RFC 3326); nil: none.
func (c *Client) Cancel(lines []byte, out *transport.Outbox) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.invite || c.cancelled != nil || c.state > proceeding {
		return
	}
	c.cancelled = (*reason)(&lines)
	if c.state == proceeding {
		c.sendCancel(out)
	}
}

func (c *Client) sendCancel(out *transport.Outbox) {
	c.due = c.table.wheel.now() + 64*c.table.opts.T1
	c.arm()
	invite, err := parse(c.message)
	if err != nil {
		return
	}
	defer release(invite)
	// If it cannot be sent, the INVITE times out.
	cancel := invite.AppendCANCEL(buffer(out), *c.cancelled)
	_, _ = c.table.newClient(cancel, c.flow, nil, out, ClientOptions{}, false)
}

// receive handles a response, and reports whether it belongs to this transaction.
func (c *Client) receive(m *wire.Message, flow transport.Flow, out *transport.Outbox) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A response comes over the transport of the request (RFC 3261 §18.2.2), so nobody can answer
	// with a datagram what went over TLS. Its source address is not checked: by RFC 3261 §17.1.3
	// branch and method decide, a host with several addresses may answer from another one, and a
	// server opens a new connection when ours is gone. Nobody else can answer, because a branch has
	// 64 random bits that only those have seen who got the request.
	if c.state == terminated || flow.Network != c.flow.Network {
		return false
	}
	if !flow.Network.Reliable() && flow.Remote == c.flow.Remote {
		c.table.opts.MarkValidated(flow)
	}
	var isNew bool
	switch {
	case m.Status < 200:
		isNew = c.provisional(out)
	case !c.invite:
		isNew = c.answer()
	case m.Status < 300:
		isNew = c.success()
	default:
		isNew = c.failure(m, out)
	}
	if isNew {
		first := m.Status >= 200 && !c.final
		c.final = c.final || first
		c.deliver(c, event{kind: responseEvent, m: m, final: first}, out)
	} else {
		c.table.opts.Count(Absorbed)
	}
	return true
}

func (c *Client) provisional(out *transport.Outbox) bool {
	switch {
	case c.state > proceeding:
		return false
	case c.state == proceeding:
		return true
	}
	c.state = proceeding
	if !c.invite {
		return true // timers E and F go on
	}
	c.resend, c.due = 0, 0
	if c.cancelled != nil {
		c.sendCancel(out)
	} else {
		c.arm()
		c.limitRinging()
	}
	return true
}

// answer handles the final response to a request other than INVITE.
func (c *Client) answer() bool {
	if c.state > proceeding {
		return false
	}
	c.complete(c.table.opts.T4) // timer K
	c.keep(nil)
	return true
}

// complete enters the state that absorbs retransmissions of the final response. On a reliable
// transport it takes no time.
func (c *Client) complete(wait time.Duration) {
	c.state, c.resend = completed, 0
	c.due = c.table.wheel.now()
	if !c.flow.Network.Reliable() {
		c.due += wait
	}
	c.arm()
}

// success handles a 2xx to an INVITE. One that follows another final response comes from a server
// that is out of order.
func (c *Client) success() bool {
	switch {
	case c.state == accepted:
		return true
	case c.state > proceeding:
		return false
	}
	c.keep(nil)
	c.state, c.resend = accepted, 0
	c.due = c.table.wheel.now() + 64*c.table.opts.T1 // timer M
	c.arm()
	return true
}

// failure handles another final response to an INVITE, and acknowledges it each time it comes (RFC
// 3261 §17.1.1.2).
func (c *Client) failure(m *wire.Message, out *transport.Outbox) bool {
	if c.state > proceeding {
		if c.state == completed && c.message != nil {
			_ = c.table.send(c.flow, c.message, out) // if it is lost the response comes again
		}
		return false
	}
	c.complete(max(minTimerD, 64*c.table.opts.T1))
	invite, err := parse(c.message)
	if err != nil {
		c.keep(nil)
		return true
	}
	defer release(invite)
	// From here on the ACK is what is sent again, so it replaces the INVITE.
	c.keep(invite.AppendACK(make([]byte, 0, 512), m))
	_ = c.table.send(c.flow, c.message, out)
	return true
}

func (c *Client) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.table.wheel.now()
	switch {
	case c.state == terminated:
	case c.due != 0 && now >= c.due:
		var err error
		if c.state <= proceeding {
			err = ErrTimeout
		}
		c.end(c, err)
	default:
		next := 2 * c.interval
		switch {
		case c.invite:
		case c.state == proceeding:
			next = c.table.opts.T2
		default:
			next = min(next, c.table.opts.T2)
		}
		if err := c.retransmit(now, next); err != nil {
			c.end(c, err)
			break
		}
		c.arm()
		return
	}
	c.report(c)
}

func (c *Client) call(e event, out *transport.Outbox) {
	h := c.handler
	if h == nil {
		return
	}
	if e.kind == endEvent {
		err := e.err
		if c.final {
			err = nil
		}
		c.mu.Unlock()
		defer c.mu.Lock()
		c.callEnd(h, err)
		return
	}
	c.mu.Unlock()
	defer c.mu.Lock()
	defer c.table.recovered()
	m := e.m
	if m == nil {
		var err error
		if m, err = parse(e.raw); err != nil {
			return
		}
		defer release(m)
	}
	h.OnResponse(c, m, out)
}

// callEnd makes both calls, even if the first panics.
func (c *Client) callEnd(h ClientHandler, err error) {
	defer c.table.recovered()
	defer h.OnTerminated(c)
	if err != nil {
		h.OnFailure(c, err)
	}
}
