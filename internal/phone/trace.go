package phone

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"sync"
)

// Recorder keeps every message that a phone sends or receives, as it is on
// the wire, for tests to look at. Its Record is a Config.Trace. The zero value
// is ready.
type Recorder struct {
	mu       sync.Mutex
	sent     []string
	received []string
	changed  chan struct{}
}

// Record keeps a message.
func (r *Recorder) Record(sent bool, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if sent {
		r.sent = append(r.sent, message)
	} else {
		r.received = append(r.received, message)
	}
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// Sent returns the messages that the phone has sent and that contain all of
// parts, in order.
func (r *Recorder) Sent(parts ...string) []string { return r.find(&r.sent, parts) }

// Received returns the messages that the phone has received and that contain
// all of parts, in order.
func (r *Recorder) Received(parts ...string) []string { return r.find(&r.received, parts) }

func (r *Recorder) find(list *[]string, parts []string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []string
	for _, m := range *list {
		if containsAll(m, parts) {
			found = append(found, m)
		}
	}
	return found
}

// WaitSent waits until a message that contains all of parts has been sent, and
// returns the first. The error is ctx's.
func (r *Recorder) WaitSent(ctx context.Context, parts ...string) (string, error) {
	return r.wait(ctx, &r.sent, parts)
}

// WaitReceived waits until a message that contains all of parts has come, and
// returns the first. The error is ctx's.
func (r *Recorder) WaitReceived(ctx context.Context, parts ...string) (string, error) {
	return r.wait(ctx, &r.received, parts)
}

func (r *Recorder) wait(ctx context.Context, list *[]string, parts []string) (string, error) {
	for {
		r.mu.Lock()
		for _, m := range *list {
			if containsAll(m, parts) {
				r.mu.Unlock()
				return m, nil
			}
		}
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func containsAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// splitter cuts a stream into messages (RFC 3261 §18.3), as far as a trace
// needs: bytes that make no message are kept back.
type splitter struct {
	buf []byte
}

// add appends what was read and calls emit for each message that it completes.
func (s *splitter) add(b []byte, emit func(message string)) {
	s.buf = append(s.buf, b...)
	for {
		s.buf = bytes.TrimLeft(s.buf, "\r\n") // RFC 5626 §3.5.1 keep-alives
		end := bytes.Index(s.buf, []byte("\r\n\r\n"))
		if end < 0 {
			return
		}
		end += 4
		end += contentLength(s.buf[:end])
		if end > len(s.buf) {
			return
		}
		emit(string(s.buf[:end]))
		s.buf = s.buf[end:]
	}
}

func contentLength(head []byte) int {
	for line := range bytes.Lines(head) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if name = bytes.TrimSpace(name); ok &&
			(bytes.EqualFold(name, []byte("Content-Length")) || bytes.EqualFold(name, []byte("l"))) {
			n, err := strconv.Atoi(string(bytes.TrimSpace(value)))
			if err != nil || n < 0 {
				return 0
			}
			return n
		}
	}
	return 0
}
