package proxy

import (
	"errors"

	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// OnResponse implements transaction.ClientHandler (RFC 3261 §16.7).
func (b *branch) OnResponse(client *transaction.Client, m *wire.Message, out *transport.Outbox) {
	c := b.c
	c.mu.Lock()
	defer c.mu.Unlock()
	m = b.screenResponse(m)
	b.markHeard()
	switch {
	case client != b.client:
		// The place was given up, and another one is being tried.
	case m.Status < 200:
		b.noteDialog(m)
		b.provisional(m, out)
	case !b.relayable(m):
		b.failed(nil, 502, out)
	case m.Status < 300:
		b.success(m, out)
	default:
		b.failed(m, m.Status, out)
	}
	if m.Status >= 300 || m.Status >= 200 && c.method != wire.INVITE {
		client.Abandon() // nothing follows
	}
}

// relayable reports whether the caller's Via is below ours (RFC 3261 §16.7 step 3). With another one
// there the response would be nobody's.
func (b *branch) relayable(m *wire.Message) bool {
	v := m.Values(wire.Via)
	for range 2 {
		if !v.Next() {
			return false
		}
	}
	below, err := wire.ParseVia(v.Value())
	return err == nil && hashVia(below.Branch) == b.c.via
}

// provisional relays a provisional response. 100 is hop by hop, and only an INVITE has others (RFC
// 4320 §4.1).
func (b *branch) provisional(m *wire.Message, out *transport.Outbox) {
	first := !b.gotProvisional
	b.gotProvisional = true
	if b.c.method != wire.INVITE {
		return
	}
	rings := m.Status > 100 && b.relayable(m)
	if (first || rings) && !b.done && !b.expired {
		b.startTimerC(b.c.p.Timeout)
	}
	if rings && !b.c.done {
		b.c.write(module.Response{Status: m.Status, Relay: m, By: b.name()}, out)
	}
}

// success relays a 2xx. Every 2xx to an INVITE is a dialog of its own and is relayed (RFC 3261
// §16.7 step 5), to other requests only the first.
func (b *branch) success(m *wire.Message, out *transport.Outbox) {
	c := b.c
	b.end()
	if c.w == nil && !c.repeats {
		return
	}
	b.noteDialog(m)
	if c.w == nil {
		c.repeat(m, out)
		return
	}
	c.answered(m.Status)
	c.done = true
	c.write(module.Response{Status: m.Status, Relay: m, By: b.name()}, out)
	c.cancel(answeredElsewhere, out)
	if c.method == wire.INVITE {
		c.releaseAnswered()
	} else {
		c.release()
	}
}

// failed takes a final response other than 2xx. m is nil when nobody sent it.
func (b *branch) failed(m *wire.Message, status int, out *transport.Outbox) {
	c := b.c
	if b.done {
		return
	}
	b.noDialog()
	// Another place is tried after one that says nothing, that nothing was sent to, or whose edge
	// proxy has lost it (RFC 5626 §5.3).
	silent := status == 503 || status == 430 ||
		m == nil && (status == 408 && !b.gotProvisional || b.client == nil)
	switch {
	case !silent || c.stopped:
	case len(b.hops) > 0:
		b.try(out)
		return
	case b.target.fallback != nil:
		b.target = b.target.fallback
		b.client, b.gotProvisional, b.expired = nil, false, false
		b.start(out)
		return
	}
	b.end()
	if c.done {
		return
	}
	if b.expired {
		m, status = nil, 408 // that it was us who ended it is not for the caller to read
	}
	if m == nil && status == 503 && b.target.binding != nil && b.target.route == nil {
		status = 480 // it is the phone that is not there, no server
	}
	c.best.consider(m, status, b.name(), m == nil && !b.expired)
	switch {
	case status >= 600:
		c.cancel(declined(m), out) // nobody else is asked any more (RFC 3261 §16.7 step 5)
	case c.failover && !silent:
		c.stopped = true // a target that answers is not failing
	}
	c.next(out)
}

// OnFailure implements transaction.ClientHandler: no answer is like 408, no way to send, or to get
// there, like 503 (RFC 3261 §16.8, §16.9).
func (b *branch) OnFailure(client *transaction.Client, err error) {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	if client != b.client {
		return
	}
	if !b.gotProvisional && !errors.Is(err, transaction.ErrClosed) {
		b.markSilent()
	}
	status := 503
	switch {
	case errors.Is(err, transaction.ErrTimeout):
		status = 408
	case b.target.flow:
		status = 480 // the connection that the phone has registered by has gone, as if it had before
	}
	b.failed(nil, status, nil)
}

// OnTerminated implements transaction.ClientHandler.
func (b *branch) OnTerminated(*transaction.Client) {}

// name says who answered, for the access log.
func (b *branch) name() string {
	if !b.c.p.server.LogsAccess() {
		return ""
	}
	return b.at.Network.String() + "/" + b.at.Addr.String()
}

// end takes the branch out of those that a response is awaited from.
func (b *branch) end() {
	if b.done {
		return
	}
	b.done = true
	if !b.skipped {
		b.c.pending--
	}
	if b.timerC != nil {
		b.timerC.Stop()
		b.timerC = nil
	}
}
