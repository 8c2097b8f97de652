package module

import (
	"context"
	"errors"
	"strings"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// maxDatagram is how large a request over UDP may be that we make ourselves (RFC 3261 §18.1.1, RFC
// 3428 §8).
const maxDatagram = 1300

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
	ErrTooLarge    = errors.New("the request is larger than the 1300 bytes that UDP takes")
)

// Answer is what became of a request to a phone: its final status, or an error.
type Answer struct {
	Binding Binding // whose phone it is
	Status  int
	Reason  string
	Err     error
}

// Send sends a request to each of the phones and returns their answers in the same order, when the
// last of them has answered, or when ctx ends: those that have not by then have ErrNoAnswer.
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

// send sends a request to a phone.
func (a *App) send(b *location.Binding, o *OutOfDialog, h transaction.ClientHandler) error {
	f, sentBy, ok := a.engine.FlowToPhone(b)
	if !ok {
		return ErrUnreachable
	}
	user, domain := "", b.AOR()
	if at := strings.LastIndexByte(domain, '@'); at >= 0 {
		user, domain = domain[:at], domain[at+1:]
	}
	host := wire.AppendHostPort(nil, sentBy)
	uri := []byte(b.Contact())
	if u, err := wire.ParseURI(uri); err == nil && u.Headers != nil {
		uri = uri[:len(uri)-len(u.Headers)-1] // RFC 3261 §19.1.1
	}
	fields := &wire.RequestFields{
		Method:      o.Method,
		URI:         uri,
		Transport:   f.Network.Token(),
		SentBy:      host,
		Branch:      engine.NewBranch(),
		From:        []byte("sip:server@" + domain),
		FromTag:     engine.NewTag(),
		To:          []byte("<sip:" + escapeUser(user) + "@" + domain + ">"),
		CallID:      engine.NewCallID(),
		CSeq:        1,
		ContentType: o.ContentType,
		Body:        o.Body,
	}
	if path, _ := a.engine.PathTo(b); path != nil {
		fields.Route = [][]byte{path} // RFC 3327 §5.3
	}
	if o.Method == "NOTIFY" {
		// RFC 6665 §8.2.1 wants these, and a Contact. Nothing follows: there is no subscription.
		fields.Header = wire.AppendHeader(fields.Header, "Event", o.Event)
		fields.Header = wire.AppendHeader(fields.Header, "Subscription-State", "terminated")
		fields.Contact = append([]byte("sip:"), host...)
		if f.Network != transport.UDP {
			fields.Contact = append(append(fields.Contact, ";transport="...), f.Network.String()...)
		}
	}
	request := wire.AppendRequest(nil, fields)
	if f.Network == transport.UDP && len(request) > maxDatagram {
		return ErrTooLarge
	}
	var options transaction.ClientOptions
	if !a.engine.Validated(f) {
		options.MaxRetransmits = transaction.UnvalidatedRetransmits
	}
	_, err := a.engine.Transactions.NewClient(request, f, h, nil, options)
	return err
}

// sending waits for the answer to a request.
type sending struct {
	index  int
	status int
	reason string
	err    error
	came   chan *sending // has room
}

// OnResponse implements transaction.ClientHandler.
func (s *sending) OnResponse(_ *transaction.Client, m *wire.Message, _ *transport.Outbox) {
	if m.Status >= 200 && s.status == 0 {
		s.status, s.reason = m.Status, string(m.Reason())
		s.came <- s
	}
}

// OnFailure implements transaction.ClientHandler.
func (s *sending) OnFailure(_ *transaction.Client, err error) {
	if s.status == 0 {
		if s.err = err; errors.Is(err, transaction.ErrTimeout) {
			s.err = ErrNoAnswer
		}
		s.came <- s
	}
}

// OnTerminated implements transaction.ClientHandler.
func (s *sending) OnTerminated(*transaction.Client) {}

// Interface guard
var _ transaction.ClientHandler = (*sending)(nil)
