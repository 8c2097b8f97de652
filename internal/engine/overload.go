package engine

import (
	"math/rand/v2"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// sheddable reports whether a request may be refused under overload: one that starts something
// which costs more than refusing it, a call, a subscription, a message. What belongs to a call that
// is up comes first, and REGISTER and OPTIONS cost as much to refuse as to answer.
func sheddable(m *wire.Message) bool {
	switch m.Method {
	case wire.REGISTER, wire.OPTIONS, wire.ACK, wire.CANCEL, wire.BYE, wire.PRACK:
		return false
	}
	return m.ToTag() == nil
}

// admit reports whether a sheddable request is let in. Otherwise it has been answered with 503,
// statelessly (RFC 3261 §21.5.4) or, if there is no time even for that, dropped. Retry-After is a
// random 1 to 9 seconds, so that not everybody comes back at the same time.
func (e *Engine) admit(in *transport.Inbound, m *wire.Message) bool {
	switch in.Admit() {
	case transport.Admit:
		return true
	case transport.Drop:
		droppedBusy.Inc()
		return false
	}
	refusedBusy.Inc()
	b := m.AppendResponse(
		in.Outbox.Buffer(),
		503,
		"Service Unavailable",
		in.Flow.Remote,
		&wire.ResponseOptions{
			ToTag:  StatelessTag(nil, m),
			Header: append([]byte("Retry-After: "), byte('1'+rand.IntN(9)), '\r', '\n'),
		},
	)
	_ = in.Outbox.Send(ResponseFlow(m, in.Flow), b)
	return false
}
