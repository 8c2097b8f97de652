package snomlrc

import (
	"errors"
	"net/netip"
	"strings"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

var errContact = errors.New("the call has no Contact to send to")

// push sends the phone that made the call the MESSAGE that sets its key, unless the call is a repetition.
func (h *SnomLRC) push(r *module.Request, l *light) {
	e := h.in.Engine
	if r.Retransmission() {
		return
	}
	target := contact(r)
	body, err := h.body(r, l)
	if err == nil && target == nil {
		err = errContact
	}
	var from wire.URI
	if err == nil {
		from, err = r.ReplaceURI(h.From)
	}
	if err != nil {
		failed.Inc()
		h.logger.Info("no lamp is set", zap.Stringer("phone", r.Source()), zap.String("light", l.Light.Light), zap.Error(err))
		return
	}
	f := inside.RequestOf(r).Flow
	out := inside.RequestOf(r).Outbox
	var buf []byte
	if out != nil {
		buf = out.Buffer()
	}
	_, to := r.To()
	if to.Raw == nil {
		to.Raw = target // malformed
	}
	var room [256]byte
	text := append(append(append(room[:0], '<'), to.Raw...), '>')
	value := len(text)
	text = wire.AppendHostPort(text, h.in.SentBy(f))
	request := wire.AppendRequest(buf, &wire.RequestFields{
		Method:      "MESSAGE",
		URI:         target,
		Transport:   f.Network.Token(),
		SentBy:      text[value:],
		Branch:      engine.NewBranch(),
		From:        from.Raw,
		FromTag:     engine.NewTag(),
		To:          text[:value],
		CallID:      engine.NewCallID(),
		CSeq:        1,
		ContentType: buttons.ContentType,
		Body:        body,
	})
	p := &push{logger: h.logger, phone: f.Remote, light: l.Light.Light}
	var o transaction.ClientOptions
	if !h.proven(r) {
		o.MaxRetransmits = transaction.UnvalidatedRetransmits
	}
	if _, err := e.Transactions.NewClient(request, f, p, out, o); err != nil {
		p.OnFailure(nil, err)
	}
}

// proven tells whether the call comes from where the phone is: one that has answered us or authenticated within the hour, or has registered from
// there. Else the source may be forged, and the MESSAGE is not repeated for as long as RFC 3261 §17.1.2.2 says: nobody gets more than a few from us that he
// didn't ask for.
func (h *SnomLRC) proven(r *module.Request) bool {
	if h.in.Engine.Validated(inside.RequestOf(r).Flow) {
		return true
	}
	_, from := r.From()
	var key [128]byte
	aor, ok := h.app.AppendAOR(key[:0], &from)
	if !ok {
		return false
	}
	var room [8]*location.Binding
	for _, b := range h.in.Location().Lookup(aor, room[:0]) {
		if b.Network() == inside.RequestOf(r).Flow.Network && b.Source() == r.Source() {
			return true
		}
	}
	return false
}

// contact returns the Contact URI with all its parameters; what cannot stand in a Request-URI is left away (RFC 3261 §19.1.1).
func contact(r *module.Request) []byte {
	_, u := r.Address(wire.Contact)
	if u.Scheme != wire.SIP && u.Scheme != wire.SIPS {
		return nil
	}
	return u.WithoutHeaders()
}

// body returns the document for a light.
func (h *SnomLRC) body(r *module.Request, l *light) ([]byte, error) {
	if l.body != nil {
		return l.body, nil
	}
	b := h.button(&l.Light, func(text string) string {
		return strings.TrimSpace(strings.Map(printable, strings.ToValidUTF8(r.Replace(text), "\uFFFD")))
	})
	return buttons.AppendDocument(nil, b)
}

// printable makes spaces of control characters: what comes from the call must not end the line it stands in.
func printable(c rune) rune {
	if unicode.IsControl(c) {
		return ' '
	}
	return c
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
