package transaction

import (
	"bytes"
	"sync"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// state is the state of a transaction. The four state machines share the names; an INVITE's client transaction is in
// trying where RFC 3261 says Calling.
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
	// call calls the handler for an event. The lock is held when it is called and when it returns, and not while the
	// handler runs.
	call(e event, out *transport.Outbox)
}

// core is what server and client transactions have in common. The key, the flow, the account and the table never change, mu
// guards the rest, except for chain, which belongs to the shard.
type core struct {
	table *Table
	key   []byte
	hash  uint64
	chain transaction
	flow  transport.Flow

	account *account // of who has sent the request; nil: nobody
	held    int      // bytes of messages, guarded by mu

	mu       sync.Mutex
	timer    Timer
	state    state
	reported bool // the handler has been told of the end
	busy     bool // a handler runs
	left     int16
	message  []byte        // what is sent again. It is replaced, never changed: a batch that is not flushed may still hold it
	resend   time.Duration // when it is sent again, 0: not at all
	interval time.Duration // from the last sending to resend
	due      time.Duration // when the state times out, 0: never
	err      error         // why it has ended
	queue    []event       // what the handler is told next
}

func (c *core) base() *core { return c }

// start enters the transaction into the table. The lock is held until its first state is set up.
func (c *core) start(t *Table, x transaction, limited bool) error {
	c.table = t
	c.timer.wheel, c.timer.owner = t.wheel, x
	return t.insert(x, limited)
}

// arm sets the timer to what comes next. One timer is enough: of the two that a state has, one retransmits and one
// ends.
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

// retransmit sends the message again if it is time, and plans the next time. What comes at the moment when the state
// ends is left out.
func (c *core) retransmit(now, next time.Duration) error {
	if c.resend == 0 || now < c.resend {
		return nil
	}
	// From the planned time, so that a late tick moves nothing; but no volley after a pause of the whole process.
	if now-c.resend > 2*tick {
		c.resend = now
	}
	c.interval = next
	c.resend += next
	if c.left > 0 {
		if c.left--; c.left == 0 {
			c.resend = 0
		}
	}
	c.table.opts.Count(Retransmitted)
	return c.table.send(c.flow, c.message, nil)
}

// endSoon ends the transaction. The timer goroutine tells the handler, on its next tick.
func (c *core) endSoon(x transaction, err error) {
	if c.state != terminated {
		c.end(x, err)
		c.arm()
	}
}

// end takes the transaction out of the table. To tell the handler is left.
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
		c.deliver(x, event{kind: ended, err: c.err}, nil)
	}
}

// event is something that a handler is told.
type event struct {
	kind uint8
	m    *wire.Message // what has been received; only while the reader waits
	raw  []byte        // the same, when it does not
	must bool          // it is the final response: the handler must be told
	err  error
}

const (
	received uint8 = iota
	cancelled
	ended
)

// maxQueue limits the responses that wait for a handler. What is beyond that is lost, as on the network, except for the
// final response: the transaction absorbs its retransmissions.
const maxQueue = 32

// deliver tells the handler, or leaves that to the goroutine that is telling it something already: nobody waits, and
// the order is kept. The lock is held, except while the handler runs.
func (c *core) deliver(x transaction, e event, out *transport.Outbox) {
	if c.busy {
		if e.kind == received {
			if len(c.queue) >= maxQueue && !e.must {
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

// messages are views for the rare times when kept bytes are read again.
var messages = sync.Pool{New: func() any { return new(wire.Message) }}

// parse reads raw into a view that release takes back.
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
