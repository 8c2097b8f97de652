package allowance

import (
	"strings"
	"testing"

	"github.com/caddysip/caddysip/wire"
)

// TestWork counts a loop: twice as much to read is about twice the work. It fails when a binary
// with counters doesn't show them, so that nobody takes silence for thrift. In one without counters
// there is nothing to see.
func TestWork(t *testing.T) {
	_, counted := Work()
	if covered := testing.CoverMode() != ""; counted != covered {
		t.Fatalf("the coverage mode is %q, counters: %t", testing.CoverMode(), counted)
	}
	if !counted {
		return
	}
	read := func(n int) uint32 {
		text := []byte("OPTIONS sip:a@example.com SIP/2.0\r\nCall-ID: 1\r\n")
		for range n {
			text = append(text, "X: y\r\n"...)
		}
		text = append(text, "\r\n"...)
		before, _ := Work()
		var m wire.Message
		_ = m.ParseWithin(text, 1000) // it lacks what is mandatory
		after, _ := Work()
		return after - before
	}
	read(1)
	none, few, many := read(0), read(50), read(100)
	if a, b := few-none, many-few; a == 0 || b < a*9/10 || b > a*11/10 {
		t.Errorf("the work is %d, with 50 lines more %d, with 100 %d", none, few, many)
	}
}

// TestTooManyLines refuses a message with more header lines than allowed without reading those.
func TestTooManyLines(t *testing.T) {
	work := func(lines int) uint32 {
		text := []byte("OPTIONS sip:a@example.com SIP/2.0\r\n" + strings.Repeat("a: b\r\n", lines) + "\r\n")
		before, _ := Work()
		var m wire.Message
		if err := m.ParseWithin(text, 128); err != wire.ErrTooManyHeaders {
			t.Errorf("%d lines: %v", lines, err)
		}
		after, _ := Work()
		return after - before
	}
	if few, many := work(200), work(10000); many > few+few/10 {
		t.Errorf("the work is %d for 200 lines and %d for 10000", few, many)
	}
}
