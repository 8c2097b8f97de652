// Package events tells whoever listens what happens in the server. The last events are remembered, so that somebody whose connection broke
// can go on where he was.
package events

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
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

// Remembered is how many events a bus remembers. A reader that is further behind is cut off.
const Remembered = 4096

// Errors of Subscription.Next.
var (
	// ErrBehind: the next event is forgotten. The reader was too slow, or asked for what was too long ago.
	ErrBehind = errors.New("the next event is forgotten: the reader is too slow")
	// ErrClosed: there will be no more events.
	ErrClosed = errors.New("there are no more events")
)

// Event is something that has happened.
type Event struct {
	// ID is one more than that of the event before. The first one of a process is its microsecond since 1970, so that IDs grow over restarts too, and
	// stay below 2^53, which JavaScript can count to.
	ID   uint64
	Type string
	Time time.Time
	// Data is a map[string]any, or a Describer. It belongs to all readers: nobody changes it.
	Data any
}

// Describer is data that is put into words only when somebody reads it.
type Describer interface {
	Describe() map[string]any
}

// Map returns the data. It must not be changed.
func (e *Event) Map() map[string]any {
	switch data := e.Data.(type) {
	case map[string]any:
		return data
	case Describer:
		return data.Describe()
	}
	return nil
}

// Bus takes events and gives them to its subscriptions. It is safe for concurrent use.
type Bus struct {
	mu       sync.Mutex
	next     uint64 // the ID of the next event
	oldest   uint64 // of those in the ring
	ring     []Event
	readers  []*Subscription // that wait, or will
	isClosed bool
}

// New returns a bus that has seen nothing yet.
func New() *Bus {
	first := uint64(time.Now().UnixMicro())
	return &Bus{next: first, oldest: first}
}

// Publish gives an event to all who listen. It never blocks; data must not be changed any more.
func (b *Bus) Publish(typ string, data map[string]any) { b.publish(typ, data) }

// PublishDescriber is Publish for the path of packets: d costs nothing until somebody reads it.
func (b *Bus) PublishDescriber(typ string, d Describer) { b.publish(typ, d) }

func (b *Bus) publish(typ string, data any) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isClosed {
		return
	}
	if b.ring == nil {
		b.ring = make([]Event, Remembered)
	}
	b.ring[b.next%Remembered] = Event{b.next, typ, now, data}
	b.next++
	b.oldest = max(b.oldest, b.next-min(b.next, Remembered))
	for _, s := range b.readers {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
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
	for _, s := range b.readers {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// Subscription reads the events in their order. It has no queue of its own, but a place among the events that the bus remembers. It is for one goroutine.
type Subscription struct {
	bus  *Bus
	next uint64
	wake chan struct{}
}

// Subscribe returns the events after the one with an ID, 0: those to come. The subscription must be closed.
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
		return b.ring[s.next%Remembered], true, nil
	case b.isClosed:
		return e, false, ErrClosed
	}
	return e, false, nil
}

// Behind tells whether the next event is forgotten.
func (s *Subscription) Behind() bool {
	_, _, err := s.peek()
	return err == ErrBehind
}

// More tells whether Next would not wait.
func (s *Subscription) More() bool {
	_, ok, err := s.peek()
	return ok || err != nil
}

// Skip goes on with the oldest event that is remembered and returns how many are left out, as far as that is known.
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
	b := s.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.readers, s); i >= 0 {
		b.readers = slices.Delete(b.readers, i, i+1)
	}
}
