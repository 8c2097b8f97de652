package proxy

import (
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/wire"
)

// silentTime is how long a call waits for a phone that said nothing to the last request. One that
// is back has answered by then, or has been sent the request a second time.
const silentTime = caddy.Duration(500 * time.Millisecond)

// limitSilence limits how long a target may take until its first response.
func (b *branch) limitSilence() {
	switch {
	case b.target.skippable && !b.skipped && b.c.method != wire.ACK:
		b.startTimerC(min(silentTime, b.noResponse()))
	case b.c.method == wire.INVITE:
		b.startTimerC(b.noResponse())
	}
}

func (b *branch) noResponse() caddy.Duration { return min(b.c.p.NoResponse, b.c.p.Timeout) }

// startTimerC limits how long a target may be silent, and then how long it may ring (RFC 3261 §16.6
// step 11).
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
	case (b.target.skippable || b.cancelled) && !b.gotProvisional && !b.skipped:
		b.skip()
	case b.gotProvisional:
		b.expired = true
		b.client.Cancel(nil, nil)
	default:
		b.markSilent()
		if b.client != nil {
			b.client.Cancel(nil, nil)
			b.client.Abandon()
		}
		b.failed(nil, 408, nil)
	}
}

// limitCancelled limits how long a cancelled target may still be silent: most likely it doesn't
// know of the call, and the final response must not wait for it.
func (b *branch) limitCancelled() {
	if b.c.method == wire.INVITE && !b.c.done && !b.gotProvisional && !b.skipped && !b.cancelled {
		b.cancelled = true
		b.startTimerC(min(silentTime, b.noResponse()))
	}
}

// skip stops waiting for a target that is silent, as it was at the last request: the others decide.
// If it does respond while they are tried, it counts again.
func (b *branch) skip() {
	b.skipped = true
	b.c.pending--
	if b.c.method == wire.INVITE {
		b.startTimerC(max(b.noResponse()-silentTime, 0))
	}
	b.c.next(nil)
}

// markHeard records that the target has responded.
func (b *branch) markHeard() {
	if !b.target.silent {
		return
	}
	b.c.p.in.Engine.MarkHeard(b.target.binding)
	if b.skipped && !b.done && !b.c.done {
		b.skipped = false
		b.c.pending++
	}
}

// markSilent records that the target gives no response.
func (b *branch) markSilent() {
	if b.target.binding != nil {
		b.c.p.in.Engine.MarkSilent(b.target.binding)
	}
}
