package phone

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Dial calls a number of the phone's domain, or a SIP URI, and returns when
// the INVITE has been sent. ctx does not bound the call.
func (p *Phone) Dial(ctx context.Context, number string) (*Call, error) {
	uri, err := p.uri(number)
	if err != nil {
		return nil, err
	}
	if err := p.link.connect(ctx); err != nil {
		return nil, err
	}
	c := p.newCall(p.newDialog(uri), false, number)
	tx, err := c.sendInvite(ctx)
	if err == nil && !p.goroutine(func() { c.follow(tx) }) {
		tx.Terminate()
		err = ErrClosed
	}
	if err != nil {
		c.end(err)
		return nil, err
	}
	return c, nil
}

// sendInvite sends an INVITE with the credentials that there are.
func (c *Call) sendInvite(ctx context.Context) (sip.ClientTransaction, error) {
	req := c.p.request(&c.dialog, sip.INVITE)
	for _, h := range c.auth {
		req.AppendHeader(h)
	}
	req.AppendHeader(c.p.contact())
	req.AppendHeader(sip.NewHeader("Allow", allow))
	withContent(req, "application/sdp", c.sdp)
	// sipgo keeps the request; ours stays as it was sent.
	c.invite = req.Clone()
	return c.p.begin(ctx, req)
}

// follow handles the responses to an outgoing call, up to the final one.
func (c *Call) follow(tx sip.ClientTransaction) {
	p := c.p
	hangup := c.hangup
	var cancelling, provisional, sent bool
	var giveUp <-chan time.Time
	for {
		if cancelling && provisional && !sent {
			// RFC 3261 §9.1: CANCEL only after a provisional response, and no
			// waiting for a final one beyond 64*T1.
			sent = true
			giveUp = time.After(64 * sip.T1)
			cancel := c.cancelRequest()
			p.goroutine(func() {
				if _, err := p.exchange(p.ctx, cancel); err != nil {
					p.log.Debug("CANCEL", "error", err)
				}
			})
		}
		select {
		case <-hangup:
			hangup, cancelling = nil, true
		case <-giveUp:
			tx.Terminate()
			c.end(errors.New("the cancelled call got no final response"))
			return
		case <-tx.Done():
			c.end(p.unanswered(sip.INVITE, tx))
			return
		case <-p.ctx.Done():
			c.end(ErrClosed)
			return
		case res := <-tx.Responses():
			if res.IsProvisional() {
				provisional = true
				c.note(res.StatusCode, res.Reason)
				continue
			}
			if !cancelling && p.authorize(c.invite, res, c.auth) {
				next, err := c.sendInvite(p.ctx)
				if err != nil {
					c.end(err)
					return
				}
				tx, provisional = next, false
				continue
			}
			if !res.IsSuccess() {
				// sipgo has sent the ACK.
				c.note(res.StatusCode, res.Reason)
				c.end(nil)
				return
			}
			c.answered(tx, res)
			if cancelling {
				// The 200 and the CANCEL have crossed.
				if err := c.bye(p.ctx); err != nil {
					p.log.Debug("BYE", "error", err)
				}
			}
			return
		}
	}
}

// answered sets up the dialog of a 2xx, and makes sure that each retransmission of it is
// acknowledged (RFC 3261 §13.2.2.4).
func (c *Call) answered(tx sip.ClientTransaction, res *sip.Response) {
	c.p.mu.Lock()
	d := c.dialog
	establish(&d, res)
	c.dialog = d
	c.p.mu.Unlock()

	invited := c.invite.CSeq().SeqNo
	tx.OnRetransmission(func(again *sip.Response) {
		if !again.IsSuccess() {
			return
		}
		if to := again.To(); to != nil && tag(to.Params) == tag(d.remote.Params) {
			c.ack(d, invited)
			return
		}
		// A second phone has answered the same call: acknowledge and end that (RFC 3261 §13.2.2.4).
		other := d
		establish(&other, again)
		c.ack(other, invited)
		c.p.goroutine(func() {
			_, _ = c.p.do(c.p.ctx, func() *sip.Request { return c.p.request(&other, sip.BYE) })
		})
	})
	c.ack(d, invited)
	c.note(res.StatusCode, res.Reason)
}

// establish completes a dialog from the 2xx to an INVITE, RFC 3261 §12.1.2.
func establish(d *dialog, res *sip.Response) {
	if to := res.To(); to != nil {
		d.remote = *sip.HeaderClone(to).(*sip.ToHeader)
	}
	if contact := res.Contact(); contact != nil {
		d.target = *contact.Address.Clone()
	}
	d.routes = recordRoutes(res)
	slices.Reverse(d.routes)
	d.useRoutes = true
}

func (c *Call) ack(d dialog, invited uint32) {
	d.cseq = invited
	req := c.p.request(&d, sip.ACK)
	for _, h := range c.auth {
		req.AppendHeader(h) // RFC 3261 §22.1
	}
	if err := c.p.write(req); err != nil {
		c.p.log.Warn("ACK not sent", "error", err)
	}
}

// cancelRequest returns the CANCEL of the last INVITE, RFC 3261 §9.1.
func (c *Call) cancelRequest() *sip.Request {
	req := sip.NewRequest(sip.CANCEL, c.invite.Recipient)
	req.SetTransport(c.invite.Transport())
	req.SetDestination(c.invite.Destination())
	req.Laddr = c.invite.Laddr
	req.AppendHeader(sip.HeaderClone(c.invite.Via()))
	req.AppendHeader(sip.HeaderClone(c.invite.From()))
	req.AppendHeader(sip.HeaderClone(c.invite.To()))
	req.AppendHeader(sip.HeaderClone(c.invite.CallID()))
	req.AppendHeader(&sip.CSeqHeader{SeqNo: c.invite.CSeq().SeqNo, MethodName: sip.CANCEL})
	maxForwards := sip.MaxForwardsHeader(70)
	req.AppendHeader(&maxForwards)
	req.AppendHeader(sip.NewHeader("User-Agent", c.p.cfg.UserAgent))
	req.SetBody(nil)
	return req
}
