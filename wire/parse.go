package wire

import (
	"bytes"
	"fmt"
	"slices"
)

// ParseError is the error of Parse: why a message is refused. Of a request the Message holds
// whatever could be read, so that it can be answered with Status and Reason (AppendResponse) if
// Answerable allows it.
type ParseError struct {
	Status int    // 400, 413 or 505
	Reason string // the reason phrase: what is wrong with the message
}

func (e *ParseError) Error() string { return fmt.Sprintf("%d %s", e.Status, e.Reason) }

var (
	errStartLine  = &ParseError{400, "Malformed Start Line"}
	errVersion    = &ParseError{505, "Version Not Supported"}
	errHeaderLine = &ParseError{400, "Malformed Header Line"}
	errControl    = &ParseError{400, "Control Character in Header"}
	errNoEnd      = &ParseError{400, "Headers Without End"}
	errParams     = &ParseError{400, "Too Many Parameters"}
	errTooLarge   = &ParseError{413, "Message Too Large"}
	errBadVia     = &ParseError{400, "Malformed or Missing Via"}
	errBadFrom    = &ParseError{400, "Malformed or Missing From"}
	errBadTo      = &ParseError{400, "Malformed or Missing To"}
	errBadCallID  = &ParseError{400, "Malformed or Missing Call-ID"}
	errBadCSeq    = &ParseError{400, "Malformed or Missing CSeq"}
	errCSeqMethod = &ParseError{400, "CSeq Method Does Not Match"}
	errBadMF      = &ParseError{400, "Malformed Max-Forwards"}
	errBadCL      = &ParseError{400, "Malformed Content-Length"}
	errShortBody  = &ParseError{400, "Body Shorter Than Content-Length"}
	errDuplicate  = &ParseError{400, "Duplicate Header"}
)

// ErrTooManyHeaders is the error of Parse and ParseWithin for a message with more header field
// lines than they accept. Lines beyond that number have not been read.
var ErrTooManyHeaders = &ParseError{400, "Too Many Headers"}

// Parse makes m a view of the message in raw, and keeps raw. The bytes may be changed in place:
// folded lines are unfolded. Line ends before the start line are skipped (RFC 3261 §7.5).
//
// A message with lines that end in LF alone is accepted, but then Raw is a copy in which they end
// in CRLF: another implementation further on might not take them for lines. A body longer than
// Content-Length is cut off, a shorter one is an error (RFC 3261 §18.3).
//
// The error, if any, is a *ParseError with the first thing that is wrong. Parse reads on behind it
// as far as it can, so that the refusal reaches the client.
func (m *Message) Parse(raw []byte) error { return m.ParseWithin(raw, MaxHeaders) }

// ParseWithin is Parse with a lower limit than MaxHeaders on the number of header field lines. The
// server uses it for what comes from the network.
func (m *Message) ParseWithin(raw []byte, headers int) error {
	m.headersMax = uint8(min(headers, MaxHeaders))
	for len(raw) > 0 && (raw[0] == '\r' || raw[0] == '\n') {
		raw = raw[1:] // RFC 3261 §7.5
	}
	m.reset(raw)
	if len(raw) > MaxSize {
		m.Raw = raw[:MaxSize]
	}
	err := m.parse()
	if err != nil {
		m.blankControls()
	}
	if len(raw) > MaxSize {
		return errTooLarge
	}
	if err == nil && m.bareLF {
		err = m.endLines()
	}
	if err != nil {
		return err
	}
	return nil
}

// endLines parses the message again from a copy in which each line before the body ends in CRLF.
func (m *Message) endLines() *ParseError {
	head, body := m.Raw[:m.body], m.Raw[m.body:]
	raw := make([]byte, 0, len(m.Raw)+bytes.Count(head, []byte{'\n'}))
	for line := range bytes.Lines(head) {
		raw = append(append(raw, bytes.TrimRight(line, "\r\n")...), '\r', '\n')
	}
	raw = append(raw, body...)
	if len(raw) > MaxSize {
		return errTooLarge
	}
	m.reset(raw)
	return m.parse()
}

// reset forgets the previous message but keeps the memory of its header lines.
func (m *Message) reset(raw []byte) {
	m.Raw = raw
	m.IsResponse, m.Method, m.Status, m.CSeq, m.MaxForwards = false, OtherMethod, 0, 0, -1
	m.Via = ViaValue{}
	m.method, m.uri, m.reason = span{}, span{}, span{}
	m.fromTag, m.toTag, m.cseqMethod = span{}, span{}, span{}
	m.from, m.to = nameAddr{}, nameAddr{}
	m.forwarded = false
	m.first, m.last = [numHeaderIDs]uint8{}, [numHeaderIDs]uint8{}
	m.headers, m.repeats, m.bareLF, m.body, m.contentLength = m.headers[:0], false, false, 0, -1
}

// parse reads the whole message and returns the first error.
func (m *Message) parse() *ParseError {
	eol := bytes.IndexByte(m.Raw, '\n')
	if eol < 0 {
		return errStartLine
	}
	end := lineEnd(m.Raw, 0, eol)
	m.bareLF = end == eol
	m.mayHaveControl = mayHaveControl(m.Raw, 0, end)
	first := m.startLine(m.Raw[:end])
	if err := m.headerLines(eol + 1); err != nil && first == nil {
		first = err
	}
	if err := m.mandatory(); err != nil && first == nil {
		first = err
	}
	if first == nil {
		first = m.controls()
	}
	return first
}

// lineEnd returns where the line whose newline is at eol ends, without its carriage return.
func lineEnd(raw []byte, start, eol int) int {
	if eol > start && raw[eol-1] == '\r' {
		return eol - 1
	}
	return eol
}

func (m *Message) startLine(line []byte) *ParseError {
	sp := bytes.IndexByte(line, ' ')
	if sp <= 0 {
		return errStartLine
	}
	if len(line) > 4 && EqualFold(line[:4], "SIP/") {
		m.IsResponse = true
		rest := line[sp+1:]
		if len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' {
			return errStartLine
		}
		status, ok := ParseUint(rest[:3], 699)
		if !ok || status < 100 {
			return errStartLine
		}
		if !EqualFold(line[:sp], "SIP/2.0") {
			return errVersion
		}
		m.Status = int(status)
		m.reason = span{uint16(min(sp+5, len(line))), uint16(len(line))}
		return nil
	}
	if !IsToken(line[:sp]) {
		return errStartLine
	}
	m.method = span{0, uint16(sp)}
	m.Method = LookupMethod(line[:sp])
	uri := line[sp+1:]
	end := bytes.IndexByte(uri, ' ')
	if end <= 0 || uri[0] == '<' {
		return errStartLine
	}
	m.uri = span{uint16(sp + 1), uint16(sp + 1 + end)}
	if version := uri[end+1:]; !EqualFold(version, "SIP/2.0") {
		if len(version) > 4 && EqualFold(version[:4], "SIP/") && bytes.IndexByte(version, ' ') < 0 {
			return errVersion
		}
		return errStartLine
	}
	return nil
}

// headerLines records each header field line, from pos to the empty line. It returns the first
// error, and reads on behind it.
func (m *Message) headerLines(pos int) (first *ParseError) {
	raw := m.Raw
	for {
		n := bytes.IndexByte(raw[pos:], '\n')
		if n < 0 {
			m.body = uint16(len(raw))
			return errNoEnd
		}
		eol := pos + n
		end := lineEnd(raw, pos, eol)
		if end == pos {
			m.body = uint16(eol + 1)
			m.bareLF = m.bareLF || end == eol
			// Every parameter has a semicolon and every header of a URI an ampersand, so counting
			// those bounds the work of whoever reads them.
			if first == nil && tooManyParams(raw[:eol]) && m.tooManyParams() {
				return errParams
			}
			return first
		}
		// A line that starts with white space continues the one before it (RFC 3261 §7.3.1).
		for eol+1 < len(raw) && isLWS(raw[eol+1]) {
			n := bytes.IndexByte(raw[eol+1:], '\n')
			if n < 0 {
				m.body = uint16(len(raw))
				return errNoEnd
			}
			for i := end; i <= eol; i++ {
				raw[i] = ' '
			}
			start := eol + 1
			eol = start + n
			end = lineEnd(raw, start, eol)
		}
		m.bareLF = m.bareLF || end == eol
		err := m.addLine(pos, end)
		if err != nil && first == nil {
			first = err
		}
		if err == ErrTooManyHeaders { // don't read the rest, it may be thousands of lines
			m.body = uint16(eol + 1)
			return first
		}
		pos = eol + 1
	}
}

// tooManyParams reports whether the Request-URI or some header line has more than MaxParams
// parameters.
func (m *Message) tooManyParams() bool {
	if tooManyParams(m.bytes(m.uri)) {
		return true
	}
	for i := range m.headers {
		if tooManyParams(m.bytes(m.headers[i].value)) {
			return true
		}
	}
	return false
}

func tooManyParams(b []byte) bool {
	return bytes.Count(b, []byte{';'}) > MaxParams || bytes.Count(b, []byte{'&'}) > MaxParams
}

// addLine records the header field line in raw[start:end]; its line end begins at end.
func (m *Message) addLine(start, end int) *ParseError {
	raw := m.Raw
	name := bytes.IndexByte(raw[start:end], ':')
	if name <= 0 {
		return errHeaderLine
	}
	name += start
	value := name + 1
	for isLWS(raw[value]) {
		value++ // stops at the line end, which is not LWS
	}
	for name > start && isLWS(raw[name-1]) {
		name--
	}
	id := LookupHeader(raw[start:name])
	if id == OtherHeader && !IsToken(raw[start:name]) {
		return errHeaderLine
	}
	stop := end
	for stop > value && isLWS(raw[stop-1]) {
		stop--
	}
	if len(m.headers) == int(m.headersMax) {
		return ErrTooManyHeaders
	}
	n := len(m.headers)
	if n == cap(m.headers) {
		m.headers = slices.Grow(m.headers, initialHeaders)
	}
	m.headers = m.headers[:n+1]
	m.headers[n] = header{
		name:  span{uint16(start), uint16(name)},
		value: span{uint16(value), uint16(stop)},
		id:    id,
	}
	if id != OtherHeader {
		if m.first[id] == 0 {
			m.first[id] = uint8(n + 1)
		} else {
			m.headers[m.last[id]-1].next = uint8(n + 1)
			m.repeats = true
		}
		m.last[id] = uint8(n + 1)
	}
	if mayHaveControl(raw, value, stop) {
		m.mayHaveControl = true
	}
	return nil
}
