// Package wire reads, edits and writes SIP messages (RFC 3261) as bytes, without building a tree of
// objects. It is what every handler sees of a message: module.Request gives access to the Message
// of the request it carries.
//
// # Reading
//
// A Message is a view: Parse goes through the bytes of one message once, checks what RFC 3261
// requires of every message, and remembers where each header field is. A value is decoded when it
// is asked for:
//
//	var m wire.Message
//	if err := m.Parse(datagram); err != nil {
//		// err is a *wire.ParseError: it holds the status to answer with.
//	}
//	subject, found := m.HeaderNamed("Subject")
//	to, err := m.Address(wire.To)
//
// The fields that the server itself reads have a HeaderID and are found in constant time (Header,
// Has, Values); all others are found by name (HeaderNamed, Lines). A field that is a list, such as
// Contact or Route, is read with Values, which knows that commas and repeated lines mean the same.
// Names are compared without regard to case, and compact forms count as the long ones.
//
// # Memory
//
// Every slice that is returned points into Message.Raw, which is the buffer that was given to
// Parse: it is valid as long as the buffer is. In a handler the buffer is used for another packet
// after ServeSIP has returned, so whatever is kept has to be copied (Message.Clone, bytes.Clone,
// string). Nothing returned may be written to. Parsing into a Message that has been used before
// needs no new memory. A Message is safe for concurrent reading.
//
// # Editing
//
// A message that is forwarded is not parsed and written anew: what nobody has touched leaves byte
// for byte as it came. Edits collects insertions, replacements and deletions and applies them in
// one pass:
//
//	var e wire.Edits
//	e.DecrementMaxForwards(&m)
//	e.DeleteHeader(&m, "X-Internal")
//	e.AddHeader(&m, "Subject", "lunch")
//	out := e.Append(nil, m.Raw)
//
// # Writing
//
// AppendResponse composes the response to a parsed request, AppendRequest a request from its parts.
// As everywhere in Go, a function whose name begins with Append appends to a slice and returns it.
// Values that are written never break out of their line: control characters become spaces, or are
// escaped in a URI.
//
// # Limits
//
// A message has at most MaxSize bytes and MaxHeaders header field lines, and at most MaxParams
// parameters in one line. Parse also refuses what two implementations could read differently, such
// as a repeated Content-Length.
package wire
