package proxy

import (
	"errors"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// branch is one target that a request is forwarded to. The response context's mutex guards it.
type branch struct {
	c              *responseContext
	target         *target
	hops           []hop // where the target is tried when at fails
	at             hop
	client         *transaction.Client // nil before the request is sent
	timerC         *transaction.Timer
	attempt        int    // how many places have been tried
	gotProvisional bool   // there was a provisional response
	cancelled      bool   // a CANCEL was sent, and a target that says nothing is soon given up
	skipped        bool   // the target is silent, and the call goes on without waiting for it
	expired        bool   // timer C has fired
	done           bool   // there is a final response, or will be none
	id             uint64 // of its token; 0: it makes no dialog
	dialog         uint64 // the first that it makes: routetoken.Calls.Dialog
}

var (
	errGone     = errors.New("its connection is closed, or its transport is not supported")
	errListener = errors.New("no UDP listener can send to its address")

	errElsewhere = errors.New("its name does not lead to this server, " +
		"and the request may go nowhere else")
)

// start finds out where the target is, and tries it.
func (b *branch) start(out *transport.Outbox) {
	if b.target.gone {
		b.unreachable(480, errGone, out)
		return
	}
	b.limitSilence()
	switch {
	case b.target.name != nil:
		b.lookUp(out)
	default:
		b.at = b.target.hop
		b.reach(out)
	}
}

// try goes on to the next place.
func (b *branch) try(out *transport.Outbox) {
	b.at, b.hops = b.hops[0], b.hops[1:]
	b.client, b.gotProvisional, b.expired = nil, false, false
	b.attempt++
	b.limitSilence()
	b.reach(out)
}

// reach finds or makes a flow to the place, and sends the request.
func (b *branch) reach(out *transport.Outbox) {
	if b.target.named {
		if kind := b.c.p.denies(b.at.Addr.Addr()); kind != "" {
			b.denied(kind)
			b.failed(nil, 403, out)
			return
		}
	}
	preferred := b.target.preferred
	if preferred == nil {
		preferred = inside.RequestOf(b.c.r).Flow.Listener
	}
	f, ok := b.c.p.in.FlowTo(b.at.Network, b.at.Addr, preferred, b.target.local)
	switch {
	case ok && f.Local.IsValid():
		b.send(f, out)
	case b.target.flow:
		b.unreachable(480, errGone, out)
	case b.at.Network.Reliable():
		b.dial(out)
	default:
		b.unreachable(503, errListener, out)
	}
}

// unreachable takes note that there is no way to the place: as if it had answered with that status
// (RFC 3261 §16.9).
func (b *branch) unreachable(status int, err error, out *transport.Outbox) {
	b.c.p.logger.Debug("a target cannot be reached", zap.String("uri", wire.ForLog(b.target.uri)),
		zap.String("name", wire.ForLog(b.target.name)), zap.Stringer("address", b.at.Addr),
		zap.String("error", wire.ForLog(err.Error())))
	if he := (module.HandlerError{}); errors.As(b.target.otherwise, &he) {
		status, b.c.denied = he.Status, he.Reason
	}
	b.failed(nil, status, out)
}

// send forwards the request.
func (b *branch) send(f transport.Flow, out *transport.Outbox) {
	c := b.c
	var buf []byte
	if out != nil {
		buf = out.Buffer()
	}
	var room [64]byte
	branch := engine.AppendBranch(room[:0], uniqueOf(c.r.Message()), c.loop)
	request := b.forward(buf, f, branch)
	if c.method == wire.ACK {
		b.sendACK(request, f, out)
		return
	}
	o := transaction.ClientOptions{Source: c.r.Source(), Method: c.method, Branch: branch}
	client, err := c.p.in.Engine.Transactions.NewClient(request, f, b, out, o)
	if err != nil {
		b.refused(err, out)
		return
	}
	b.client = client
}

// refused takes note that a request cannot be sent now. When too much waits for a phone already, it
// is the phone that has no time (RFC 3261 §21.4.18), and others are reached as before; another
// server may have others in its place.
func (b *branch) refused(err error, out *transport.Outbox) {
	c := b.c
	status := 503
	switch slow := errors.Is(err, transport.ErrQueueFull); {
	case slow && b.target.flow:
		status = 480
		c.slow = true
	case slow, errors.Is(err, transaction.ErrFull):
		c.full = true
	}
	b.unreachable(status, err, out)
}

func (b *branch) sendACK(ack []byte, f transport.Flow, out *transport.Outbox) {
	var err error
	if out != nil {
		err = out.Send(f, ack)
	} else {
		err = f.Send(ack)
	}
	if err != nil {
		b.unreachable(503, err, out)
		return
	}
	b.end()
	b.c.done = true
}
