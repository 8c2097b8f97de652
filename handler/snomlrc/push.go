package snomlrc

import (
	"errors"
	"net/netip"
	"strings"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/uac"
	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

var errContact = errors.New("the call has no Contact to send to")

// push sends the phone that made the call the MESSAGE that sets its key.
func (h *SnomLRC) push(r *module.Request, l *light, caller *location.Binding) {
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
	in := inside.RequestOf(r)
	_, to := r.To()
	if to.Raw == nil {
		to.Raw = target // malformed
	}
	p := &push{logger: h.logger, phone: in.Flow.Remote, light: l.Light.Light}
	request := uac.Request{
		Flow: in.Flow, SentBy: h.in.SentBy(in.Flow), Method: "MESSAGE",
		URI: target, From: from.Raw, To: to.Raw, ContentType: buttons.ContentType, Body: body,
	}
	if caller != nil {
		// The source and From of any other call may be forged: unless that address has answered us
		// or authenticated within the hour, the MESSAGE is repeated a few times only, and nothing
		// is signed.
		request.Validated, request.AOR = true, caller.AOR()
		request.Credentials = h.in.Generation.Delivery.Credentials
	}
	if err := h.in.Engine.UAC.Send(&p.exchange, &request, p, in.Outbox); err != nil {
		p.Done(nil, err)
	}
}

// caller returns the binding of the phone that calls: one of the user in From, from where the call
// comes. It is nil if there is none.
func (h *SnomLRC) caller(r *module.Request) (caller *location.Binding) {
	f := &inside.RequestOf(r).Flow
	_, from := r.From()
	var key [128]byte
	aor, ok := h.app.AppendAOR(key[:0], &from)
	if !ok {
		return nil
	}
	var room [8]*location.Binding
	for _, b := range h.in.Location().All(aor, room[:0]) {
		if b.Network() == f.Network && b.Source() == f.Remote &&
			(caller == nil || caller.Superseded()) {
			caller = b
		}
	}
	return caller
}

// contact returns the Contact URI with all its parameters, nil when a MESSAGE cannot be sent there.
func contact(r *module.Request) []byte {
	if _, u := r.Address(wire.Contact); u.Scheme == wire.SIP || u.Scheme == wire.SIPS {
		return u.Raw
	}
	return nil
}

// body returns the document for a light.
func (h *SnomLRC) body(r *module.Request, l *light) ([]byte, error) {
	if l.body != nil {
		return l.body, nil
	}
	b := h.button(&l.Light, func(text string) string { return oneLine(r.Replace(text)) })
	return buttons.AppendDocument(nil, b)
}

// oneLine returns text that fits into a line of a message to a phone.
func oneLine(text string) string {
	return strings.TrimSpace(strings.Map(printable, strings.ToValidUTF8(text, "\uFFFD")))
}

// printable turns control characters into spaces: text from the call must not end the line.
func printable(c rune) rune {
	if unicode.IsControl(c) {
		return ' '
	}
	return c
}

// push is one MESSAGE on its way.
type push struct {
	exchange uac.Exchange
	logger   *zap.Logger
	phone    netip.AddrPort
	light    string
}

// Done implements uac.Handler.
func (p *push) Done(final *wire.Message, err error) {
	switch {
	case err == transaction.ErrTimeout:
		p.count(unanswered, "the phone did not answer the message that sets its lamp", zap.Error(err))
	case err != nil:
		p.count(failed, "the message that sets a lamp could not be sent", zap.Error(err))
	case final.Status < 300:
		acknowledged.Inc()
	default:
		p.count(refused, "the phone refused to set its lamp", zap.Int("status", final.Status))
	}
}

func (p *push) count(outcome prometheus.Counter, what string, why zap.Field) {
	outcome.Inc()
	p.logger.Warn(what, zap.Stringer("phone", p.phone), zap.String("light", p.light), why)
}
