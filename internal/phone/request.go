package phone

import (
	"context"
	"errors"
	"fmt"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// credentials are the header fields that answer the challenges a series of
// requests has met, at most one of a name.
type credentials map[string]sip.Header

// begin starts the transaction of a request that was just built.
func (p *Phone) begin(ctx context.Context, req *sip.Request) (sip.ClientTransaction, error) {
	p.sending.RLock()
	defer p.sending.RUnlock()
	if p.ua == nil {
		return nil, ErrClosed
	}
	tx, err := p.ua.TransactionLayer().Request(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("sending %s: %w", req.Method, err)
	}
	return tx, nil
}

// write sends an ACK for a 2xx, which has no transaction.
func (p *Phone) write(req *sip.Request) error {
	p.sending.RLock()
	defer p.sending.RUnlock()
	if p.ua == nil {
		return ErrClosed
	}
	return p.ua.TransportLayer().WriteMsg(req)
}

// do sends a request that is no INVITE, answers challenges, and returns the
// final response. build is called for each attempt.
func (p *Phone) do(ctx context.Context, build func() *sip.Request) (*sip.Response, error) {
	auth := make(credentials)
	for {
		if err := p.link.connect(ctx); err != nil {
			return nil, err
		}
		req := build()
		for _, h := range auth {
			req.AppendHeader(h)
		}
		res, err := p.exchange(ctx, req)
		if err != nil {
			return nil, err
		}
		if !p.authorize(req, res, auth) {
			return res, nil
		}
	}
}

// exchange sends a request and returns its final response.
func (p *Phone) exchange(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	tx, err := p.begin(ctx, req)
	if err != nil {
		return nil, err
	}
	defer tx.Terminate()
	for {
		select {
		case res := <-tx.Responses():
			if !res.IsProvisional() {
				return res, nil
			}
		case <-tx.Done():
			return nil, p.unanswered(req.Method, tx)
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the answer to %s: %w", req.Method, ctx.Err())
		case <-p.ctx.Done():
			return nil, ErrClosed
		}
	}
}

// unanswered says why a client transaction ended without a final response.
func (p *Phone) unanswered(method sip.RequestMethod, tx sip.ClientTransaction) error {
	err := tx.Err()
	switch {
	case p.ctx.Err() != nil:
		return ErrClosed
	case errors.Is(err, sip.ErrTransactionTimeout):
		return fmt.Errorf("%s: %s does not answer", method, p.cfg.Server)
	}
	return fmt.Errorf("%s: %w", method, err)
}

// authorize adds the response to the challenge of a 401 or 407 to auth, and reports whether to send
// the request again: not without a password, and not if the same credentials were just refused.
func (p *Phone) authorize(req *sip.Request, res *sip.Response, auth credentials) bool {
	challenge, answer := "WWW-Authenticate", "Authorization"
	switch res.StatusCode {
	case sip.StatusUnauthorized:
	case sip.StatusProxyAuthRequired:
		challenge, answer = "Proxy-Authenticate", "Proxy-Authorization"
	default:
		return false
	}
	if p.cfg.Password == "" {
		return false
	}
	for _, h := range res.GetHeaders(challenge) {
		// RFC 8760 §2.4: the topmost challenge that we can answer.
		c, err := digest.ParseChallenge(h.Value())
		if err != nil || !digest.CanDigest(c) {
			continue
		}
		if auth[answer] != nil && !c.Stale {
			return false
		}
		cred, err := digest.Digest(c, digest.Options{
			Method: string(req.Method), URI: req.Recipient.String(),
			Username: p.cfg.AuthUser, Password: p.cfg.Password,
		})
		if err != nil {
			continue
		}
		auth[answer] = sip.NewHeader(answer, cred.String())
		return true
	}
	return false
}

// statusError makes an error of a final response, nil for a 2xx.
func statusError(method sip.RequestMethod, res *sip.Response) error {
	if res.IsSuccess() {
		return nil
	}
	return &StatusError{string(method), res.StatusCode, res.Reason}
}
