package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"

	"github.com/caddysip/caddysip/storage"
)

// logEvents is how many changes a log remembers at least.
const logEvents = 1 << 14

// changeLog remembers for watchers which keys of a store have changed last; the watchers look up
// the values themselves. A watcher costs the writer only the waking. One that is too slow finds at
// some point that what it wants is no longer remembered.
type changeLog struct {
	mu     sync.Mutex
	events []logEvent
	first  uint64        // all changes with a higher revision are in events
	last   uint64        // the store's revision
	more   chan struct{} // closed at the next append
	closed bool
}

// logEvent is the change of one key.
type logEvent struct {
	bucket, key string
	revision    uint64
	deleted     bool
}

// start sets the store's revision; changes before it are not known.
func (l *changeLog) start(revision uint64) {
	l.first, l.last, l.more = revision, revision, make(chan struct{})
}

// append adds the changes of one batch, in order.
func (l *changeLog) append(events []logEvent) {
	if len(events) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = events[len(events)-1].revision
	l.events = append(l.events, events...)
	if n := len(l.events) - logEvents; n > logEvents/2 {
		l.first = l.events[n-1].revision
		l.events = slices.Delete(l.events, 0, n)
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

// after appends to events the next of those after a revision, 64 at most. If there are none yet it
// returns a channel that is closed when there are. If they are no longer remembered it returns
// storage.ErrGone.
func (l *changeLog) after(
	revision uint64,
	events []logEvent,
) (_ []logEvent, more <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, nil, storage.ErrClosed
	case revision < l.first || revision > l.last:
		return nil, nil, fmt.Errorf("watching from revision %d, known are %d to %d: %w",
			revision, l.first, l.last, storage.ErrGone)
	}
	i := sort.Search(len(l.events), func(i int) bool { return l.events[i].revision > revision })
	if i == len(l.events) {
		return nil, l.more, nil
	}
	return append(events, l.events[i:min(i+64, len(l.events))]...), nil, nil
}

// watch implements Engine.Watch. get is the engine's Get.
func (l *changeLog) watch(
	ctx context.Context, bucket string, after uint64, f func(storage.Event) error,
	get func(ctx context.Context, bucket, key string) (storage.Entry, error),
) error {
	var room []logEvent
	for {
		events, more, err := l.after(after, room[:0])
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
		for _, e := range events {
			after = e.revision
			if e.bucket != bucket {
				continue
			}
			entry, err := get(ctx, bucket, e.key)
			switch {
			case err == nil && entry.Revision == e.revision:
			case errors.Is(err, storage.ErrNotFound) && e.deleted:
				entry = storage.Entry{Key: e.key, Revision: e.revision}
			case err == nil || errors.Is(err, storage.ErrNotFound):
				continue // it has changed again, which has an event of its own
			default:
				return err
			}
			if err := f(storage.Event{Entry: entry, Deleted: e.deleted}); err != nil {
				return err
			}
		}
		room = events
	}
}
