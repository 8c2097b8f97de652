package module

import (
	"errors"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/wire"
)

// Response is a response to be sent.
type Response struct {
	Status int
	Reason string // empty: the status's usual phrase

	Header      []byte // further header lines with their CRLF: see AddHeader, wire.AppendHeader
	ContentType string
	Body        []byte

	// Relay is a response from further on, which is passed on with its topmost Via removed (RFC
	// 3261 §16.7). Reason, ContentType and Body are not looked at.
	Relay *wire.Message

	// By says who answered, for the access log; empty: the handler that did.
	By string
}

// AddHeader adds a header line. The value cannot break the line.
func (res *Response) AddHeader(name, value string) {
	res.Header = wire.AppendHeader(res.Header, name, value)
}

var (
	errAnswered = errors.New("the request has been answered")
	// RFC 4320 §4.1
	errProvisional = errors.New("only an INVITE has provisional responses beside 100")
)

// responder is the ResponseWriter at the bottom.
type responder struct {
	r      *Request
	tx     *transaction.Server
	status int
}

func (w *responder) Status() int { return w.status }

// WriteResponse implements ResponseWriter.
func (w *responder) WriteResponse(res *Response) error {
	r := w.r
	// Only 2xx to an INVITE may follow each other (RFC 6026 §7.1).
	again := w.status < 300 && r.msg.Method == wire.INVITE && res.Status >= 200 && res.Status < 300
	if w.status != 0 && !again {
		return errAnswered
	}
	if res.Status > 100 && res.Status < 200 && r.msg.Method != wire.INVITE {
		return errProvisional
	}
	if r.msg.Method == wire.ACK {
		return nil // nothing answers an ACK (RFC 3261 §17.1.1.3)
	}
	out := r.in.Outbox
	var b []byte
	if out != nil {
		b = out.Buffer()
	}
	b = w.append(b, res)
	var err error
	if w.tx != nil {
		err = w.tx.Respond(b, res.Status, out)
	} else {
		f := engine.ResponseFlow(r.msg, r.in.Flow)
		if out != nil {
			err = out.Send(f, b)
		} else {
			err = f.Send(b)
		}
	}
	if res.Status >= 200 && w.status == 0 {
		w.status = res.Status
		r.server.finished(r, res)
	}
	return err
}

func (w *responder) append(dst []byte, res *Response) []byte {
	r := w.r
	if res.Relay != nil {
		e := &r.edits
		e.Reset()
		e.PopValue(res.Relay, wire.Via)
		if len(res.Header) > 0 {
			e.InsertHeaders(res.Relay, res.Header)
		}
		e.EnsureContentLength(res.Relay)
		return e.Append(dst, res.Relay.Raw)
	}
	o := wire.ResponseOptions{Header: res.Header, ContentType: res.ContentType, Body: res.Body}
	if res.Status > 100 {
		o.ToTag = r.toTag()
	}
	// A response that makes a dialog takes the route with it (RFC 3261 §12.1.1).
	o.RecordRoute = res.Status > 100 && res.Status < 300 && r.msg.Method == wire.INVITE
	return r.msg.AppendResponse(dst, res.Status, reasonOf(res.Status, res.Reason), r.in.Flow.Remote, &o)
}

// toTag returns the tag of our responses to the request.
func (r *Request) toTag() []byte {
	if r.tag[0] == 0 {
		engine.StatelessTag(r.tag[:0], r.msg)
	}
	return r.tag[:]
}
