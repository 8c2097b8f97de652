package storage

import (
	"context"
	"fmt"
	"sync"
)

// How much of the past a log remembers, beside the last batch.
const (
	logEvents = 4096
	logBytes  = 4 << 20
)

// changeLog remembers the last changes of a store, for its watchers. A watcher costs the writer nothing but waking it up: one that is slow
// finds at some time that what it wants has been forgotten.
type changeLog struct {
	mu      sync.Mutex
	batches []logBatch
	events  int
	bytes   int
	first   uint64        // all changes with a higher revision are here
	last    uint64        // the store's revision
	more    chan struct{} // closed at the next append
	closed  bool
}

// logBatch is what was written together. It is forgotten together, since its values share memory.
type logBatch struct {
	events []logEvent
	bytes  int
}

type logEvent struct {
	bucket string
	Event
}

// start sets where the store is; what was before is not known.
func (l *changeLog) start(revision uint64) {
	l.first, l.last, l.more = revision, revision, make(chan struct{})
}

// append adds what was written together, in order.
func (l *changeLog) append(events []logEvent) {
	if len(events) == 0 {
		return
	}
	b := logBatch{events: events}
	for i := range events {
		b.bytes += len(events[i].Key) + len(events[i].Value)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches = append(l.batches, b)
	l.events += len(b.events)
	l.bytes += b.bytes
	l.last = events[len(events)-1].Revision
	for len(l.batches) > 1 && (l.events > logEvents || l.bytes > logBytes) {
		old := l.batches[0]
		l.events -= len(old.events)
		l.bytes -= old.bytes
		l.first = old.events[len(old.events)-1].Revision
		l.batches[0] = logBatch{}
		l.batches = l.batches[1:]
	}
	close(l.more)
	l.more = make(chan struct{})
}

func (l *changeLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.more)
	}
}

// after returns the events of the first batch that has any after a revision, or what to wait for.
func (l *changeLog) after(revision uint64) (events []logEvent, more <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, nil, ErrClosed
	case revision < l.first || revision > l.last:
		return nil, nil, fmt.Errorf("watching from revision %d, known are %d to %d: %w", revision, l.first, l.last, ErrGone)
	}
	for _, b := range l.batches {
		if b.events[len(b.events)-1].Revision <= revision {
			continue
		}
		i := 0
		for b.events[i].Revision <= revision {
			i++
		}
		return b.events[i:], nil, nil
	}
	return nil, l.more, nil
}

// watch is Engine.Watch, from what the log has.
func (l *changeLog) watch(ctx context.Context, bucket string, after uint64, f func(Event) error) error {
	for {
		events, more, err := l.after(after)
		if err != nil {
			return err
		}
		if more != nil {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-more:
			}
			continue
		}
		for i := range events {
			after = events[i].Revision
			if events[i].bucket != bucket {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(events[i].Event); err != nil {
				return err
			}
		}
	}
}
