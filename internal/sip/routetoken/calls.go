package routetoken

import (
	"hash/maphash"
	"time"

	"github.com/caddysip/caddysip/internal/seen"
)

// A token is valid for a day at most, or until the call ends: Calls remembers those that have
// ended, by their number.
const (
	lifetime = 24 * time.Hour

	// callBits makes room for 262,144 notes, in 2 MiB.
	callBits = 15
)

// Calls is what a process remembers of calls: those that ended within the last day, as many as fit
// into 2 MiB; the oldest are forgotten first. It is safe for concurrent use and has no lock.
type Calls struct {
	start time.Time
	seed  maphash.Seed
	notes *seen.Table
}

// NewCalls returns Calls that remember nothing yet.
func NewCalls() *Calls {
	return &Calls{start: time.Now(), seed: maphash.MakeSeed(), notes: seen.New(callBits)}
}

// Now returns the time for Token.Made: seconds since 1970. Changes of the system clock do not
// affect it while the process runs.
func (c *Calls) Now() uint32 {
	return uint32(c.start.Unix() + int64(time.Since(c.start)/time.Second))
}

// fresh reports whether a token that was made then is still good. One of an earlier process may be
// from the future, if that had another clock.
func (c *Calls) fresh(made uint32) bool {
	age := int64(c.Now()) - int64(made)
	return age < int64(lifetime/time.Second) && -age < int64(lifetime/time.Second)
}

// note is what is remembered of a call.
type note struct {
	id     uint64
	dialog uint64 // 0: all dialogs of the token
	what   byte
}

const (
	ended    = iota
	forked   // there are several dialogs, and each ends on its own
	begun    // this is one of them
	referred // a subscription to the progress of a transfer outlives the call (RFC 5057 §5)
)

func (c *Calls) hash(n note) uint64 { return maphash.Comparable(c.seed, n) }

func (c *Calls) remember(n note) { c.notes.Add(c.hash(n)) }

func (c *Calls) has(n note) bool { return c.notes.Has(c.hash(n), lifetime) }

func (c *Calls) forget(n note) { c.notes.Remove(c.hash(n)) }

// Call is one use of a token: the dialog that a request belongs to.
type Call struct {
	ID     uint64
	Dialog uint64 // a hash of its two tags
	Invite bool
}

// Dialog returns a hash of a dialog's tags, the same from both ends, and never 0.
func (c *Calls) Dialog(a, b []byte) uint64 {
	return maphash.Bytes(c.seed, a) + maphash.Bytes(c.seed, b) | 1
}

// Fail remembers that the request with that token was refused, so that there is no dialog.
func (c *Calls) Fail(id uint64) { c.remember(note{id: id}) }

// Fork remembers one of several dialogs that have one token, because somebody further on has forked
// the request: the end of one is not that of the others. From then on there are only those.
func (c *Calls) Fork(call Call) {
	c.remember(note{call.ID, call.Dialog, begun})
	c.remember(note{id: call.ID, what: forked})
}

// BeginTransfer remembers that a transfer was begun within a call.
func (c *Calls) BeginTransfer(call Call) { c.remember(note{call.ID, call.Dialog, referred}) }

// EndTransfer remembers that the last report of a transfer was sent.
func (c *Calls) EndTransfer(call Call) { c.forget(note{call.ID, call.Dialog, referred}) }

// End remembers that a call has ended. Of a subscription only the dialog has: one SUBSCRIBE may
// make several (RFC 6665 §4.4.1).
func (c *Calls) End(call Call) {
	n := note{id: call.ID}
	if !call.Invite || c.has(note{id: call.ID, what: forked}) {
		n.dialog = call.Dialog
	}
	c.remember(n)
}

// over reports whether a call has ended.
func (c *Calls) over(call Call) bool {
	return c.has(note{id: call.ID}) || c.has(note{id: call.ID, dialog: call.Dialog}) ||
		c.has(note{id: call.ID, what: forked}) && !c.has(note{call.ID, call.Dialog, begun})
}

// refers reports whether the progress of a transfer that was begun within a call may still be
// reported.
func (c *Calls) refers(call Call) bool { return c.has(note{call.ID, call.Dialog, referred}) }
