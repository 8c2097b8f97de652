package module

import (
	"context"
	"errors"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/uac"
	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
	"github.com/caddysip/caddysip/wire"
)

// OutOfDialog is a request that the server sends to a user's phones by itself: a MESSAGE (RFC
// 3428), or a NOTIFY that no subscription has asked for, as Snom phones and others take.
type OutOfDialog struct {
	Method      string // MESSAGE or NOTIFY
	Event       string // of a NOTIFY, with its parameters
	ContentType string // empty: no body
	Body        []byte
}

// Errors of an Answer. Others are of the transport.
var (
	ErrNoAnswer    = errors.New("no answer")
	ErrUnreachable = errors.New("its connection has gone: it is reached when it registers again")
	ErrTooLarge    = errors.New("the body is larger than what fits into the 1300 bytes of a request over UDP")
)

// Answer is what became of a request to a phone: its final status, or an error.
type Answer struct {
	Binding Binding // whose phone it is
	Status  int
	Reason  string
	Err     error
}

// Send sends a request to each of the phones, as Bindings has returned them, and returns their
// answers in the same order, when the last of them has answered, or when ctx ends: those that have
// not by then have ErrNoAnswer. A Binding that somebody made himself has ErrUnreachable: what is
// sent goes to where a phone has registered, and nowhere else.
func (a *App) Send(ctx context.Context, phones []Binding, o *OutOfDialog) []Answer {
	answers := make([]Answer, len(phones))
	came := make(chan *sending, len(phones))
	waiting := 0
	for i := range phones {
		answers[i] = Answer{Binding: phones[i], Err: ErrNoAnswer}
		if err := a.send(phones[i].binding, o, &sending{index: i, came: came}); err != nil {
			answers[i].Err = err
		} else {
			waiting++
		}
	}
	for ; waiting > 0; waiting-- {
		select {
		case s := <-came:
			answers[s.index] = Answer{phones[s.index], s.status, s.reason, s.err}
		case <-ctx.Done():
			return answers
		}
	}
	return answers
}

// send sends a request to a phone, and has s told what becomes of it.
func (a *App) send(b *location.Binding, o *OutOfDialog, s *sending) error {
	if b == nil {
		return ErrUnreachable
	}
	f, sentBy, ok := a.engine.FlowToPhone(b)
	if !ok {
		return ErrUnreachable
	}
	r := &uac.Request{
		Flow: f, SentBy: sentBy, Method: o.Method, URI: []byte(b.Contact()),
		ContentType: o.ContentType, Body: o.Body, Credentials: a.generation.Delivery.Credentials,
	}
	r.SetAOR(b.AOR())
	r.Path, _ = a.engine.PathTo(b)
	if o.Method == "NOTIFY" {
		// RFC 6665 §8.2.1 wants these, and a Contact. Nothing follows: there is no subscription.
		r.Header = wire.AppendHeader(r.Header, "Event", o.Event)
		r.Header = wire.AppendHeader(r.Header, "Subscription-State", "terminated")
		r.Contact = true
	}
	if len(o.Body) > r.BodyRoom() {
		return ErrTooLarge // RFC 3428 §8
	}
	s.engine, s.binding, s.keys = a.engine, b, o.keys()
	return a.engine.UAC.Send(&s.exchange, r, s, nil)
}

// keys returns the function keys that the request sets. Those that layers have records of are sent
// again afterwards.
func (o *OutOfDialog) keys() (list []int) {
	if !isButtons([]byte(o.ContentType)) {
		return nil
	}
	all, err := buttons.ParseDocument(o.Body)
	if err != nil {
		return nil
	}
	for _, b := range all {
		if key, err := keys.ParseKey(b.Key); err == nil {
			list = append(list, key)
		}
	}
	return list
}

// sending waits for the answer to a request.
type sending struct {
	exchange uac.Exchange
	engine   *engine.Engine
	binding  *location.Binding
	keys     []int // that the request sets
	index    int
	status   int
	reason   string
	err      error
	came     chan *sending // has room
}

// Done implements uac.Handler.
func (s *sending) Done(final *wire.Message, err error) {
	switch {
	case err == nil:
		s.status, s.reason = final.Status, string(final.Reason())
		s.engine.MarkHeard(s.binding)
		if s.status < 300 {
			s.engine.Delivery.NotifyAnswered(s.binding.AOR(), s.binding.Contact(), false)
			if len(s.keys) > 0 {
				s.engine.Delivery.NotifyOverwritten(s.binding.AOR(), s.binding.Contact(), s.keys...)
			}
		}
	case errors.Is(err, transaction.ErrTimeout):
		s.err = ErrNoAnswer
	default:
		s.err = err
	}
	s.came <- s
}
