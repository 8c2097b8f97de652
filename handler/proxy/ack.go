package proxy

import (
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/transport"
	"github.com/caddysip/caddysip/module"
)

// relayACK forwards the ACK to a 2xx, which is a transaction of its own that nobody answers, without any state (RFC 3261 §16.11).
func (p *Proxy) relayACK(r *module.Request, rt *routing) error {
	t := &rt.groups[0][0]
	h := t.hop
	if !h.addr.IsValid() {
		var known bool
		var err error
		if h, known, err = literal(t.next); err != nil {
			return p.refuse(r, err)
		} else if !known {
			r.Keep()
			p.app.Go(func() {
				hops, err := resolve(t.next)
				if err == nil {
					err = p.app.Dial(hops[0].network, hops[0].addr)
				}
				if err == nil {
					err = p.sendACK(r, rt, t, hops[0], nil)
				}
				if err != nil {
					_ = p.refuse(r, err)
				}
			})
			return nil
		}
	}
	if _, ok := p.app.FlowTo(h.network, h.addr, nil); !ok && h.network.Reliable() {
		r.Keep()
		p.app.Go(func() {
			err := p.app.Dial(h.network, h.addr)
			if err == nil {
				err = p.sendACK(r, rt, t, h, nil)
			}
			if err != nil {
				_ = p.refuse(r, err)
			}
		})
		return nil
	}
	if err := p.sendACK(r, rt, t, h, r.Outbox()); err != nil {
		return p.refuse(r, err)
	}
	return nil
}

func (p *Proxy) sendACK(r *module.Request, rt *routing, t *target, h hop, out *transport.Outbox) error {
	preferred := t.preferred
	if preferred == nil {
		preferred = r.Flow().Listener
	}
	f, ok := p.app.FlowTo(h.network, h.addr, preferred)
	if !ok {
		return errNoListener
	}
	var buf []byte
	if out != nil {
		buf = out.Buffer()
	}
	m := r.Message()
	branch := engine.AppendBranch(make([]byte, 0, 48), engine.StatelessBranch(m), engine.LoopHash(m))
	b := p.forward(buf, r, rt, t, h, f, branch)
	p.logger.Debug("relaying ACK", zap.Stringer("to", h.addr))
	if out != nil {
		return out.Send(f, b)
	}
	return f.Send(b)
}
