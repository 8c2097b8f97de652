package events

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/wire"
)

// The types of events.
const (
	Registered      = "registered"       // a phone has a binding that it didn't have
	Unregistered    = "unregistered"     // a binding is removed, or has expired
	KeyChanged      = "key_changed"      // what a user's keys are to show has changed
	KeyAcknowledged = "key_acknowledged" // a phone has confirmed a key
	KeyFailed       = "key_failed"       // a phone has refused a key, or doesn't answer
	KeyPressed      = "key_pressed"      // a user has pressed a key
)

// What a bus remembers at most. A reader that is further behind is cut off.
const (
	Remembered = 4096    // events
	MaxBytes   = 4 << 20 // bytes of them all
	MaxText    = 512     // bytes of a text in an event; longer ones end with an ellipsis
)

// Errors of Subscription.Next.
var (
	// ErrBehind: the next event is forgotten. The reader was too slow, or asked for what was too
	// long ago.
	ErrBehind = errors.New("the next event is forgotten: the reader is too slow")
	// ErrClosed: there will be no more events.
	ErrClosed = errors.New("there are no more events")
)

// Event is something that has happened.
type Event struct {
	// ID is one more than that of the event before. The first one of a process is its microsecond
	// since 1970, so that IDs grow over restarts too, and stay below 2^53, which JavaScript can
	// count to.
	ID   uint64
	Type string
	Time time.Time
	data Describer
}

// Describer is data that is put into words only when somebody reads it.
type Describer interface {
	// Describe returns the data by name. It may be called more than once, and what it returns is
	// not changed.
	Describe() map[string]any
	// Size returns how many bytes of memory the data takes as long as the event is remembered.
	Size() int
}

// Map returns the data. It must not be changed.
func (e *Event) Map() map[string]any {
	if e.data == nil {
		return nil
	}
	return e.data.Describe()
}

// fields is data that is in words already.
type fields map[string]any

// Describe implements Describer.
func (f fields) Describe() map[string]any { return f }

// Size implements Describer.
func (f fields) Size() int {
	const perField = 64 // with its share of the map
	n := 0
	for name, value := range f {
		n += perField + len(name)
		if text, ok := value.(string); ok {
			n += len(text)
		}
	}
	return n
}

// Bus passes events to its subscriptions. It is safe for concurrent use.
type Bus struct {
	budget *budget.Budget
	texts  texts

	mu       sync.Mutex
	next     uint64 // the ID of the next event
	oldest   uint64 // of those in the ring
	ring     []slot
	bytes    int             // that the events in the ring take
	readers  []*Subscription // that wait, or will
	isClosed bool
}

type slot struct {
	Event
	size int
}

const ringBytes = Remembered * unsafe.Sizeof(slot{})

// New returns a bus that has seen nothing yet. What it remembers is taken from b, which may be nil.
func New(b *budget.Budget) *Bus {
	first := uint64(time.Now().UnixMicro())
	return &Bus{budget: b, texts: texts{budget: b}, next: first, oldest: first}
}

// Publish passes an event to all subscriptions. It never blocks. The data belongs to the bus from
// now on; its texts are cut to MaxText bytes, and characters that cannot be printed become question
// marks.
func (b *Bus) Publish(typ string, data map[string]any) {
	for name, value := range data {
		if text, ok := value.(string); ok {
			data[name] = wire.Printable(text, MaxText)
		}
	}
	b.PublishDescriber(typ, fields(data))
}

// PublishDescriber is Publish for the path of packets: d is only kept until somebody reads it. It
// bounds its own texts.
func (b *Bus) PublishDescriber(typ string, d Describer) {
	now, size := time.Now(), d.Size()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isClosed {
		return
	}
	if b.ring == nil {
		b.ring = make([]slot, Remembered)
		b.budget.Force(budget.Events, int(ringBytes))
	}
	if b.makeRoom(size) {
		b.ring[b.next%Remembered] = slot{Event{b.next, typ, now, d}, size}
		b.bytes += size
		b.next++
	} else {
		b.next++ // readers learn that they have missed it
		b.oldest = b.next
	}
	b.wake()
}

// makeRoom forgets the oldest events until another one may be remembered, and reports whether it
// may. The caller holds the lock.
func (b *Bus) makeRoom(size int) bool {
	for b.oldest < b.next && (b.next-b.oldest == Remembered || b.bytes+size > MaxBytes) {
		b.forget()
	}
	for size <= MaxBytes {
		if b.budget.Take(budget.Events, size) {
			return true
		}
		if b.oldest == b.next {
			return false
		}
		b.forget()
	}
	return false
}

// forget lets go of the oldest event. The caller holds the lock.
func (b *Bus) forget() {
	s := &b.ring[b.oldest%Remembered]
	b.bytes -= s.size
	b.budget.Release(budget.Events, s.size)
	*s = slot{}
	b.oldest++
}

// wake wakes the readers. The caller holds the lock.
func (b *Bus) wake() {
	for _, s := range b.readers {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// release lets go of all events once the bus is closed and nobody reads them any more. The caller
// holds the lock.
func (b *Bus) release() {
	if !b.isClosed || len(b.readers) > 0 || b.ring == nil {
		return
	}
	for b.oldest < b.next {
		b.forget()
	}
	b.ring = nil
	b.budget.Release(budget.Events, int(ringBytes))
}

// Last returns the ID of the last event.
func (b *Bus) Last() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.next - 1
}

// Close ends all subscriptions, once they have read what there is.
func (b *Bus) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.isClosed = true
	b.wake()
	b.release()
}

// Subscription reads the events in their order. It has no queue of its own, but a place among the
// events that the bus remembers. It is for one goroutine.
type Subscription struct {
	bus  *Bus
	next uint64
	wake chan struct{}
}

// Subscribe returns the events after the one with an ID; 0: those still to come. The subscription
// must be closed.
func (b *Bus) Subscribe(after uint64) *Subscription {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &Subscription{bus: b, next: after + 1, wake: make(chan struct{}, 1)}
	if after == 0 {
		s.next = b.next
	}
	b.readers = append(b.readers, s)
	return s
}

// Next returns the next event, and waits for it. The error is that of ctx, ErrBehind or ErrClosed.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		e, ok, err := s.read()
		if ok || err != nil {
			return e, err
		}
		select {
		case <-ctx.Done():
			return Event{}, ctx.Err()
		case <-s.wake:
		}
	}
}

func (s *Subscription) read() (e Event, ok bool, err error) {
	e, ok, err = s.peek()
	if ok {
		s.next++
	}
	return e, ok, err
}

func (s *Subscription) peek() (e Event, ok bool, err error) {
	b := s.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case s.next < b.oldest, s.next > b.next: // or it is of a process whose clock was ahead
		return e, false, ErrBehind
	case s.next < b.next:
		return b.ring[s.next%Remembered].Event, true, nil
	case b.isClosed:
		return e, false, ErrClosed
	}
	return e, false, nil
}

// Behind reports whether the next event is already forgotten, because the reader is too slow.
func (s *Subscription) Behind() bool {
	_, _, err := s.peek()
	return err == ErrBehind
}

// More reports whether Next would return at once.
func (s *Subscription) More() bool {
	_, ok, err := s.peek()
	return ok || err != nil
}

// Skip goes on with the oldest event that is remembered and returns how many are left out, as far
// as that is known.
func (s *Subscription) Skip() uint64 {
	b := s.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	lost := b.oldest - min(s.next, b.oldest)
	s.next = b.oldest
	return lost
}

// Last returns the ID of the event that was read last.
func (s *Subscription) Last() uint64 { return s.next - 1 }

// Close ends the subscription.
func (s *Subscription) Close() {
	if s.bus.leave(s) {
		s.bus.texts.clear()
	}
}

// leave takes a reader out, and reports whether none is left.
func (b *Bus) leave(s *Subscription) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.readers, s); i >= 0 {
		b.readers = slices.Delete(b.readers, i, i+1)
	}
	b.release()
	return len(b.readers) == 0
}
