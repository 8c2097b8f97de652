package transport

import "bytes"

// maxContentLength is the value at which a Content-Length is no longer counted: far over any limit,
// far below overflow.
const maxContentLength = 1 << 30

// FrameError is the reason why a stream cannot be cut into further messages.
type FrameError struct {
	// Status is the status to answer a request with: 400; 413 if the body is too large; 513 if the
	// headers alone are.
	Status int
	// Reason is a text for people.
	Reason string
}

func (e *FrameError) Error() string { return e.Reason }

// framer finds the end of the message at the start of a growing buffer: the empty line after the
// headers, then as many bytes as Content-Length says, which a stream requires (RFC 3261 §18.3). A
// line may end in a bare LF: the next implementation might see the end of a line there, so we must.
// No byte is read twice, however small the pieces are in which the buffer grows. The zero value
// starts a message.
type framer struct {
	line   int    // where the current line starts
	seen   int    // the current line does not end before here
	value  int    // where the value of an unfinished Content-Length line starts; 0: none
	length int    // Content-Length plus one; 0: none
	head   int    // length of start line, headers and empty line; 0: not known yet
	reason string // what is wrong; reported when all headers are read, so that they can be answered
}

// scan returns the length of the message that buf starts with, or 0 if it is not complete. Call it
// again with the same buffer, grown, until the message is complete. A framer cannot be used after
// an error.
func (f *framer) scan(buf []byte, limit int) (int, *FrameError) {
	for f.head == 0 {
		i := bytes.IndexByte(buf[f.seen:], '\n')
		if i < 0 {
			f.seen = len(buf)
			break
		}
		f.takeLine(buf, f.seen+i+1)
	}
	if f.head > limit || f.head == 0 && len(buf) >= limit {
		return 0, &FrameError{Status: 513, Reason: "the headers exceed the largest message allowed"}
	}
	switch {
	case f.head == 0:
		return 0, nil
	case f.reason != "":
		return 0, &FrameError{Status: 400, Reason: f.reason}
	case f.length == 0:
		return 0, &FrameError{Status: 400, Reason: "Content-Length is missing, a stream needs it"}
	case f.length-1 > limit-f.head:
		return 0, &FrameError{Status: 413, Reason: "the body exceeds the largest message allowed"}
	}
	if total := f.head + f.length - 1; len(buf) >= total {
		return total, nil
	}
	return 0, nil
}

// takeLine reads the line that ends before end.
func (f *framer) takeLine(buf []byte, end int) {
	start := f.line
	f.line, f.seen = end, end
	line := trimLineEnd(buf[start:end])
	if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
		return // a continuation of the line before (RFC 3261 §7.3.1)
	}
	if f.value > 0 {
		f.takeLength(buf[f.value:start])
	}
	switch {
	case len(line) == 0:
		f.head = end
	case start > 0: // the first line is the start line
		if n := contentLengthName(line); n > 0 {
			f.value = start + n
		}
	}
}

func (f *framer) takeLength(value []byte) {
	f.value = 0
	n, ok := parseLength(bytes.Trim(value, " \t\r\n"))
	switch {
	case !ok:
		f.reason = "Content-Length is not a number"
	case f.length > 0 && f.length != n+1:
		f.reason = "Content-Length is given twice with different values"
	default:
		f.length = n + 1
	}
}

func trimLineEnd(line []byte) []byte {
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line
}

// contentLengthName returns the length of "Content-Length" or "l", white space and colon, or 0 if
// line is another header.
func contentLengthName(line []byte) int {
	const name = "content-length"
	n := 0
	switch line[0] | 0x20 {
	case 'l':
		n = 1
	case 'c':
		if len(line) < len(name) || !equalFold(line[:len(name)], name) {
			return 0
		}
		n = len(name)
	default:
		return 0
	}
	for n < len(line) && (line[n] == ' ' || line[n] == '\t') {
		n++
	}
	if n == len(line) || line[n] != ':' {
		return 0
	}
	return n + 1
}

// equalFold reports whether b equals lower regardless of the case of ASCII letters.
func equalFold(b []byte, lower string) bool {
	for i := range len(lower) {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// parseLength reads 1*DIGIT (RFC 3261 §25.1). A number over maxContentLength counts as that.
func parseLength(b []byte) (int, bool) {
	if len(b) == 0 {
		return 0, false
	}
	var n uint64 // an int may have 32 bits, in which the next digit has no room
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+uint64(c-'0'), maxContentLength)
	}
	return int(n), true
}
