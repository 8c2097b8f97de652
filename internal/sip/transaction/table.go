package transaction

import (
	"bytes"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

var (
	// ErrFull is returned when the table, or the listener of the flow, has as many transactions as
	// it may, or when there is no memory left for another.
	ErrFull = errors.New("too many transactions")
	// ErrExists is returned by NewServer and NewClient when the transaction exists already, as when
	// two readers got the same request at once.
	ErrExists = errors.New("the transaction exists already")
	// ErrState is returned for a response that the state of the transaction does not allow, such as
	// a second final one. Nothing has been sent.
	ErrState = errors.New("the transaction has sent a final response or has ended")
	// ErrTimeout is passed to handlers when a request gets no final response in time, or a final
	// response to an INVITE no ACK.
	ErrTimeout = errors.New("the transaction timed out")
	// ErrClosed is returned, and passed to handlers, when the table is closed.
	ErrClosed = errors.New("the transaction table is closed")
)

// Options are the settings of a Table. The zero value has the defaults.
type Options struct {
	// T1 is the estimate of the round-trip time (RFC 3261 §17.1.1.1). Default 500 ms.
	T1 time.Duration
	// T2 is the longest time between retransmissions of a request other than INVITE, and of a
	// response to INVITE (RFC 3261 §17.1.2.2, §17.2.1). Default 4 s.
	T2 time.Duration
	// T4 is the longest time that a message stays in the network (RFC 3261 §17.1.2.2). Default 5 s.
	T4 time.Duration
	// Max is the largest number of transactions in all, for flows whose listener sets no limit of
	// its own. Default DefaultMax. The CANCEL of an INVITE that has a transaction is not counted
	// against it.
	Max int
	// Validated reports whether whoever uses the remote address of a UDP flow as a source is known
	// to receive what is sent to it. nil: always.
	Validated func(transport.Flow) bool
	// MarkValidated is called with the flow of a UDP request that was answered from the address it
	// was sent to. That answer shows what Validated asks for: nobody else knows the branch. It may
	// be nil. It must not block, and is called with locks of this package held.
	MarkValidated func(transport.Flow)
	// Budget is what the memory of transactions is taken from; nil: no limit.
	Budget *budget.Budget
	// Count is called for each Event; it may be nil. It must not block, and may be called with
	// locks of this package held.
	Count func(Event)
	// Recovered is called with the value of a panic in a handler or in a function given to
	// AfterFunc. It runs in the deferred call, so it can take the stack. When it is nil, the panic
	// goes on.
	Recovered func(value any)
}

// DefaultMax is the default of Options.Max: a million, if there is memory for so many.
const DefaultMax = 1_000_000

// Event is something that Options.Count counts.
type Event uint8

const (
	// Absorbed is a retransmitted request or response, or an ACK, that was not passed on to a
	// handler.
	Absorbed Event = iota
	// Retransmitted is a message that was sent again because a timer fired.
	Retransmitted
	// TimedOut is a transaction that ended with ErrTimeout.
	TimedOut
	// Stray is a response that belongs to no client transaction.
	Stray
	// Spoofed is a CANCEL that did not come from where its INVITE came from.
	Spoofed
	// Full is a transaction refused with ErrFull.
	Full
	// Unreachable is a request that could not be delivered, as the network says.
	Unreachable
)

// String returns the event's value for the label of a metric.
func (e Event) String() string {
	return [...]string{"absorbed", "retransmitted", "timed_out", "stray", "spoofed_cancel", "full", "unreachable"}[e]
}

// Table holds the transactions of a server, and their timers. It is safe for concurrent use.
type Table struct {
	opts   Options
	wheel  *wheel
	seed   maphash.Seed
	shards [64]shard
	conns  connections
	count  atomic.Int64
	closed atomic.Bool

	accounts [accounts]account // what the transactions of each source take

	// Tests replace these two.
	send func(transport.Flow, []byte, *transport.Outbox) error
	mask uint64 // bits of a hash that count
}

// shard is a part of the table with a lock of its own. It fills a cache line, so that the locks of
// two shards don't share one.
type shard struct {
	mu  sync.Mutex
	all map[uint64]transaction // by the hash of the key; core.chain links those that share one
	_   [48]byte
}

// NewTable returns an empty table and starts the goroutine of its timers, which Close ends.
func NewTable(o Options) *Table {
	defaultTo(&o.T1, 500*time.Millisecond)
	defaultTo(&o.T2, 4*time.Second)
	defaultTo(&o.T4, 5*time.Second)
	defaultTo(&o.Max, DefaultMax)
	if o.Validated == nil {
		o.Validated = func(transport.Flow) bool { return true }
	}
	if o.MarkValidated == nil {
		o.MarkValidated = func(transport.Flow) {}
	}
	if o.Count == nil {
		o.Count = func(Event) {}
	}
	t := &Table{opts: o, wheel: newWheel(), seed: maphash.MakeSeed(), send: send, mask: 1<<64 - 1}
	t.conns.first = make(map[*transport.Conn]*Client)
	for i := range t.shards {
		t.shards[i].all = make(map[uint64]transaction)
	}
	return t
}

func defaultTo[T int | time.Duration](v *T, value T) {
	if *v <= 0 {
		*v = value
	}
}

// send sends through the batch, if there is one. A datagram for which the socket has no room counts
// as lost in the network.
func send(flow transport.Flow, b []byte, out *transport.Outbox) error {
	var err error
	if out != nil {
		err = out.Send(flow, b)
	} else {
		err = flow.Send(b)
	}
	if errors.Is(err, transport.ErrWouldBlock) {
		return nil
	}
	return err
}

// buffer returns room for a message that is sent with out.
func buffer(out *transport.Outbox) []byte {
	if out == nil {
		return nil
	}
	return out.Buffer()
}

// Close ends all transactions with ErrClosed, which their handlers are told, and stops all timers.
// It returns when the last handler has returned.
func (t *Table) Close() {
	if t.closed.Swap(true) {
		<-t.wheel.stopped
		return
	}
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		var all []transaction
		for _, x := range s.all {
			for ; x != nil; x = x.base().chain {
				all = append(all, x)
			}
		}
		s.mu.Unlock()
		for _, x := range all {
			c := x.base()
			c.mu.Lock()
			c.endSoon(x, ErrClosed)
			c.mu.Unlock()
		}
	}
	t.wheel.close()
}

// Len returns the number of transactions in the table.
func (t *Table) Len() int { return int(t.count.Load()) }

// Request passes a received request to its transaction: a retransmission is answered from memory,
// an ACK for a final response other than 2xx is absorbed, and a CANCEL is answered with 200 and
// reported to the handler of the INVITE. Request returns false for a request without a transaction:
// a new one, an ACK for a 2xx, or a CANCEL of nothing known. out may be nil.
func (t *Table) Request(m *wire.Message, flow transport.Flow, out *transport.Outbox) bool {
	if t.count.Load() == 0 {
		return false
	}
	var buf [keyBufSize]byte
	s, ok := t.find(appendServerKey(buf[:0], m)).(*Server)
	if !ok {
		return false
	}
	switch m.Method {
	case wire.CANCEL:
		return s.cancel(m, flow, out)
	case wire.ACK:
		return s.ack(m)
	}
	return s.resendLast(out)
}

// Response passes a received response to its client transaction, and reports whether it has one.
// out may be nil.
func (t *Table) Response(m *wire.Message, flow transport.Flow, out *transport.Outbox) bool {
	var buf [keyBufSize]byte
	c, ok := t.find(appendClientKey(buf[:0], m.Method, m.Via.Branch, m.MethodName())).(*Client)
	if !ok || !c.receive(m, flow, out) {
		t.opts.Count(Stray)
		return false
	}
	return true
}

// find returns the transaction with that key, or nil.
func (t *Table) find(key []byte) transaction {
	hash := t.hash(key)
	s := t.shard(hash)
	s.mu.Lock()
	x := s.all[hash]
	for x != nil && !bytes.Equal(x.base().key, key) {
		x = x.base().chain
	}
	s.mu.Unlock()
	return x
}

// hash returns the hash of a key. It has a random seed, so that nobody can choose branches that
// share one.
func (t *Table) hash(key []byte) uint64 { return maphash.Bytes(t.seed, key) & t.mask }

func (t *Table) shard(hash uint64) *shard { return &t.shards[hash>>58] }

// insert adds a transaction, whose key is set. With limited, it observes the limits on number and
// memory.
func (t *Table) insert(x transaction, limited bool) error {
	c := x.base()
	c.hash = t.hash(c.key)
	if n := t.count.Add(1); limited && n > t.limit(c) {
		t.count.Add(-1)
		t.opts.Count(Full)
		return ErrFull
	}
	if !c.take(limited) {
		t.count.Add(-1)
		t.opts.Count(Full)
		return ErrFull
	}
	s := t.shard(c.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	// Close sets closed before it goes through the shards, so it finds whatever has got in here
	// before.
	err := error(nil)
	if t.closed.Load() {
		err = ErrClosed
	}
	for other := s.all[c.hash]; other != nil; other = other.base().chain {
		if bytes.Equal(other.base().key, c.key) {
			err = ErrExists
		}
	}
	if err != nil {
		t.count.Add(-1)
		c.give()
		return err
	}
	c.chain = s.all[c.hash]
	s.all[c.hash] = x
	return nil
}

// limit returns the largest number of transactions there may be when another one is made for the
// flow of c.
func (t *Table) limit(c *core) int64 {
	if l := c.flow.Listener; l != nil && l.Limits().Transactions > 0 {
		return int64(l.Limits().Transactions)
	}
	return int64(t.opts.Max)
}

func (t *Table) remove(x transaction) {
	if c, ok := x.(*Client); ok && c.flow.Conn != nil {
		t.conns.remove(c)
	}
	c := x.base()
	s := t.shard(c.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[c.hash] == x {
		if c.chain == nil {
			delete(s.all, c.hash)
		} else {
			s.all[c.hash] = c.chain
		}
	} else {
		before := s.all[c.hash].base()
		for before.chain != x {
			before = before.chain.base()
		}
		before.chain = c.chain
	}
	c.chain = nil
	t.count.Add(-1)
	c.give()
}

// recovered is deferred around every call to a handler.
func (t *Table) recovered() {
	if t.opts.Recovered == nil {
		return
	}
	if v := recover(); v != nil {
		t.opts.Recovered(v)
	}
}
