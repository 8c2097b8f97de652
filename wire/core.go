package wire

// core reads what every message must have and the server always needs (RFC 3261 §8.1.1), and cuts the body to its length.
func (m *Message) core() (first *ParseError) {
	note := func(err *ParseError) {
		if first == nil {
			first = err
		}
	}
	if v := m.Values(Via); !v.Next() || m.Via.parse(m.Raw, v.span) != nil {
		note(errBadVia)
	}
	if !m.tag(From, &m.fromTag) {
		note(errBadFrom)
	}
	if !m.tag(To, &m.toTag) {
		note(errBadTo)
	}
	if len(m.Header(CallID)) == 0 {
		note(errBadCallID)
	}
	if err := m.cseq(); err != nil {
		note(err)
	}
	if m.Has(MaxForwards) {
		// RFC 3261 §20.22 allows 0-255, but a larger one is only strange.
		n, ok := ParseUint(m.Header(MaxForwards), 1<<31-1)
		if !ok {
			note(errBadMF)
		} else {
			m.MaxForwards = int(n)
		}
	}
	// Two readers that take different ones of two values see two messages: refuse (RFC 4475 §3.3.8).
	if m.repeats {
		for _, id := range [...]HeaderID{From, To, CallID, CSeq, MaxForwards, ContentLength} {
			if m.first[id] != m.last[id] {
				note(errDuplicate)
			}
		}
	}
	if err := m.cutBody(); err != nil {
		note(err)
	}
	return first
}

func (m *Message) tag(id HeaderID, tag *span) bool {
	i := m.first[id]
	if i == 0 {
		return false
	}
	value := m.headers[i-1].value
	a, err := ParseNameAddr(m.bytes(value))
	// A comma outside quotes and brackets would make two values of it for some readers. It must not be forwarded (RFC 4475 §3.1.2.15).
	if err != nil || nextComma(m.bytes(value)) < int(value.end-value.start) {
		return false
	}
	for it := (Params{rest: a.Params}); it.Next(); {
		if !EqualFold(it.Name, "tag") {
			continue
		}
		// Without a value, or with two, it would not be clear which dialog is meant.
		if len(it.Value) == 0 || tag.end != 0 {
			return false
		}
		// The tag is a part of the value: its place follows from how much of the value is behind it.
		start := int(value.end) - cap(it.Value)
		*tag = span{uint16(start), uint16(start + len(it.Value))}
	}
	return true
}

func (m *Message) cseq() *ParseError {
	i := m.first[CSeq]
	if i == 0 {
		return errBadCSeq
	}
	v := m.headers[i-1].value
	b := m.bytes(v)
	digits := 0
	for digits < len(b) && !isLWS(b[digits]) {
		digits++
	}
	n, ok := ParseUint(b[:digits], 1<<31-1) // RFC 3261 §8.1.1.5
	if !ok {
		return errBadCSeq
	}
	m.CSeq = uint32(n)
	start := digits
	for start < len(b) && isLWS(b[start]) {
		start++
	}
	method := b[start:]
	m.cseqMethod = span{v.start + uint16(start), v.end}
	switch {
	case !m.Response && m.method.end > 0 && string(method) == string(m.bytes(m.method)):
	case !IsToken(method):
		return errBadCSeq
	case !m.Response:
		return errCSeqMethod
	default:
		m.Method = LookupMethod(method)
	}
	return nil
}

func (m *Message) cutBody() *ParseError {
	if !m.Has(ContentLength) {
		return nil
	}
	n, ok := ParseUint(m.Header(ContentLength), 1<<31-1)
	if !ok {
		return errBadCL
	}
	m.contentLength = int(n)
	if int(n) > len(m.Raw)-int(m.body) {
		return errShortBody
	}
	m.Raw = m.Raw[:int(m.body)+int(n)]
	return nil
}

// Answerable tells whether a request that could not be read whole can be answered all the same: it has a Via to send the answer to,
// and is no ACK, which nothing answers (RFC 3261 §17.1.1.3).
func (m *Message) Answerable() bool {
	return !m.Response && len(m.Via.Host) > 0 && m.method.end > 0 && m.Method != ACK
}
