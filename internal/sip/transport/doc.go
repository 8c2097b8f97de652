// Package transport is the sockets of a SIP server and the framing on them (RFC 3261 §18):
// datagrams are read and written in batches, streams are cut into messages. Of a message it knows
// only where it ends.
//
// A Manager owns the listeners and connections, and passes every message to one Handler, together
// with the Flow it came over. Sending to that flow answers where the message came from, out of the
// address that it was sent to:
//
//	func (h *handler) HandleMessage(in *transport.Inbound) {
//		response := append(in.Outbox.Buffer(), …)
//		_ = in.Outbox.Send(in.Flow, response) // leaves with the batch
//	}
//
// A new request needs a flow of its own: Listener.Flow over UDP, Manager.Dial or DialFor otherwise.
//
// # Limits
//
// Everything is bounded: sizes, times and connections by Limits, memory by Options.Budget and by a
// share for each source, what is queued for a slow peer by its two lanes (queue.go). A UDP reader
// that cannot keep up refuses part of the new requests (Inbound.Admit). Whatever is thrown away is
// reported to Options.Dropped with its reason.
package transport
