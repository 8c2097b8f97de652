package wire

import "net/netip"

// ResponseOptions is what a response has beyond what AppendResponse copies from the request. The
// zero value adds nothing.
type ResponseOptions struct {
	ToTag       []byte // the tag to add to To if the request's To has none; without it, none
	RecordRoute bool   // copy Record-Route, for a response that creates a dialog (RFC 3261 §12.1.1)
	Header      []byte // further header lines, each with its CRLF, as AppendHeader writes them
	ContentType string // of Body; empty: no Content-Type
	Body        []byte
}

// AppendResponse appends the response to the request m, which came from source. It copies Via,
// From, To, Call-ID and CSeq, in a 100 also Timestamp (RFC 3261 §8.2.6), and writes received and
// rport into the topmost Via (§18.2.1; RFC 3581 §4). Content-Length is always written. m may be a
// request that Parse has refused, if it is Answerable; what could not be read is left out. o must
// not be nil.
func (m *Message) AppendResponse(
	dst []byte, status int, reason string, source netip.AddrPort, o *ResponseOptions,
) []byte {
	dst = append(dst, "SIP/2.0 "...)
	dst = appendUint(dst, uint64(status))
	dst = append(dst, ' ')
	dst = AppendClean(dst, reason)
	dst = append(dst, '\r', '\n')
	for i := m.first[Via]; i != 0; i = m.headers[i-1].next {
		value, top := m.headers[i-1].value, m.Via.span
		dst = append(dst, "Via: "...)
		if top.end > 0 && value.start <= top.start && top.end <= value.end {
			dst = m.appendTopVia(dst, source)
			dst = append(dst, m.Raw[top.end:value.end]...)
		} else {
			dst = append(dst, m.bytes(value)...)
		}
		dst = append(dst, '\r', '\n')
	}
	if o.RecordRoute {
		dst = m.appendLines(dst, RecordRoute)
	}
	dst = m.appendLine(dst, From, nil)
	dst = m.appendLine(dst, To, o.ToTag)
	dst = m.appendLine(dst, CallID, nil)
	dst = m.appendLine(dst, CSeq, nil)
	if status == 100 {
		dst = m.appendLine(dst, Timestamp, nil) // RFC 3261 §8.2.6.1
	}
	dst = append(dst, o.Header...)
	if len(o.Body) > 0 && o.ContentType != "" {
		dst = AppendHeader(dst, "Content-Type", o.ContentType)
	}
	return appendBody(dst, o.Body)
}

// appendTopVia appends the topmost Via, with the received and rport of a request from source.
func (m *Message) appendTopVia(dst []byte, source netip.AddrPort) []byte {
	v := &m.Via
	start, end := v.Span()
	// Don't believe those that the client wrote itself.
	first, second := v.received, v.rport
	if first.start > second.start {
		first, second = second, first
	}
	for _, cut := range [...]span{first, second} {
		if cut.end != 0 {
			dst = append(dst, m.Raw[start:cut.start]...)
			start = int(cut.end)
		}
	}
	dst = append(dst, m.Raw[start:end]...)
	for c := dst[len(dst)-1]; isLWS(c) || c == ';'; c = dst[len(dst)-1] {
		dst = dst[:len(dst)-1]
	}
	if v.HasRPort {
		dst = append(dst, ";rport="...)
		dst = appendUint(dst, uint64(source.Port()))
	}
	from := source.Addr().Unmap().WithZone("")
	if addr, ok := HostAddr(v.Host); !ok || addr != from || v.HasRPort {
		dst = append(dst, ";received="...)
		dst = from.AppendTo(dst)
	}
	return dst
}

func (m *Message) appendLine(dst []byte, id HeaderID, tag []byte) []byte {
	i := m.first[id]
	if i == 0 {
		return dst
	}
	dst = append(dst, headerNames[id].long...)
	dst = append(dst, ':', ' ')
	dst = append(dst, m.bytes(m.headers[i-1].value)...)
	if len(tag) > 0 && m.toTag.end == 0 {
		dst = append(dst, ";tag="...)
		dst = append(dst, tag...)
	}
	return append(dst, '\r', '\n')
}

func (m *Message) appendLines(dst []byte, id HeaderID) []byte {
	for i := m.first[id]; i != 0; i = m.headers[i-1].next {
		dst = append(dst, headerNames[id].long...)
		dst = append(dst, ':', ' ')
		dst = append(dst, m.bytes(m.headers[i-1].value)...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// ResponseAddr returns where to send a response to the request m, which came over UDP from source
// (RFC 3261 §18.2.2, RFC 3581 §4). It ignores maddr, with which anybody could direct our responses
// at others.
func (m *Message) ResponseAddr(source netip.AddrPort) netip.AddrPort {
	if m.Via.HasRPort {
		return source
	}
	port := m.Via.Port
	if port == 0 {
		port = 5060
	}
	return netip.AddrPortFrom(source.Addr(), port)
}
