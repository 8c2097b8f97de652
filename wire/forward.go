package wire

import "net/netip"

// The edits that a proxy makes to a request (RFC 3261 §16.6) and to a response (§16.7) it forwards.

// SetRequestURI replaces the Request-URI, written by AppendURI.
func (e *Edits) SetRequestURI(m *Message, uri []byte) {
	e.Replace(int(m.uri.start), int(m.uri.end))
	e.Text = AppendURI(e.Text, uri)
}

// StampVia adds received and rport to the topmost Via, as a server does that received the request
// from source (RFC 3261 §18.2.1, RFC 3581 §4). It replaces those that the message has.
func (e *Edits) StampVia(m *Message, source netip.AddrPort) {
	e.Replace(m.Via.Span())
	e.Text = m.appendTopVia(e.Text, source)
}

// PushHeader starts an edit that adds a line above those of the field, or above all lines if there
// are none, as a proxy does with Via and Record-Route. The caller appends the line to Text, its
// CRLF included.
func (e *Edits) PushHeader(m *Message, id HeaderID) {
	if i := m.first[id]; i != 0 {
		e.Insert(int(m.headers[i-1].name.start))
		return
	}
	e.Insert(m.headersStart())
}

func (m *Message) headersStart() int {
	if len(m.headers) == 0 {
		return m.headerEnd()
	}
	return int(m.headers[0].name.start)
}

// DecrementMaxForwards lowers Max-Forwards by one, or adds "Max-Forwards: 70" when there is none
// (RFC 3261 §16.6 step 3). It does not lower 0: such a request must not be forwarded (§16.3 step
// 3).
func (e *Edits) DecrementMaxForwards(m *Message) {
	if m.MaxForwards < 0 {
		e.Insert(m.headersStart())
		e.Text = append(e.Text, "Max-Forwards: 70\r\n"...)
		return
	}
	v := m.headers[m.first[MaxForwards]-1].value
	e.Replace(int(v.start), int(v.end))
	e.Text = appendUint(e.Text, uint64(max(m.MaxForwards-1, 0)))
}

// EnsureContentLength adds Content-Length when there is none. A message needs one on a stream (RFC
// 3261 §18.3).
func (e *Edits) EnsureContentLength(m *Message) {
	if m.contentLength < 0 {
		e.Insert(m.headerEnd())
		e.Text = append(e.Text, "Content-Length: "...)
		e.Text = appendUint(e.Text, uint64(len(m.Body())))
		e.Text = append(e.Text, '\r', '\n')
	}
}

// PopValue removes the first value of a field that is a list, and its whole line when there is no
// other value on it. A proxy removes its own Route and Via with it (RFC 3261 §16.4, §16.7 step 3).
func (e *Edits) PopValue(m *Message, id HeaderID) {
	it := m.Values(id)
	if it.Next() {
		e.deleteValue(m, &it)
	}
}

// PopLastValue removes the last value of a field that is a list, and its whole line when there is
// no other value on it. A proxy does so with the Route where a strict router has left the
// Request-URI (RFC 3261 §16.4).
func (e *Edits) PopLastValue(m *Message, id HeaderID) {
	it := m.Values(id)
	if !it.Next() {
		return
	}
	for last := it; ; last = it {
		if !it.Next() {
			e.deleteValue(m, &last)
			return
		}
	}
}

// deleteValue removes the iterator's current value, which must be the first or the last of its
// line, with the separators next to it, or the whole line when there is no other value on it.
func (e *Edits) deleteValue(m *Message, it *Values) {
	v := m.headers[it.line-1].value
	start, end := it.Span()
	for start > int(v.start) && isSeparator(m.Raw[start-1]) {
		start--
	}
	for end < int(v.end) && isSeparator(m.Raw[end]) {
		end++
	}
	if start == int(v.start) && end == int(v.end) {
		start, end = m.lineSpan(int(it.line - 1))
	}
	e.Replace(start, end)
}

func isSeparator(c byte) bool { return c == ',' || isLWS(c) }

// AppendACK appends the ACK for a final response other than 2xx to m, an INVITE as it was sent (RFC
// 3261 §17.1.1.3). The ACK has the To of the response. The server's transactions send it; handlers
// need not.
func (m *Message) AppendACK(dst []byte, response *Message) []byte {
	return m.appendDerived(dst, "ACK", response.Header(To), nil)
}

// AppendCANCEL appends the CANCEL of m, a request as it was sent (RFC 3261 §9.1), with further header
// lines, as AppendHeader writes them. The server's transactions send it; handlers need not.
func (m *Message) AppendCANCEL(dst, header []byte) []byte {
	return m.appendDerived(dst, "CANCEL", m.Header(To), header)
}

// appendDerived appends a request with m's Request-URI, topmost Via, Route, From, Call-ID and CSeq
// number, and further header lines.
func (m *Message) appendDerived(dst []byte, method string, to, header []byte) []byte {
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = append(dst, m.RequestURI()...)
	dst = append(dst, " SIP/2.0\r\nVia: "...)
	start, end := m.Via.Span()
	dst = append(dst, m.Raw[start:end]...)
	dst = append(dst, "\r\nMax-Forwards: 70\r\n"...)
	dst = m.appendLines(dst, Route)
	dst = m.appendLine(dst, From, nil)
	dst = append(dst, "To: "...)
	dst = append(dst, to...) // byte for byte, also control characters in quoted pairs
	dst = append(dst, '\r', '\n')
	dst = m.appendLine(dst, CallID, nil)
	dst = append(dst, "CSeq: "...)
	dst = appendUint(dst, uint64(m.CSeq))
	dst = append(dst, ' ')
	dst = append(dst, method...)
	dst = append(dst, '\r', '\n')
	dst = append(dst, header...)
	return append(dst, "Content-Length: 0\r\n\r\n"...)
}
