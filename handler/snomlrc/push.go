package snomlrc

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/buttons"
	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/transaction"
	"github.com/caddysip/caddysip/internal/transport"
	"github.com/caddysip/caddysip/internal/wire"
	"github.com/caddysip/caddysip/module"
)

// The outcomes that are counted.
var (
	acknowledged = module.LRCPushes.WithLabelValues("acknowledged")
	refused      = module.LRCPushes.WithLabelValues("refused")
	unanswered   = module.LRCPushes.WithLabelValues("timeout")
	failed       = module.LRCPushes.WithLabelValues("failed")
)

// push sends the phone that made the call the MESSAGE that sets its key, unless the call is a repetition.
func (h *SnomLRC) push(r *module.Request, l *light) error {
	e := h.app.Engine()
	if e.Repeated(r.Message()) {
		return nil
	}
	target := contact(r)
	if target == nil {
		h.logger.Info("no lamp is set: the call has no Contact to send to", zap.Stringer("phone", r.Source()))
		failed.Inc()
		return nil
	}
	body, err := h.body(r, l)
	if err != nil {
		h.logger.Warn("no lamp is set: the key cannot be written", zap.Error(err))
		failed.Inc()
		return nil
	}
	f := r.Flow()
	out := r.Outbox()
	var buf []byte
	if out != nil {
		buf = out.Buffer()
	}
	_, to := r.To()
	var room [256]byte
	text := append(append(append(room[:0], '<'), to.Raw...), '>')
	value := len(text)
	text = wire.AppendHostPort(text, h.app.SentBy(f))
	request := wire.AppendRequest(buf, &wire.RequestFields{
		Method:      "MESSAGE",
		URI:         target,
		Transport:   f.Network.Token(),
		SentBy:      text[value:],
		Branch:      engine.NewBranch(),
		From:        []byte(r.Replace(h.From)),
		FromTag:     engine.NewTag(),
		To:          text[:value],
		CallID:      engine.NewCallID(),
		CSeq:        1,
		ContentType: buttons.ContentType,
		Body:        body,
	})
	p := &push{logger: h.logger, phone: f.Remote, light: l.Light.Light}
	if _, err := e.Transactions.NewClient(request, f, p, out); err != nil {
		p.OnFailure(nil, err)
	}
	return nil
}

// contact returns the Contact URI with all its parameters; what cannot stand in a Request-URI is left away (RFC 3261 §19.1.1).
func contact(r *module.Request) []byte {
	_, u := r.Address(wire.Contact)
	if u.Scheme != wire.SIP && u.Scheme != wire.SIPS {
		return nil
	}
	uri, _, _ := bytes.Cut(u.Raw, []byte("?"))
	return uri
}

// body returns the document for a light.
func (h *SnomLRC) body(r *module.Request, l *light) ([]byte, error) {
	if l.body != nil {
		return l.body, nil
	}
	b := h.button(&l.Light, func(text string) string {
		// What comes from the call must not end the line it stands in.
		return strings.TrimSpace(string(wire.AppendClean(nil, strings.ToValidUTF8(r.Replace(text), "�"))))
	})
	return buttons.AppendDocument(nil, b)
}

// push is one MESSAGE on its way.
type push struct {
	logger *zap.Logger
	phone  netip.AddrPort
	light  string
}

// OnResponse implements transaction.ClientHandler.
func (p *push) OnResponse(_ *transaction.Client, m *wire.Message, _ *transport.Outbox) {
	switch {
	case m.Status < 200:
	case m.Status < 300:
		acknowledged.Inc()
	default:
		p.done(refused, "the phone refused to set its lamp", zap.Int("status", m.Status))
	}
}

// OnFailure implements transaction.ClientHandler.
func (p *push) OnFailure(_ *transaction.Client, err error) {
	if err == transaction.ErrTimeout {
		p.done(unanswered, "the phone did not answer the message that sets its lamp", zap.Error(err))
		return
	}
	p.done(failed, "the message that sets a lamp could not be sent", zap.Error(err))
}

// OnTerminated implements transaction.ClientHandler.
func (p *push) OnTerminated(*transaction.Client) {}

func (p *push) done(outcome prometheus.Counter, what string, why zap.Field) {
	outcome.Inc()
	p.logger.Warn(what, zap.Stringer("phone", p.phone), zap.String("light", p.light), why)
}
