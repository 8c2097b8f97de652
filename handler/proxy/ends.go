package proxy

import (
	"math/rand/v2"

	"github.com/caddysip/caddysip/internal/sip/routetoken"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// within is what has to be known of a request within a call when it is answered.
type within struct {
	calls [2]routetoken.Call
	n     int
	last  bool // it is the NOTIFY that ends a subscription
}

func (in *within) set(m *wire.Message, rs *routetoken.Routes) {
	in.n = copy(in.calls[:], rs.Calls())
	if m.Method == wire.NOTIFY {
		const state = "terminated"
		v, _ := m.HeaderNamed("Subscription-State")
		in.last = len(v) >= len(state) && wire.EqualFold(v[:len(state)], state)
	}
}

// answered remembers what the final response to a request within a call means for that call.
func (c *responseContext) answered(status int) {
	calls := c.p.in.Engine.Calls
	ok := status >= 200 && status < 300
	over := ok || status == 481 || status == 408 // RFC 3261 §15.1.1
	for _, call := range c.within.calls[:c.within.n] {
		switch c.method {
		case wire.BYE:
			if over {
				calls.End(call)
			}
		case wire.REFER:
			if ok && call.Invite {
				calls.BeginTransfer(call)
			}
		case wire.NOTIFY:
			switch done := c.within.last && over || status == 481; {
			case done && call.Invite:
				calls.EndTransfer(call)
			case done:
				calls.End(call)
			}
		}
	}
}

// token returns what is to be known of the call later. A NOTIFY is of the subscription that it
// belongs to.
func (b *branch) token(in, out transport.Flow) routetoken.Token {
	c := b.c
	t := routetoken.Token{
		Caller: endOf(in, c.caller),
		Callee: endOf(out, b.target.user),
		Made:   c.p.in.Engine.Calls.Now(),
		Invite: c.method == wire.INVITE,
	}
	if b.target.source.Addr.IsValid() {
		t.Callee.Hop = b.target.source
	}
	if c.within.n > 0 {
		t.ID, t.Invite = c.within.calls[0].ID, c.within.calls[0].Invite
		return t
	}
	b.id, b.dialog = rand.Uint64()|1, 0
	t.ID = b.id
	return t
}

func endOf(f transport.Flow, user uint32) routetoken.End {
	return routetoken.End{
		Hop:    hop{Network: f.Network, Addr: f.Remote},
		Dialed: f.Network.Reliable() && f.Listener == nil,
		User:   user,
	}
}

// noteDialog records the dialogs that one branch makes: there are several when it was forked
// further on, and each ends by itself.
func (b *branch) noteDialog(m *wire.Message) {
	if b.id == 0 || m.ToTag() == nil {
		return
	}
	calls := b.c.p.in.Engine.Calls
	dialog := calls.Dialog(m.FromTag(), m.ToTag())
	switch b.dialog {
	case 0:
		b.dialog = dialog
	case dialog:
	default:
		calls.Fork(routetoken.Call{ID: b.id, Dialog: b.dialog})
		calls.Fork(routetoken.Call{ID: b.id, Dialog: dialog})
	}
}

// noDialog records that a branch makes no dialog.
func (b *branch) noDialog() {
	if b.id != 0 {
		b.c.p.in.Engine.Calls.Fail(b.id)
	}
}
