package phone

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emiago/sipgo/sip"
)

// decision is the final response to an incoming call.
type decision struct {
	status int
	reason string
}

// Answer answers an incoming call, and returns when the ACK has come, or an error.
func (c *Call) Answer(ctx context.Context) error {
	if !c.Incoming {
		return errors.New("an outgoing call can't be answered here")
	}
	c.settle(200, "OK")
	if err := c.p.wait(ctx, func() bool { return c.acked >= 0 || c.state == Ended }); err != nil {
		return fmt.Errorf("answering the call from %s: %w", c.Number, err)
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if c.acked < 0 {
		return fmt.Errorf("the call from %s has ended", c.Number)
	}
	return nil
}

// Reject refuses an incoming call with a status of 300 or more, and returns
// when it has ended.
func (c *Call) Reject(ctx context.Context, status int, reason string) error {
	if !c.Incoming || status < 300 || status > 699 {
		return fmt.Errorf(
			"an incoming call is rejected with a status of 300 to 699, not %d",
			status,
		)
	}
	c.settle(status, reason)
	return c.Wait(ctx, Ended)
}

// settle decides how an incoming call is answered, unless it has been decided already.
func (c *Call) settle(status int, reason string) {
	select {
	case c.decide <- decision{status, reason}:
	default:
	}
}

// onInvite rings until the answer is decided. sipgo ends the transaction when it returns.
func (p *Phone) onInvite(req *sip.Request, tx sip.ServerTransaction) {
	if tag(req.To().Params) != "" {
		p.onReInvite(req, tx)
		return
	}
	contact := req.Contact()
	if contact == nil {
		p.respond(req, tx, 400, "Bad Request")
		return
	}
	// The tag is set in the request itself, from which sipgo builds the 487 to
	// a CANCEL: every response of a dialog has the same (RFC 3261 §8.2.6.2).
	req.To().Params.Add("tag", token(10))
	d := dialog{
		callID:    req.CallID().Value(),
		local:     req.To().AsFrom(),
		remote:    req.From().AsTo(),
		target:    *contact.Address.Clone(),
		routes:    recordRoutes(req), // RFC 3261 §12.1.1: in their order
		useRoutes: true,
	}
	c := p.newCall(d, true, userOf(req.From().Address))
	cancelled := make(chan struct{})
	if !tx.OnCancel(func(*sip.Request) { close(cancelled) }) ||
		c.respond(req, tx, 180, "Ringing") == nil {
		c.end(errHungUp)
		return
	}
	if p.cfg.AutoAnswer {
		c.settle(200, "OK")
	}
	select {
	case d := <-c.decide:
		res := c.respond(req, tx, d.status, d.reason)
		switch {
		case res == nil:
			c.end(errHungUp)
		case d.status < 300:
			c.confirm(req, tx, res)
		default:
			c.end(nil)
			awaitAck(p, tx)
		}
	case <-cancelled:
		c.end(errHungUp)
		awaitAck(p, tx)
	case <-tx.Done():
		c.end(errHungUp)
	case <-p.ctx.Done():
		c.end(ErrClosed)
	}
}

var errHungUp = errors.New("the caller has hung up")

// respond sends a response to an INVITE and returns it; nil if a CANCEL has come before.
func (c *Call) respond(
	req *sip.Request,
	tx sip.ServerTransaction,
	status int,
	reason string,
) *sip.Response {
	res := c.p.response(req, status, reason)
	if status < 300 {
		res.AppendHeader(c.p.contact())
	}
	if status >= 200 && status < 300 {
		res.AppendHeader(sip.NewHeader("Allow", allow))
		withContent(res, "application/sdp", c.sdp)
	}
	if err := tx.Respond(res); err != nil {
		// The transaction must not go on to repeat this in place of its 487.
		tx.Terminate()
		return nil
	}
	c.note(status, reason)
	return res
}

// confirm retransmits the 2xx to an INVITE until the ACK comes, over any transport (RFC 3261
// §13.3.1.4). If none comes, it ends the call.
func (c *Call) confirm(req *sip.Request, tx sip.ServerTransaction, res *sip.Response) {
	p := c.p
	interval := sip.T1
	repeat := time.NewTimer(interval)
	defer repeat.Stop()
	giveUp := time.NewTimer(64 * sip.T1)
	defer giveUp.Stop()
	for {
		p.mu.Lock()
		over := c.acked >= int64(req.CSeq().SeqNo) || c.state == Ended
		changed := p.changed
		p.mu.Unlock()
		if over {
			return
		}
		select {
		case <-changed:
		case <-repeat.C:
			interval = min(2*interval, sip.T2)
			repeat.Reset(interval)
			p.send(tx, res)
		case <-giveUp.C:
			p.mu.Lock()
			c.acked = int64(req.CSeq().SeqNo) // nobody needs to wait for it any more
			p.mu.Unlock()
			if err := c.bye(p.ctx); err != nil {
				p.log.Debug("BYE", "error", err)
			}
			return
		case <-p.ctx.Done():
			return
		}
	}
}

// awaitAck keeps the transaction of a refused INVITE until its ACK has come.
func awaitAck(p *Phone, tx sip.ServerTransaction) {
	select {
	case <-tx.Acks():
	case <-tx.Done():
	case <-p.ctx.Done():
	}
}

// onReInvite accepts a re-INVITE in an answered call: a new Contact, or new media, which a phone
// without media ignores.
func (p *Phone) onReInvite(req *sip.Request, tx sip.ServerTransaction) {
	c := p.findCall(req)
	switch {
	case c == nil:
		p.respond(req, tx, 481, "Call/Transaction Does Not Exist")
		return
	case c.State() != Answered:
		p.respond(req, tx, 491, "Request Pending")
		return
	}
	if contact := req.Contact(); contact != nil {
		p.mu.Lock()
		c.dialog.target = *contact.Address.Clone()
		p.mu.Unlock()
	}
	if res := c.respond(req, tx, 200, "OK"); res != nil {
		c.confirm(req, tx, res)
	}
}

func (p *Phone) onAck(req *sip.Request, _ sip.ServerTransaction) {
	if c := p.findCall(req); c != nil && req.CSeq() != nil {
		p.mu.Lock()
		c.acked = max(c.acked, int64(req.CSeq().SeqNo))
		p.notify()
		p.mu.Unlock()
	}
}

func (p *Phone) onBye(req *sip.Request, tx sip.ServerTransaction) {
	c := p.findCall(req)
	if c == nil {
		p.respond(req, tx, 481, "Call/Transaction Does Not Exist")
		return
	}
	p.respond(req, tx, 200, "OK")
	if c.Incoming && c.State() == Ringing {
		c.settle(487, "Request Terminated") // RFC 3261 §15.1.2
		return
	}
	c.end(nil)
}

// findCall returns the call whose dialog a request is in, or nil.
func (p *Phone) findCall(req *sip.Request) *Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		if c.dialog.matches(req) {
			return c
		}
	}
	return nil
}
