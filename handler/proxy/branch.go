package proxy

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/transport"
	"github.com/caddysip/caddysip/internal/wire"
	"github.com/caddysip/caddysip/module"
)

// start finds out where the branch's target is, and tries it.
func (b *branch) start(out *transport.Outbox) {
	h := b.target.hop
	if !h.addr.IsValid() {
		var known bool
		var err error
		if h, known, err = literal(b.target.next); err != nil {
			b.unreachable(err, out)
			return
		} else if !known {
			b.wait(func() error {
				hops, err := resolve(b.target.next)
				b.hops = hops
				return err
			})
			return
		}
	}
	b.hops = append(b.hops, h)
	b.try(out)
}

// wait runs what may block, and then tries what it has found.
func (b *branch) wait(f func() error) {
	c := b.c
	if !c.p.app.Go(func() {
		err := f()
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case b.over:
		case err != nil:
			b.unreachable(err, nil)
		default:
			b.try(nil)
		}
	}) {
		b.failed(nil, 503, nil)
	}
}

func (b *branch) unreachable(err error, out *transport.Outbox) {
	b.c.p.logger.Info("a target cannot be reached", zap.ByteString("uri", b.target.next), zap.Stringer("address", b.at.addr), zap.Error(err))
	b.failed(nil, 503, out)
}

// try sends the request to the first of the branch's places.
func (b *branch) try(out *transport.Outbox) {
	b.at = b.hops[0]
	app := b.c.p.app
	f, ok := app.FlowTo(b.at.network, b.at.addr, b.preferred())
	if !ok && b.at.network.Reliable() {
		b.wait(func() error { return app.Dial(b.at.network, b.at.addr) })
		return
	}
	b.hops = b.hops[1:]
	if !ok {
		b.unreachable(errNoListener, out)
		return
	}
	b.send(f, out)
}

// preferred returns the socket to send from: the one that a phone registered through, since its NAT lets nothing else in, else the one the request came
// through.
func (b *branch) preferred() *transport.Listener {
	if l := b.target.preferred; l != nil {
		return l
	}
	return b.c.r.Flow().Listener
}

// send forwards the request (RFC 3261 §16.6).
func (b *branch) send(f transport.Flow, out *transport.Outbox) {
	c := b.c
	m := c.r.Message()
	var buf []byte
	if out != nil {
		buf = out.Buffer()
	}
	branch := engine.AppendBranch(make([]byte, 0, 48), rand.Uint64(), engine.LoopHash(m))
	request := c.p.forward(buf, c.r, c.routing, &b.target, b.at, f, branch)
	client, err := c.p.app.Engine().Transactions.NewClient(request, f, b, out)
	if err != nil {
		b.unreachable(err, out)
		return
	}
	b.client = client
	if m.Method == wire.INVITE {
		b.startTimerC()
	}
}

// startTimerC limits how long a branch may ring (RFC 3261 §16.6 step 11, §16.8).
func (b *branch) startTimerC() {
	c := b.c
	client := b.client
	b.timerC = c.p.app.Engine().Transactions.AfterFunc(time.Duration(c.p.Timeout), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if b.over || b.client != client {
			return
		}
		if b.rang {
			client.Cancel(nil) // its 487 ends the branch
			return
		}
		client.Cancel(nil)
		client.Abandon()
		b.failed(nil, 408, nil)
	})
}

// forward appends the request as it goes out to one target.
func (p *Proxy) forward(dst []byte, r *module.Request, rt *routing, t *target, at hop, f transport.Flow, branch []byte) []byte {
	m := r.Message()
	in := r.Flow()
	var e wire.Edits
	e.Text = make([]byte, 0, 512)
	if t.uri != nil {
		e.SetRequestURI(m, t.uri)
	}
	self := p.app.SentBy(f)

	e.PushHeader(m, wire.Via)
	e.Text = append(append(e.Text, "Via: SIP/2.0/"...), f.Network.Token()...)
	e.Text = wire.AppendHostPort(append(e.Text, ' '), self)
	e.Text = append(append(append(e.Text, ";branch="...), branch...), ";rport\r\n"...)
	e.StampVia(m, in.Remote)
	e.DecrementMaxForwards(m)

	if rt.record {
		tok := token{caller: rt.caller, callee: calleeHop(t, at)}
		var user [96]byte
		name := tok.append(user[:0], p.app.Secret(), m.Header(wire.CallID), m.FromTag())
		e.PushHeader(m, wire.RecordRoute)
		e.Text = appendRecordRoute(e.Text, name, f.Network, self)
		// When it comes in by another socket than it goes out, each side gets the one that it can reach (RFC 5658 §4).
		if came := p.app.SentBy(in); came != self || in.Network != f.Network {
			e.Text = appendRecordRoute(e.Text, name, in.Network, came)
		}
	}
	if rt.popRoute {
		e.PopValue(m, wire.Route)
	}
	if t.route != nil {
		e.PushHeader(m, wire.Route)
		e.Text = append(append(append(e.Text, "Route: "...), t.route...), "\r\n"...)
	}
	e.EnsureContentLength(m)
	return e.Append(dst, m.Raw)
}

// calleeHop returns what the token keeps of the way to a target: nothing when its URI says it.
func calleeHop(t *target, at hop) hop {
	if t.hop.addr.IsValid() {
		return at
	}
	return hop{}
}

func appendRecordRoute(dst, user []byte, n transport.Network, self netip.AddrPort) []byte {
	dst = append(append(append(dst, "Record-Route: <sip:"...), user...), '@')
	dst = wire.AppendHostPort(dst, self)
	if n != transport.UDP {
		dst = append(append(dst, ";transport="...), n.String()...)
	}
	return append(dst, ";lr>\r\n"...)
}

var errNoListener = errors.New("no UDP listener can send to that address")
