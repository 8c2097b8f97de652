package module

// Retransmission reports whether the request is a retransmission of an earlier one (RFC 3261
// §17.1.2). A handler that answers without a transaction asks before it acts on the request, so
// that it acts once; the answer is sent each time.
//
// Only a request that this was asked of is remembered, for 32 seconds at least, on all servers of
// the process. All handlers get the same answer for the same request.
func (r *Request) Retransmission() bool {
	if !r.asked {
		r.asked = true
		r.repeated = r.server.app.engine.Remember(r.msg)
	}
	return r.repeated
}
