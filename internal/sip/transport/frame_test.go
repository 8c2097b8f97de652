package transport

import (
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestFramer(t *testing.T) {
	const start = "OPTIONS sip:a SIP/2.0\r\n"
	for _, tc := range []struct {
		in     string
		want   int // length of the message, -1 if all of in
		status int
	}{
		{start + "Content-Length: 3\r\n\r\nabcdef", len(start) + 24, 0},
		{start + "content-LENGTH: 0\r\n\r\n", -1, 0},
		{start + "l:3\r\n\r\nabc", -1, 0},
		{start + "L \t: \t3 \t\r\n\r\nabc", -1, 0},
		{start + "l:\r\n  3\r\n\r\nabc", -1, 0},
		{start + "l:\r\n\t3\r\nm: b\r\n\r\nabc", -1, 0},
		{start + "l: 0003\r\n\r\nabc", -1, 0},
		{start + "l: 3\r\nContent-Length: 3\r\n\r\nabc", -1, 0},
		{start + "l: 3\n\nabc", -1, 0},
		{start + "l: 3\r\n\nabc", -1, 0},
		{start + "l: 3\n\r\nabc", -1, 0},
		{start + "Language: 5\r\nContent-Length-X: 4\r\nContent: 1\r\nSubject: x\r\n l: 9\r\nl: 3\r\n\r\nabc", -1, 0},
		{"l: 9\r\nl: 3\r\n\r\nabc", -1, 0}, // the first line is no header
		{start + "l: 3\r\n\r\nab", 0, 0},
		{start + "l: 3\r\n\r", 0, 0},
		{start + "l: x\r\n", 0, 0}, // told when the headers are complete
		{start + "l: 100\r\n\r\n", 0, 0},
		{start + "\r\n", 0, 400},
		{start + "l\r\n\r\n", 0, 400},
		{start + "l:\r\n\r\n", 0, 400},
		{start + "l: x\r\n\r\n", 0, 400},
		{start + "l: -1\r\n\r\n", 0, 400},
		{start + "l: +1\r\n\r\n", 0, 400},
		{start + "l: 1 2\r\n\r\n", 0, 400},
		{start + "l: 1, 1\r\n\r\n", 0, 400},
		{start + "l: 1\r\n 2\r\n\r\n", 0, 400},
		{start + "l: 1;x=y\r\n\r\n", 0, 400},
		{start + "l: 3\r\nContent-Length: 4\r\n\r\nabcd", 0, 400},
		{start + "l: x\r\nl: 3\r\n\r\nabc", 0, 400},
		{start + "l: 471\r\n\r\n", 0, 413},
		{start + "l: 4294967296\r\n\r\n", 0, 413},
		{start + "l: 18446744073709551619\r\n\r\nabc", 0, 413},
		{start + "X: " + strings.Repeat("x", 500), 0, 513},
		{start + "X: " + strings.Repeat("x", 500) + "\r\nl: 0\r\n\r\n", 0, 513},
	} {
		if tc.want < 0 {
			tc.want = len(tc.in)
		}
		var f framer
		n, err := f.scan([]byte(tc.in), 500)
		if status := statusOf(err); n != tc.want || status != tc.status {
			t.Errorf("%q: %d, status %d, want %d, %d", tc.in, n, status, tc.want, tc.status)
		}
		// The same, growing a byte at a time.
		f = framer{}
		n, err = 0, nil
		for i := range len(tc.in) {
			if n, err = f.scan([]byte(tc.in[:i+1]), 500); n > 0 || err != nil {
				break
			}
		}
		if status := statusOf(err); n != tc.want || status != tc.status {
			t.Errorf("%q by bytes: %d, status %d, want %d, %d", tc.in, n, status, tc.want, tc.status)
		}
	}
}

func statusOf(err *FrameError) int {
	if err == nil {
		return 0
	}
	return err.Status
}

// pieces is a connection that delivers its input in pieces and keeps what is written.
type pieces struct {
	net.Conn
	in  [][]byte
	mu  sync.Mutex
	out []byte
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.in[0])
	if p.in[0] = p.in[0][n:]; len(p.in[0]) == 0 {
		p.in = p.in[1:]
	}
	return n, nil
}

func (p *pieces) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = append(p.out, b...)
	return len(b), nil
}

func (p *pieces) Close() error                     { return nil }
func (p *pieces) SetReadDeadline(time.Time) error  { return nil }
func (p *pieces) SetWriteDeadline(time.Time) error { return nil }

// readPieces returns the messages that the pieces make, the error they end with, and what was
// answered to pings.
func readPieces(limit int, in ...[]byte) (messages []string, end string, out string) {
	in = slices.DeleteFunc(in, func(b []byte) bool { return len(b) == 0 })
	p := &pieces{in: in}
	m := NewManager(funcs{message: func(in *Inbound) {
		messages = append(messages, string(in.Data))
		if in.Err != nil {
			messages = append(messages, in.Err.Error())
		}
		clear(in.Data) // it is the handler's
	}, closed: func(_ *Conn, err error) { end = err.Error() }}, Options{Limits: Limits{Message: limit}})
	if _, err := m.adopt(p, Flow{Network: TCP, Remote: netip.MustParseAddrPort("192.0.2.1:5060")}, ""); err != nil {
		panic(err)
	}
	m.conns.readers.Wait()
	return messages, end, string(p.out)
}

func TestReaderSplits(t *testing.T) {
	in := []byte("\r\n" + msg("a", 3) + "\r\n\r\n\r\n" + msg("b", 0) + msg("c", 20) + "\r\n\r\n" + msg("d", 1) + "\r")
	want := []string{msg("a", 3), msg("b", 0), msg("c", 20), msg("d", 1)}
	check := func(in ...[]byte) {
		t.Helper()
		messages, end, out := readPieces(0, in...)
		if !slices.Equal(messages, want) || end != "EOF" || out != "\r\n\r\n" {
			t.Fatalf("%q: messages %q, end %q, answered %q", in, messages, end, out)
		}
	}
	check(in)
	for i := range in {
		check(in[:i], in[i:])
	}
	var bytes [][]byte
	for i := range in {
		bytes = append(bytes, in[i:i+1])
	}
	check(bytes...)
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(msg("a", 3)+"\r\n\r\n\r\n"+msg("b", 0)), uint16(10), uint16(100))
	f.Add([]byte("\r\r\n\r\n\n\r\nA\r\nl:1\r\n\r\nxB\n\n"), uint16(2), uint16(5))
	f.Add([]byte("A\r\nl :\r\n 2\r\n\r\nxxB\r\nContent-Length: 3\nL: 4\n\n"), uint16(9), uint16(11))
	f.Add([]byte("A\r\nl: 999\r\n\r\n"+strings.Repeat("x", 600)), uint16(3), uint16(520))
	f.Add([]byte("A\r\nX: "+strings.Repeat("x", 600)+"\r\n\r\n"), uint16(3), uint16(520))
	f.Fuzz(func(t *testing.T, in []byte, i, j uint16) {
		a := min(int(i), len(in))
		b := min(max(int(j), a), len(in))
		messages, end, out := readPieces(512, slices.Clone(in))
		// Reading stops at the first error, and how much was read by then is no matter.
		gotMessages, gotEnd, gotOut := readPieces(512, slices.Clone(in[:a]), slices.Clone(in[a:b]), slices.Clone(in[b:]))
		if !slices.Equal(messages, gotMessages) || end != gotEnd || out != gotOut {
			t.Errorf("%q at once: %q, %q, %q\nsplit at %d and %d: %q, %q, %q", in, messages, end, out, a, b, gotMessages, gotEnd, gotOut)
		}
		for _, s := range messages {
			if len(s) > 512 {
				t.Errorf("a message of %d bytes", len(s))
			}
		}
	})
}
