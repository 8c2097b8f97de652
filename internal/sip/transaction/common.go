package transaction

import (
	"bytes"
	"sync"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// state is the state of a transaction. The four state machines share the names; the client
// transaction of an INVITE is in trying where RFC 3261 says Calling.
type state uint8

const (
	trying state = iota
	proceeding
	accepted // RFC 6026 §7
	completed
	confirmed
	terminated
)

// transaction is a *Server or a *Client.
type transaction interface {
	expirer
	base() *core
	// call calls the handler for an event. The lock is held when call is called and when it
	// returns, but not while the handler runs.
	call(e event, out *transport.Outbox)
}

// core is what server and client transactions have in common. The key, the flow, the account and
// the table never change; mu guards the rest, except for chain, which belongs to the shard.
type core struct {
	table *Table
	key   []byte
	hash  uint64
	chain transaction
	flow  transport.Flow

	account      *account // of the source of the request; nil: the server itself
	messageBytes int      // bytes of the messages it keeps, guarded by mu

	mu              sync.Mutex
	timer           Timer
	state           state
	reported        bool          // the handler has been told of the end
	busy            bool          // a handler runs
	retransmitsLeft int16         // 0: no limit; negative: none
	message         []byte        // what is sent again; replaced, not changed: an unflushed batch may hold it
	resend          time.Duration // when message is sent again; 0: never
	interval        time.Duration // from the last time it was sent to resend
	due             time.Duration // when the state times out; 0: never
	err             error         // why it has ended
	queue           []event       // calls that wait for the handler to return
}

func (c *core) base() *core { return c }

// start adds the transaction to the table. The caller holds the lock until the first state is set
// up.
func (c *core) start(t *Table, x transaction, limited bool) error {
	c.table = t
	c.timer.wheel, c.timer.owner = t.wheel, x
	return t.insert(x, limited)
}

// arm sets the timer to what comes next. One timer is enough: a state has at most two, one that
// retransmits and one that ends it.
func (c *core) arm() {
	at := c.due
	if c.resend != 0 && (at == 0 || c.resend < at) {
		at = c.resend
	}
	if at == 0 {
		c.table.wheel.cancel(&c.timer)
	} else {
		c.table.wheel.set(&c.timer, at)
	}
}

// retransmit sends the message again if it is time to, and sets when to do it next. It is not
// called when the state ends at the same moment.
func (c *core) retransmit(now, next time.Duration) error {
	if c.resend == 0 || now < c.resend {
		return nil
	}
	// Count from the planned time, so that a late tick moves nothing; but send no volley after the
	// whole process has paused.
	if now-c.resend > 2*tick {
		c.resend = now
	}
	c.interval = next
	c.resend += next
	if c.retransmitsLeft > 0 {
		if c.retransmitsLeft--; c.retransmitsLeft == 0 {
			c.resend = 0
		}
	}
	c.table.opts.Count(Retransmitted)
	return c.table.send(c.flow, c.message, nil)
}

// endSoon ends the transaction. The timer goroutine tells the handler on its next tick.
func (c *core) endSoon(x transaction, err error) {
	if c.state != terminated {
		c.end(x, err)
		c.arm()
	}
}

// end removes the transaction from the table. It does not tell the handler.
func (c *core) end(x transaction, err error) {
	c.table.remove(x)
	c.state, c.err, c.message = terminated, err, nil // remove has given back what it took
	c.resend, c.due = 0, c.table.wheel.now()+tick
	if err == ErrTimeout {
		c.table.opts.Count(TimedOut)
	}
}

// report tells the handler of the end, once.
func (c *core) report(x transaction) {
	if !c.reported {
		c.reported = true
		c.timer.Stop()
		c.deliver(x, event{kind: endEvent, err: c.err}, nil)
	}
}

// event is a call to the handler.
type event struct {
	kind  uint8
	m     *wire.Message // the response; only while the reader waits
	raw   []byte        // the response, when the reader does not wait
	final bool          // it is the first final response: the handler must be told
	err   error
}

const (
	responseEvent uint8 = iota
	cancelEvent
	endEvent
)

// maxQueue limits the responses that wait for a handler. What is beyond that is lost, as it might
// be in the network; but not the final response, because the transaction absorbs its
// retransmissions.
const maxQueue = 32

// deliver calls the handler, or, if it is running, leaves the call to the goroutine that runs it:
// nobody waits, and the order is kept. The lock is held, except while the handler runs.
func (c *core) deliver(x transaction, e event, out *transport.Outbox) {
	if c.busy {
		if e.kind == responseEvent {
			if len(c.queue) >= maxQueue && !e.final {
				return
			}
			e.raw, e.m = bytes.Clone(e.m.Raw), nil
		}
		c.queue = append(c.queue, e)
		return
	}
	c.busy = true
	defer func() { c.busy = false }()
	for {
		x.call(e, out)
		if len(c.queue) == 0 {
			c.queue = nil
			return
		}
		e, c.queue = c.queue[0], c.queue[1:]
	}
}

// messages are views for the rare case that kept bytes are read again.
var messages = sync.Pool{New: func() any { return new(wire.Message) }}

// parse parses raw into a view that must be given back with release.
func parse(raw []byte) (*wire.Message, error) {
	m := messages.Get().(*wire.Message)
	if err := m.Parse(raw); err != nil {
		release(m)
		return nil, err
	}
	return m, nil
}

func release(m *wire.Message) {
	m.Raw, m.Via = nil, wire.ViaValue{}
	messages.Put(m)
}
