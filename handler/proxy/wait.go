package proxy

import (
	"errors"
	"slices"

	"github.com/caddysip/caddysip/internal/flight"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// What requests wait for, in metrics and logs.
const (
	forNames       = "names"
	forConnections = "connections"
)

// lookUp finds out where the target's name leads, and tries it. A name of the configuration is looked
// up on nobody's account.
func (b *branch) lookUp(out *transport.Outbox) {
	n, text := b.c.p.names, b.target.name
	u, err := wire.ParseURI(text)
	if err != nil {
		b.unreachable(503, err, out)
		return
	}
	wait(b, forNames, func(who string, done func([]hop, error)) ([]hop, error, bool) {
		worker := who
		if !b.target.named {
			worker = ""
		}
		return n.Do(key(&u), worker, who, func() ([]hop, error) { return resolve(n.dns, text) }, done)
	}, func(hops []hop, out *transport.Outbox) {
		switch t := b.target; {
		case t.maybeLocal && !b.c.rerouted && b.c.p.leadsHere(hops):
			b.c.reroute(text, out)
			return
		case t.otherwise != nil:
			b.unreachable(403, errElsewhere, out)
			return
		}
		// Others have the same list.
		if b.hops, err = b.target.admit(slices.Clone(hops)); err != nil {
			b.unreachable(503, err, out)
			return
		}
		b.try(out)
	}, out)
}

// dial makes a connection to the place, and sends the request.
func (b *branch) dial(out *transport.Outbox) {
	m, at := b.c.p.in.Engine.Transport, b.at
	wait(b, forConnections, func(who string, done func(transport.Flow, error)) (transport.Flow, error, bool) {
		return m.DialFor(who, at.Network, at.Addr, done)
	}, b.send, out)
}

// wait has the branch wait for what ask asks for, and then, unless it has ended meanwhile, calls
// found. Nothing but the request is kept for that, and its memory is counted. What is there at once
// is not waited for.
func wait[V any](b *branch, what string, ask func(who string, done func(V, error)) (V, error, bool),
	found func(V, *transport.Outbox), out *transport.Outbox) {
	c := b.c
	c.waited = true
	release, ok := c.r.Hold()
	if !ok {
		b.busy(what, flight.ErrFull, out)
		return
	}
	attempt := b.attempt
	came := func(v V, err error, out *transport.Outbox) {
		switch {
		case b.done || b.attempt != attempt: // it was not waited for so long
		case errors.Is(err, flight.ErrFull), errors.Is(err, transport.ErrLimit):
			b.busy(what, err, out)
		case err != nil:
			b.markSilent()
			b.unreachable(503, err, out)
		default:
			found(v, out)
		}
	}
	v, err, now := ask(c.r.Payer(), func(v V, err error) {
		release()
		c.p.in.Guard(func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			came(v, err, nil)
		})
	})
	if now {
		release()
		came(v, err, out)
	}
}

// busy takes note that the request cannot wait, because too much does already: that is our fault,
// not the target's.
func (b *branch) busy(what string, err error, out *transport.Outbox) {
	b.c.full = true
	b.c.r.CountBusy(what)
	b.unreachable(503, err, out)
}
