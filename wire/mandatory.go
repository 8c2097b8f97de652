package wire

// mandatory reads the fields that every message must have (RFC 3261 §8.1.1) and cuts the body to
// Content-Length. It returns the first error and reads on behind it.
func (m *Message) mandatory() (first *ParseError) {
	note := func(err *ParseError) {
		if first == nil {
			first = err
		}
	}
	vias := m.Values(Via)
	if !vias.Next() || m.Via.parse(m.Raw, vias.span) != nil {
		note(errBadVia)
	}
	m.forwarded = vias.Next()
	if !m.address(From, &m.from, &m.fromTag) {
		note(errBadFrom)
	}
	if !m.address(To, &m.to, &m.toTag) {
		note(errBadTo)
	}
	if len(m.Header(CallID)) == 0 {
		note(errBadCallID)
	}
	if err := m.cseq(); err != nil {
		note(err)
	}
	if m.Has(MaxForwards) {
		// RFC 3261 §20.22 allows 0 to 255, but a larger number does no harm.
		n, ok := ParseUint(m.Header(MaxForwards), 1<<31-1)
		if !ok {
			note(errBadMF)
		} else {
			m.MaxForwards = int(n)
		}
	}
	// Of two values one implementation takes the first, another the last: they would see different
	// messages. Refuse (RFC 4475 §3.3.8).
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

// address reads From or To, and returns false if it is malformed or missing.
func (m *Message) address(id HeaderID, parts *nameAddr, tag *span) bool {
	i := m.first[id]
	if i == 0 {
		return false
	}
	value := m.headers[i-1].value
	a, err := ParseNameAddr(m.bytes(value))
	// A comma outside quotes and brackets makes two values of it for some implementations. Such a
	// message must not be forwarded (RFC 4475 §3.1.2.15).
	if err != nil || nextComma(m.bytes(value)) < int(value.end-value.start) {
		return false
	}
	// All parts have the capacity up to the end of the value, which says where in Raw they start.
	part := func(b []byte) span {
		if b == nil {
			return span{}
		}
		start := int(value.end) - cap(b)
		return span{uint16(start), uint16(start + len(b))}
	}
	*parts = nameAddr{part(a.Display), part(a.URI), part(a.Params)}
	for it := (Params{rest: a.Params}); it.Next(); {
		if !EqualFold(it.Name, "tag") {
			continue
		}
		// With an empty tag, or with two, it would not be clear which dialog is meant.
		if len(it.Value) == 0 || tag.end != 0 {
			return false
		}
		*tag = part(it.Value)
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
	case !m.IsResponse && m.method.end > 0 && string(method) == string(m.bytes(m.method)):
	case !IsToken(method):
		return errBadCSeq
	case !m.IsResponse:
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

// Answerable reports whether a request that Parse has refused can be answered all the same: it has
// a Via to send the response to, and it is not an ACK, to which there is never a response (RFC 3261
// §17.1.1.3).
func (m *Message) Answerable() bool {
	return !m.IsResponse && len(m.Via.Host) > 0 && m.method.end > 0 && m.Method != ACK
}
