// Package wire reads one received SIP message as a view over its bytes, edits those bytes for forwarding, and writes responses
// and the requests that transactions make by themselves (ACK, CANCEL).
//
// Nothing is copied and, once a Message is there to be reused, nothing is allocated: a Message holds offsets into the bytes it was
// given, and a value is decoded when it is asked for.
package wire

import "slices"

// MaxSize is the largest message, in bytes. Offsets are kept in 16 bits.
const MaxSize = 65535

// MaxHeaders is the largest number of header field lines in a message. Their places are kept in a byte.
const MaxHeaders = 250

// DefaultHeaders is how many of them are taken from the network where nothing else is said. It leaves room for those that a proxy adds.
const DefaultHeaders = 128

// usualHeaders is how many lines a message has room for at first.
const usualHeaders = 32

// MaxParams is the largest number of parameters, and of headers of URIs, in the Request-URI and in one header field line.
const MaxParams = 64

type span struct{ start, end uint16 }

// header is one header field line.
type header struct {
	name  span
	value span // without the white space around it
	id    HeaderID
	next  uint8 // the next line with the same id, plus one
}

// Message is a view of one SIP message. Slices that its methods return are parts of Raw: they live as long as Raw does.
type Message struct {
	// Raw is the message, from the start line to the end of the body. Folded header lines have been unfolded in place: the line
	// break became spaces, which RFC 3261 §7.3.1 says is the same.
	Raw []byte

	// Response tells that the start line is a status line.
	Response bool

	// Method is the request's method or, in a response, the method in CSeq.
	Method Method

	// Status is a response's status code.
	Status int

	// CSeq is the sequence number.
	CSeq uint32

	// MaxForwards is the field's value, or -1 when the message has none.
	MaxForwards int

	// Via is the topmost Via.
	Via ViaValue

	method, uri, reason span
	fromTag, toTag      span
	cseqMethod          span
	headers             []header
	first, last         [numHeaderIDs]uint8 // place of a field's first and last line, plus one
	headersMax          uint8
	repeats             bool // a field that has a HeaderID is there more than once
	bareLF              bool // a line of the header ends in LF alone
	suspicious          bool // there may be control characters in the header
	body                uint16
	contentLength       int // -1: none
}

// Clone makes dst a view of its own copy of the message, to be kept after the memory of Raw is used again. It takes no more memory
// than the message needs.
func (m *Message) Clone(dst *Message) {
	*dst = *m
	dst.headers = slices.Clone(m.headers)
	dst.Raw = make([]byte, len(m.Raw))
	copy(dst.Raw, m.Raw)
	dst.Via.move(dst.Raw)
}

func (m *Message) bytes(s span) []byte { return m.Raw[s.start:s.end:s.end] }

// MethodName returns the method as it is written.
func (m *Message) MethodName() []byte {
	if m.Response {
		return m.bytes(m.cseqMethod)
	}
	return m.bytes(m.method)
}

// RequestURI returns the Request-URI as it is written.
func (m *Message) RequestURI() []byte { return m.bytes(m.uri) }

// Reason returns a response's reason phrase.
func (m *Message) Reason() []byte { return m.bytes(m.reason) }

// Body returns the body.
func (m *Message) Body() []byte { return m.Raw[m.body:len(m.Raw):len(m.Raw)] }

// FromTag returns From's tag, nil when there is none.
func (m *Message) FromTag() []byte { return m.optional(m.fromTag) }

// ToTag returns To's tag, nil when there is none.
func (m *Message) ToTag() []byte { return m.optional(m.toTag) }

func (m *Message) optional(s span) []byte {
	if s.end == 0 {
		return nil
	}
	return m.bytes(s)
}

// Has tells whether the field is there.
func (m *Message) Has(id HeaderID) bool { return m.first[id] != 0 }

// Header returns the value of the field's first line, nil when there is none.
func (m *Message) Header(id HeaderID) []byte {
	i := m.first[id]
	if i == 0 {
		return nil
	}
	return m.bytes(m.headers[i-1].value)
}

// HeaderNamed returns the value of the first line of the field with that name, in its long or compact form, whatever its case.
func (m *Message) HeaderNamed(name string) ([]byte, bool) {
	it := m.Lines(name)
	if !it.Next() {
		return nil, false
	}
	return it.Value(), true
}

// Lines walks through the lines of one field.
type Lines struct {
	m       *Message
	name    string
	compact byte
	id      HeaderID
	next    int // place of the next candidate, plus one; 0: none
	at      int
}

// Lines starts a walk through the field with that name, in its long or compact form, whatever its case.
func (m *Message) Lines(name string) Lines {
	it := Lines{m: m, name: CanonicalHeader(name)}
	if it.id = LookupHeader([]byte(it.name)); it.id != OtherHeader {
		it.next = int(m.first[it.id])
		return it
	}
	for _, n := range otherCompact {
		if EqualFold([]byte(it.name), n.long) {
			it.compact = n.compact
		}
	}
	it.next = it.search(0)
	return it
}

func (it *Lines) search(from int) int {
	for i := from; i < len(it.m.headers); i++ {
		h := &it.m.headers[i]
		if h.id != OtherHeader {
			continue
		}
		name := it.m.bytes(h.name)
		if EqualFold(name, it.name) || len(name) == 1 && it.compact != 0 && lower(name[0]) == it.compact {
			return i + 1
		}
	}
	return 0
}

// Next moves to the next line.
func (it *Lines) Next() bool {
	if it.next == 0 {
		return false
	}
	it.at = it.next - 1
	if it.id != OtherHeader {
		it.next = int(it.m.headers[it.at].next)
	} else {
		it.next = it.search(it.next)
	}
	return true
}

// Value returns the line's value.
func (it *Lines) Value() []byte { return it.m.bytes(it.m.headers[it.at].value) }

// Span returns where the line starts and ends in Raw, line end included.
func (it *Lines) Span() (start, end int) { return it.m.lineSpan(it.at) }

func (m *Message) lineSpan(i int) (start, end int) {
	start = int(m.headers[i].name.start)
	for end = int(m.headers[i].value.end); m.Raw[end] != '\n'; end++ {
	}
	return start, end + 1
}

// All calls f with each header field line in order, until f returns false.
func (m *Message) All(f func(id HeaderID, name, value []byte) bool) {
	for i := range m.headers {
		h := &m.headers[i]
		if !f(h.id, m.bytes(h.name), m.bytes(h.value)) {
			return
		}
	}
}

// Values walks through the comma-separated values of a field, over all its lines.
type Values struct {
	m    *Message
	line uint8 // place of the current line, plus one
	pos  int   // where the next value of the current line starts
	span span
}

// Values starts a walk.
func (m *Message) Values(id HeaderID) Values {
	v := Values{m: m, line: m.first[id]}
	if v.line != 0 {
		v.pos = int(m.headers[v.line-1].value.start)
	}
	return v
}

// Next moves to the next value. Empty values are passed over.
func (v *Values) Next() bool {
	for v.line != 0 {
		h := &v.m.headers[v.line-1]
		end := int(h.value.end)
		for v.pos < end {
			start := v.pos
			stop := start + nextComma(v.m.Raw[start:end])
			v.pos = stop + 1
			for start < stop && isLWS(v.m.Raw[start]) {
				start++
			}
			for stop > start && isLWS(v.m.Raw[stop-1]) {
				stop--
			}
			if start < stop {
				v.span = span{uint16(start), uint16(stop)}
				return true
			}
		}
		if v.line = h.next; v.line != 0 {
			v.pos = int(v.m.headers[v.line-1].value.start)
		}
	}
	return false
}

// Value returns the current value.
func (v *Values) Value() []byte { return v.m.bytes(v.span) }

// Span returns where the current value starts and ends in Raw.
func (v *Values) Span() (start, end int) { return int(v.span.start), int(v.span.end) }

// Expires returns the Expires field in seconds and whether it is there and a number.
// A number too large counts as 2^32-1 (RFC 3261 §20.19).
func (m *Message) Expires() (uint32, bool) {
	if !m.Has(Expires) {
		return 0, false
	}
	return ParseExpires(m.Header(Expires))
}

// ParseExpires reads delta-seconds; what is larger than 2^32-1 counts as that.
func ParseExpires(b []byte) (uint32, bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, ok := ParseUint(b, 1<<32-1)
	if !ok {
		return 1<<32 - 1, true
	}
	return uint32(n), true
}

// Address reads From, To or the first Contact of the message.
func (m *Message) Address(id HeaderID) (NameAddr, error) { return ParseNameAddr(m.Header(id)) }
