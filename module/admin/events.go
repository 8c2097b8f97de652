package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/caddysip/caddysip/internal/events"
)

const (
	maxStreams   = 256              // at a time
	heartbeat    = 15 * time.Second // shows both ends, and all between, that the connection lives
	streamWrite  = 10 * time.Second // how long a client may read nothing
	streamBuffer = 16 << 10         // bytes that wait for more to be written with them
)

// streams is how many clients read events.
var streams atomic.Int32

// GET /sip/events
func streamEvents(a *api, w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	var after uint64
	if text := r.Header.Get("Last-Event-ID"); text != "" {
		var err error
		if after, err = strconv.ParseUint(text, 10, 53); err != nil || after == 0 {
			return badRequest("Last-Event-ID: %q is no ID of an event", text)
		}
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return nil
	}
	defer streams.Add(-1)
	if streams.Add(1) > maxStreams {
		w.Header().Set("Retry-After", "60")
		return errorf(http.StatusServiceUnavailable,
			"%d others read the events: no more are possible", maxStreams)
	}
	sub := a.events.Subscribe(after)
	defer sub.Close()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer onShutdown(r, cancel)()
	s := &stream{w: w, control: http.NewResponseController(w)}
	allowWait(w)
	s.begin(sub, after)
	for s.err == nil && s.next(ctx, sub) {
	}
	return nil // the client connects again, and says what it has seen
}

// stream writes Server-Sent Events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	buf     []byte
	err     error
}

// begin gives a new client the ID to come back with, though it may have seen no event yet. A client
// that comes back too late is told that it has missed some.
func (s *stream) begin(sub *events.Subscription, after uint64) {
	s.buf = append(s.buf, "retry: 1000\n"...)
	if after == 0 {
		s.buf = fmt.Appendf(s.buf, "id: %d\n", sub.Last())
	}
	s.buf = append(s.buf, '\n')
	if sub.Behind() {
		sub.Skip()
		s.append("lost", sub.Last(), fmt.Appendf(nil, `{"after":%d,"type":"lost"}`, after))
	}
	s.flush()
}

// next writes the next event, or a heartbeat when there was none for a while. It returns false when
// the stream has ended.
func (s *stream) next(ctx context.Context, sub *events.Subscription) bool {
	wait, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	e, err := sub.Next(wait)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		s.buf = append(s.buf, ":\n\n"...)
		s.flush()
		return true
	case err != nil:
		return false
	}
	text, err := sub.JSON(&e)
	if err != nil {
		return false
	}
	s.append(e.Type, e.ID, text)
	if !sub.More() || len(s.buf) >= streamBuffer {
		s.flush()
	}
	return true
}

// append writes an event behind what is buffered. A long text, which all readers share, is not
// copied.
func (s *stream) append(typ string, id uint64, text []byte) {
	s.buf = fmt.Appendf(s.buf, "event: %s\nid: %d\ndata: ", typ, id)
	if len(text) > streamBuffer {
		s.flush()
		s.write(text)
	} else {
		s.buf = append(s.buf, text...)
	}
	s.buf = append(s.buf, "\n\n"...)
}

func (s *stream) flush() {
	if s.err != nil {
		return
	}
	s.write(s.buf)
	if s.err == nil {
		s.err = s.control.Flush()
	}
	s.buf = s.buf[:0]
}

func (s *stream) write(text []byte) {
	if s.err != nil {
		return
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(streamWrite))
	_, s.err = s.w.Write(text)
}
