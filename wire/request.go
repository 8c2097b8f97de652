package wire

// RequestFields is what AppendRequest composes a request from. Method, URI, Transport, SentBy,
// Branch, From, FromTag, To, CallID and CSeq are required.
type RequestFields struct {
	Method string
	URI    []byte // the Request-URI

	Transport string // in Via: "UDP", "TCP", "TLS", "WS" or "WSS"
	SentBy    []byte // in Via: host and port, as AppendHostPort writes them
	Branch    []byte // in Via: begins with MagicCookie

	From    []byte // a URI, without angle brackets
	FromTag []byte
	To      []byte // the whole value: a URI in angle brackets, and within a dialog a tag
	CallID  []byte
	CSeq    uint32

	Contact     []byte   // a URI, without angle brackets; nil: no Contact
	Route       [][]byte // the values of Route; each gets a line of its own
	Header      []byte   // further header lines, each with its CRLF, as AppendHeader writes them
	ContentType string   // empty: no body
	Body        []byte
}

// AppendRequest appends the request, with ";rport" in Via (RFC 3581 §3) and Max-Forwards 70.
// Control characters in the values become spaces and those in URIs are escaped: whatever the fields
// hold, they add no other header lines. Header is the exception: it is appended as it is. Handlers
// send requests with module.App.Send, which fills in the fields and runs the transaction.
func AppendRequest(dst []byte, f *RequestFields) []byte {
	dst = AppendClean(dst, f.Method)
	dst = append(dst, ' ')
	dst = AppendURI(dst, f.URI)
	dst = append(dst, " SIP/2.0\r\nVia: SIP/2.0/"...)
	dst = AppendClean(dst, f.Transport)
	dst = append(dst, ' ')
	dst = AppendClean(dst, f.SentBy)
	dst = append(dst, ";branch="...)
	dst = AppendClean(dst, f.Branch)
	dst = append(dst, ";rport\r\nMax-Forwards: 70\r\n"...)
	for _, r := range f.Route {
		dst = AppendHeader(dst, "Route", r)
	}
	dst = append(dst, "From: <"...)
	dst = AppendURI(dst, f.From)
	dst = append(dst, ">;tag="...)
	dst = AppendClean(dst, f.FromTag)
	dst = append(dst, '\r', '\n')
	dst = AppendHeader(dst, "To", f.To)
	dst = AppendHeader(dst, "Call-ID", f.CallID)
	dst = append(dst, "CSeq: "...)
	dst = appendUint(dst, uint64(f.CSeq))
	dst = append(dst, ' ')
	dst = AppendClean(dst, f.Method)
	dst = append(dst, '\r', '\n')
	if f.Contact != nil {
		dst = append(dst, "Contact: <"...)
		dst = AppendURI(dst, f.Contact)
		dst = append(dst, ">\r\n"...)
	}
	dst = append(dst, f.Header...)
	body := f.Body
	if f.ContentType == "" {
		body = nil
	} else {
		dst = AppendHeader(dst, "Content-Type", f.ContentType)
	}
	return appendBody(dst, body)
}

// appendBody appends Content-Length, the empty line that ends the header, and the body.
func appendBody(dst, body []byte) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = appendUint(dst, uint64(len(body)))
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body...)
}
