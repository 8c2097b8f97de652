package budget

import (
	"fmt"
	"sync/atomic"
)

// Kind is what memory is held for.
type Kind uint8

const (
	Bindings     Kind = iota // registrations
	Keys                     // key records, and what phones are known to show
	Transactions             // and the messages in them
	Connections              // and their read buffers
	Queues                   // messages queued for slow peers
	Waiting                  // requests that wait for a look-up or a connection
	Calls                    // the state of calls beyond their transactions
	Events                   // events that subscribers may still ask for
	kinds
)

// String returns the kind as the label of a metric.
func (k Kind) String() string {
	return [...]string{"bindings", "keys", "transactions", "connections", "queues", "waiting", "calls", "events"}[k]
}

// Kinds returns all kinds.
func Kinds() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// shares is how much of the ceiling each kind may take at most, in 64ths, so that a flood of one
// leaves room for the others. They are more than the whole together.
var shares = [kinds]int64{
	Bindings:     40,
	Keys:         16,
	Transactions: 32,
	Connections:  16,
	Queues:       16,
	Waiting:      8,
	Calls:        8,
	Events:       2,
}

// Budget is the memory of one process. It is safe for concurrent use. A nil one has no ceiling.
type Budget struct {
	ceiling atomic.Int64 // 0: none
	total   atomic.Int64
	used    [kinds]counter
}

// counter has a cache line of its own.
type counter struct {
	bytes   atomic.Int64
	refused atomic.Uint64
	_       [48]byte
}

// SetCeiling sets how many bytes of state there may be; 0 is no ceiling. What is held already
// stays, even above it.
func (b *Budget) SetCeiling(bytes int64) { b.ceiling.Store(bytes) }

// Ceiling returns what SetCeiling set.
func (b *Budget) Ceiling() int64 {
	if b == nil {
		return 0
	}
	return b.ceiling.Load()
}

// Share returns how many bytes of a kind there may be; 0 is no limit.
func (b *Budget) Share(k Kind) int64 { return b.Ceiling() / 64 * shares[k] }

// Take takes n bytes and reports true, or takes nothing and reports false if the ceiling or the
// share of the kind would be exceeded.
func (b *Budget) Take(k Kind, n int) bool {
	if b == nil {
		return true
	}
	c := &b.used[k]
	used, total := c.bytes.Add(int64(n)), b.total.Add(int64(n))
	if ceiling := b.ceiling.Load(); ceiling > 0 &&
		(total > ceiling || used > ceiling/64*shares[k]) {
		c.bytes.Add(int64(-n))
		b.total.Add(int64(-n))
		c.refused.Add(1)
		return false
	}
	return true
}

// Force takes n bytes even above the ceiling, for what belongs to state that is held already. A
// negative n gives bytes back.
func (b *Budget) Force(k Kind, n int) {
	if b == nil || n == 0 {
		return
	}
	b.used[k].bytes.Add(int64(n))
	b.total.Add(int64(n))
}

// Release gives n bytes back.
func (b *Budget) Release(k Kind, n int) { b.Force(k, -n) }

// Used returns how many bytes are held for a kind.
func (b *Budget) Used(k Kind) int64 { return b.used[k].bytes.Load() }

// Total returns how many bytes are held in all.
func (b *Budget) Total() int64 { return b.total.Load() }

// Refused returns how often Take has failed for a kind.
func (b *Budget) Refused(k Kind) uint64 { return b.used[k].refused.Load() }

// String lists what is held, for tests and logs.
func (b *Budget) String() string {
	s := fmt.Sprintf("%d of %d bytes:", b.Total(), b.Ceiling())
	for _, k := range Kinds() {
		if n := b.Used(k); n != 0 {
			s += fmt.Sprintf(" %s %d", k, n)
		}
	}
	return s
}
