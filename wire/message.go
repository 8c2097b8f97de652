package wire

import "slices"

// MaxSize is the size of the largest message that Parse accepts, in bytes. Positions in a message
// are kept in 16 bits.
const MaxSize = 65535

// MaxHeaders is the largest number of header field lines in a message. Line numbers are kept in a
// byte.
const MaxHeaders = 250

// DefaultMaxHeaders is how many header field lines the server accepts from the network unless it is
// configured otherwise. It is lower than MaxHeaders, which leaves room for the lines that a proxy
// adds.
const DefaultMaxHeaders = 128

// initialHeaders is the number of header field lines that a Message has room for at first.
const initialHeaders = 32

// MaxParams is the largest number of parameters in the Request-URI and in one header field line. It
// is also the largest number of headers in the URIs of one line.
const MaxParams = 64

type span struct{ start, end uint16 }

// header is one header field line.
type header struct {
	name  span
	value span // without the white space around it
	id    HeaderID
	next  uint8 // index of the next line with the same id, plus one; 0: none
}

// Message is a view of one SIP message. The zero value is ready for Parse, and a Message can be
// parsed into again and again. Slices that its methods return are parts of Raw: they are valid as
// long as Raw is, and must not be written to.
type Message struct {
	// Raw is the message, from the start line to the end of the body. Folded header field lines
	// have been unfolded in place: the line break has become spaces, which RFC 3261 §7.3.1 calls
	// equivalent.
	Raw []byte

	// IsResponse reports whether the start line is a status line, that is, whether the message is a
	// response.
	IsResponse bool

	// Method is the method of a request; of a response, the method in its CSeq.
	Method Method

	// Status is the status code of a response, 100 to 699; 0 in a request.
	Status int

	// CSeq is the sequence number, without the method (RFC 3261 §20.16).
	CSeq uint32

	// MaxForwards is the value of Max-Forwards, or -1 when the message has none. It can be larger
	// than 255, which RFC 3261 §20.22 does not allow.
	MaxForwards int

	// Via is the topmost Via value, that of the previous hop.
	Via ViaValue

	method, uri, reason span
	fromTag, toTag      span
	from, to            nameAddr
	cseqMethod          span
	headers             []header
	first, last         [numHeaderIDs]uint8 // indexes of a field's first and last line, plus one
	headersMax          uint8
	forwarded           bool   // there is a second Via
	repeats             bool   // some field that has a HeaderID has more than one line
	bareLF              bool   // a line before the body ends in LF alone
	mayHaveControl      bool   // there may be control characters before the body
	body                uint16 // where the body starts
	contentLength       int    // -1: none
}

// Clone makes dst a copy of the message with bytes of its own, which stays valid when the memory of
// Raw is used again. The copy takes no more memory than the message needs. Clone overwrites dst
// without using its memory.
func (m *Message) Clone(dst *Message) {
	*dst = *m
	dst.headers = slices.Clone(m.headers)
	dst.Raw = make([]byte, len(m.Raw))
	copy(dst.Raw, m.Raw)
	dst.Via.move(dst.Raw)
}

func (m *Message) bytes(s span) []byte { return m.Raw[s.start:s.end:s.end] }

// MethodName returns the method as it is written in the message, also when it is one that Method
// has no constant for; of a response, the method in its CSeq.
func (m *Message) MethodName() []byte {
	if m.IsResponse {
		return m.bytes(m.cseqMethod)
	}
	return m.bytes(m.method)
}

// RequestURI returns the Request-URI as it is written; ParseURI decodes it. It is empty in a
// response.
func (m *Message) RequestURI() []byte { return m.bytes(m.uri) }

// Reason returns the reason phrase of a response, as it is written. It is empty in a request.
func (m *Message) Reason() []byte { return m.bytes(m.reason) }

// Body returns the body: what follows the empty line, no longer than Content-Length says. It is
// empty, not nil, when there is none.
func (m *Message) Body() []byte { return m.Raw[m.body:len(m.Raw):len(m.Raw)] }

// FromTag returns the tag of From, or nil when it has none.
func (m *Message) FromTag() []byte { return m.optional(m.fromTag) }

// ToTag returns the tag of To, or nil when it has none. A request with a To tag belongs to a dialog
// (RFC 3261 §12.2).
func (m *Message) ToTag() []byte { return m.optional(m.toTag) }

func (m *Message) optional(s span) []byte {
	if s.end == 0 {
		return nil
	}
	return m.bytes(s)
}

// Has reports whether the message has the field.
func (m *Message) Has(id HeaderID) bool { return m.first[id] != 0 }

// Header returns the value of the field's first line, without the white space around it. It is nil
// when there is no such line, and empty but not nil when the line has no value.
func (m *Message) Header(id HeaderID) []byte {
	i := m.first[id]
	if i == 0 {
		return nil
	}
	return m.bytes(m.headers[i-1].value)
}

// HeaderNamed returns the value of the first line of the field with that name, and whether there is
// one. The name may be the long or the compact form, in any case. Header is faster for fields that
// have a HeaderID.
func (m *Message) HeaderNamed(name string) ([]byte, bool) {
	it := m.Lines(name)
	if !it.Next() {
		return nil, false
	}
	return it.Value(), true
}

// Lines iterates over the lines of one field; Message.Lines makes one. Call Next before the first
// Value.
type Lines struct {
	m       *Message
	name    string
	compact byte
	id      HeaderID
	next    int // index of the next line, plus one; 0: none
	at      int
}

// Lines returns an iterator over the lines of the field with that name, which may be the long or
// the compact form, in any case:
//
//	for it := m.Lines("Via"); it.Next(); {
//		use(it.Value())
//	}
//
// A line with several comma-separated values counts once; Values takes them apart.
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
		compact := len(name) == 1 && it.compact != 0 && lower(name[0]) == it.compact
		if compact || EqualFold(name, it.name) {
			return i + 1
		}
	}
	return 0
}

// Next advances to the next line and reports whether there is one.
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

// Value returns the value of the current line, without the white space around it.
func (it *Lines) Value() []byte { return it.m.bytes(it.m.headers[it.at].value) }

// Span returns where the current line starts and ends in Raw, its line end included, as
// Edits.Replace takes it.
func (it *Lines) Span() (start, end int) { return it.m.lineSpan(it.at) }

func (m *Message) lineSpan(i int) (start, end int) {
	start = int(m.headers[i].name.start)
	for end = int(m.headers[i].value.end); m.Raw[end] != '\n'; end++ {
	}
	return start, end + 1
}

// All calls f with each header field line in order, until f returns false. For a field without a
// HeaderID, id is OtherHeader. The name is as it is written, which may be a compact form.
func (m *Message) All(f func(id HeaderID, name, value []byte) bool) {
	for i := range m.headers {
		h := &m.headers[i]
		if !f(h.id, m.bytes(h.name), m.bytes(h.value)) {
			return
		}
	}
}

// Values iterates over the comma-separated values of a field, over all its lines (RFC 3261 §7.3.1);
// Message.Values makes one. Call Next before the first Value.
type Values struct {
	m    *Message
	line uint8 // index of the current line, plus one; 0: no more lines
	pos  int   // where the next value of the current line starts
	span span
}

// Values returns an iterator over the values of a field that is a list, such as Contact, Route or
// Via:
//
//	for it := m.Values(wire.Contact); it.Next(); {
//		contact, err := wire.ParseNameAddr(it.Value())
//	}
//
// Authorization and its like are no lists in this sense (RFC 3261 §7.3.1): use Lines for them.
func (m *Message) Values(id HeaderID) Values {
	v := Values{m: m, line: m.first[id]}
	if v.line != 0 {
		v.pos = int(m.headers[v.line-1].value.start)
	}
	return v
}

// Next advances to the next value and reports whether there is one. Empty values are skipped.
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

// Value returns the current value, without the white space around it.
func (v *Values) Value() []byte { return v.m.bytes(v.span) }

// Span returns where the current value starts and ends in Raw, as Edits.Replace takes it.
func (v *Values) Span() (start, end int) { return int(v.span.start), int(v.span.end) }

// Expires returns the value of the Expires field in seconds, and whether the message has that field
// with a valid number. A number too large counts as 2^32-1 (RFC 3261 §20.19).
func (m *Message) Expires() (uint32, bool) {
	if !m.Has(Expires) {
		return 0, false
	}
	return ParseExpires(m.Header(Expires))
}

// ParseExpires reads a number of seconds, as in Expires and in the expires parameter of a Contact,
// and reports whether b is one. A number larger than 2^32-1 counts as that (RFC 3261 §20.19).
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

// IsForwarded reports whether a request has come by way of a proxy: there is a Via below the topmost.
func (m *Message) IsForwarded() bool { return m.forwarded }

// Address parses the first line of From or To, or of another field that has a single address in its
// first line. A field that may have several, such as Contact or Route, is read with Values and
// ParseNameAddr. The error is that of ParseNameAddr; it is also returned when the field is missing.
func (m *Message) Address(id HeaderID) (NameAddr, error) {
	switch a := &m.from; id {
	case To:
		a = &m.to
		fallthrough
	case From:
		if a.uri.end != 0 {
			return NameAddr{Display: m.optional(a.display), URI: m.bytes(a.uri), Params: m.optional(a.params)}, nil
		}
	}
	return ParseNameAddr(m.Header(id))
}

// nameAddr is where the parts of a NameAddr are that was read with the message.
type nameAddr struct{ display, uri, params span }
