// Package transaction is the transaction layer of a server that is a proxy, a UAS and a UAC at once: RFC 3261 §17 as
// corrected by RFC 6026.
//
// A transaction is made only when somebody needs one. It is driven by calls: there is no goroutine and no timer of
// the runtime per transaction, and what is kept of a message are its bytes.
//
// Handlers are called by Request, by Response and by the table's timer goroutine, never by another function of this
// package: whoever calls NewServer, NewClient, Respond or Cancel may hold a lock that its handler takes. No lock of
// this package is held while a handler runs, and the calls to the handler of one transaction come one after the
// other. A handler must not block, and must not call Close.
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
	// ErrFull is returned when the table holds as many transactions as it may.
	ErrFull = errors.New("too many transactions")
	// ErrExists is returned when the transaction exists already, as when two readers got the same request at once.
	ErrExists = errors.New("the transaction exists already")
	// ErrState is returned for a response that the transaction's state does not allow, as after a final response.
	// Nothing was sent.
	ErrState = errors.New("the transaction has sent a final response or has ended")
	// ErrTimeout tells that a request got no final response in time, or a final response to an INVITE no ACK.
	ErrTimeout = errors.New("the transaction timed out")
	// ErrClosed tells that the table is closed.
	ErrClosed = errors.New("the transaction table is closed")
)

// Options are the settings of a Table. The zero value has the defaults.
type Options struct {
	// T1 is the round-trip time estimate (RFC 3261 §17.1.1.1). Default 500 ms.
	T1 time.Duration
	// T2 is the longest time between retransmissions of what is not an INVITE. Default 4 s.
	T2 time.Duration
	// T4 is how long a message stays in the network. Default 5 s.
	T4 time.Duration
	// Max limits the transactions in all, where the limits of the flow's listener don't. Default DefaultMax. The CANCEL of an
	// INVITE that is held already is let in all the same.
	Max int
	// Proven tells whether what is sent to a UDP address is received by whoever uses that address as a source. nil: always.
	Proven func(transport.Flow) bool
	// Prove is called with the flow of a request over UDP that was answered from where it was sent, which shows just that:
	// the branch is known to nobody else. It may be nil. It must not block, and is called with locks of this package held.
	Prove func(transport.Flow)
	// Budget is what the memory of transactions is taken from; nil has no end.
	Budget *budget.Budget
	// Count is called for each Event; it may be nil. It must not block, and may be called with locks of this package
	// held.
	Count func(Event)
	// Recovered is called with the value of a panic in a handler or a function given to AfterFunc, from the deferred
	// call, so that the stack is there. When it is nil, the panic goes on.
	Recovered func(value any)
}

// DefaultMax is how many transactions there may be, if there is memory for so many.
const DefaultMax = 1_000_000

// Event is something worth counting.
type Event uint8

const (
	// Absorbed is a retransmitted request or response, or an ACK, that went no further.
	Absorbed Event = iota
	// Retransmitted is a message sent again because time passed.
	Retransmitted
	// TimedOut is a transaction that ended with ErrTimeout.
	TimedOut
	// Stray is a response to no request of ours.
	Stray
	// Spoofed is a CANCEL that did not come from where its INVITE came from.
	Spoofed
	// Full is a transaction refused with ErrFull.
	Full
)

// String returns the event as the label of a metric.
func (e Event) String() string {
	return [...]string{"absorbed", "retransmitted", "timed_out", "stray", "spoofed_cancel", "full"}[e]
}

// Table holds transactions. It is safe for concurrent use.
type Table struct {
	opts   Options
	wheel  *wheel
	seed   maphash.Seed
	shards [64]shard
	conns  connections
	count  atomic.Int64
	closed atomic.Bool

	accounts [accounts]account // of sources

	// A test puts its own there.
	send func(transport.Flow, []byte, *transport.Outbox) error
	mask uint64 // the bits of a hash that are used
}

// shard is a part of the table with a lock of its own. It fills a cache line, so that the locks of two don't share
// one.
type shard struct {
	mu  sync.Mutex
	all map[uint64]transaction // by the hash of the key; those with the same hash are chained
	_   [48]byte
}

// NewTable makes a table and starts the goroutine of its timers, which Close ends.
func NewTable(o Options) *Table {
	defaultTo(&o.T1, 500*time.Millisecond)
	defaultTo(&o.T2, 4*time.Second)
	defaultTo(&o.T4, 5*time.Second)
	defaultTo(&o.Max, DefaultMax)
	if o.Proven == nil {
		o.Proven = func(transport.Flow) bool { return true }
	}
	if o.Prove == nil {
		o.Prove = func(transport.Flow) {}
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

// send sends through the batch if there is one. A datagram that the socket did not take counts as one that the
// network lost.
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

// Close ends all transactions with ErrClosed, which their handlers are told, and all timers. It returns when the last
// handler has.
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

// Len returns the number of transactions held.
func (t *Table) Len() int { return int(t.count.Load()) }

// Request gives a received request to the transaction it belongs to: a retransmission is answered from memory, an ACK
// to a final response other than 2xx is absorbed, a CANCEL is answered with 200 and told to the INVITE's handler.
// False means that it is new, which an ACK to a 2xx is, and a CANCEL of nothing that we know. out may be nil.
func (t *Table) Request(m *wire.Message, flow transport.Flow, out *transport.Outbox) bool {
	if t.count.Load() == 0 {
		return false
	}
	var room [keyRoom]byte
	s, ok := t.find(appendServerKey(room[:0], m)).(*Server)
	if !ok {
		return false
	}
	switch m.Method {
	case wire.CANCEL:
		return s.cancel(m, flow, out)
	case wire.ACK:
		return s.ack(m)
	}
	return s.again(out)
}

// Response gives a received response to its client transaction. False means that there is none. out may be nil.
func (t *Table) Response(m *wire.Message, flow transport.Flow, out *transport.Outbox) bool {
	var room [keyRoom]byte
	c, ok := t.find(appendClientKey(room[:0], m)).(*Client)
	if !ok || !c.receive(m, flow, out) {
		t.opts.Count(Stray)
		return false
	}
	return true
}

// find returns the transaction with that key, nil when there is none.
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

// hash is seeded, so nobody can choose branches that share one.
func (t *Table) hash(key []byte) uint64 { return maphash.Bytes(t.seed, key) & t.mask }

func (t *Table) shard(hash uint64) *shard { return &t.shards[hash>>58] }

// insert adds a transaction, whose key is set.
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
	// Close sets closed before it looks into the shard: what gets in here, it finds.
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

// limit is how many transactions there may be when another one is made for a flow.
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
