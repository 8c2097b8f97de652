package engine

import (
	"math/rand/v2"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// begins tells whether a request begins something that costs more than to refuse it: a call, a subscription, a message. What belongs to a call that
// is there comes first, and REGISTER and OPTIONS cost as much to refuse as to answer.
func begins(m *wire.Message) bool {
	switch m.Method {
	case wire.REGISTER, wire.OPTIONS, wire.ACK, wire.CANCEL, wire.BYE, wire.PRACK:
		return false
	}
	return m.ToTag() == nil
}

// admit tells whether a request that begins something is let in. Else it is answered that too much is going on, statelessly (RFC 3261 §21.5.4), or if
// even that is too much not at all. Not everybody is told to come back at the same time.
func (e *Engine) admit(in *transport.Inbound, m *wire.Message) bool {
	switch in.Admit() {
	case transport.Admit:
		return true
	case transport.Drop:
		droppedBusy.Inc()
		return false
	}
	refusedBusy.Inc()
	b := m.AppendResponse(in.Outbox.Buffer(), 503, "Service Unavailable", in.Flow.Remote, &wire.ResponseOptions{
		ToTag:  StatelessTag(nil, m),
		Header: append([]byte("Retry-After: "), byte('1'+rand.IntN(9)), '\r', '\n'),
	})
	_ = in.Outbox.Send(ResponseFlow(m, in.Flow), b)
	return false
}
