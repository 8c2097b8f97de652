package proxy

import (
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/wire"
)

// silentTime is how long others wait for a phone that said nothing to the last request. One that is
// back has answered by then, or it has got the request a second time.
const silentTime = caddy.Duration(500 * time.Millisecond)

// expectSign limits how long a target may take to say anything.
func (b *branch) expectSign() {
	switch {
	case b.target.passable && !b.passed && b.c.method != wire.ACK:
		b.startTimerC(min(silentTime, b.noResponse()))
	case b.c.method == wire.INVITE:
		b.startTimerC(b.noResponse())
	}
}

func (b *branch) noResponse() caddy.Duration { return min(b.c.p.NoResponse, b.c.p.Timeout) }

// startTimerC limits how long a target may say nothing, and then how long it may ring (RFC 3261
// §16.6 step 11).
func (b *branch) startTimerC(limit caddy.Duration) {
	d := time.Duration(limit)
	if b.timerC == nil {
		b.timerC = b.c.p.in.Engine.Transactions.AfterFunc(d, b.onTimerC)
	} else {
		b.timerC.Reset(d)
	}
}

// onTimerC gives a target up (RFC 3261 §16.8), or goes on without it.
func (b *branch) onTimerC() {
	c := b.c
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case b.done:
	case (b.target.passable || b.hurried) && !b.heard && !b.passed:
		b.pass()
	case b.heard:
		b.expired = true
		b.client.Cancel(nil, nil)
	default:
		b.saysNothing()
		if b.client != nil {
			b.client.Cancel(nil, nil)
			b.client.Abandon()
		}
		b.failed(nil, 408, nil)
	}
}

// hurry limits how long a target may still say nothing once it is cancelled: it doesn't know of the
// call, most likely, and who waits for the end of the call does not wait for that.
func (b *branch) hurry() {
	if b.c.method == wire.INVITE && !b.c.done && !b.heard && !b.passed && !b.hurried {
		b.hurried = true
		b.startTimerC(min(silentTime, b.noResponse()))
	}
}

// pass goes on without a target that says nothing, as it did to the last request: what is awaited
// is what the others say. If it does say something while they are asked, it is one of them again.
func (b *branch) pass() {
	b.passed = true
	b.c.pending--
	if b.c.method == wire.INVITE {
		b.startTimerC(max(b.noResponse()-silentTime, 0))
	}
	b.c.next(nil)
}

// saysSomething takes note of a response.
func (b *branch) saysSomething() {
	if !b.target.silent {
		return
	}
	b.c.p.in.Engine.MarkHeard(b.target.binding)
	if b.passed && !b.done && !b.c.done {
		b.passed = false
		b.c.pending++
	}
}

// saysNothing takes note that a target can't be heard of.
func (b *branch) saysNothing() {
	if b.target.binding != nil {
		b.c.p.in.Engine.MarkSilent(b.target.binding)
	}
}
