package uac

import (
	"sync"
	"sync/atomic"

	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// MaxDatagram is how many bytes a request over UDP may have for it to arrive in one piece, where
// nothing is known of the way (RFC 3261 §18.1.1, RFC 3428 §8). A larger one is sent nonetheless.
const MaxDatagram = 1300

// Transactions makes client transactions. A *transaction.Table is one.
type Transactions interface {
	NewClient(b []byte, flow transport.Flow, h transaction.ClientHandler, out *transport.Outbox,
		o transaction.ClientOptions) (*transaction.Client, error)
}

// Client sends requests. Both fields must be set. It is safe for concurrent use.
type Client struct {
	Transactions Transactions

	// Validated reports whether what is sent to the flow's remote address is known to be received
	// there.
	Validated func(transport.Flow) bool
}

// Handler is told what became of a request.
type Handler interface {
	// Done is called once: with the final response, which is valid during the call only; or with
	// nil and the reason why there is none, which is transaction.ErrTimeout, transaction.ErrClosed
	// or an error of the transport. It must not block.
	Done(final *wire.Message, err error)
}

// Exchange is a request that was sent and the final response to it, over one transaction or, when
// the first is challenged, two. It belongs to Client.Send from the call on until Handler.Done is
// called.
type Exchange struct {
	latest    atomic.Pointer[transaction.Client]
	hushed    atomic.Bool
	client    *Client
	handler   Handler
	flow      transport.Flow
	signer    *signer // nil: a challenge is final
	validated bool
}

// Send sends r and has h told the outcome, unless it returns an error: then nothing was sent. The
// outcome may come, on another goroutine, before Send has returned. With out, the request leaves
// with the batch.
func (c *Client) Send(x *Exchange, r *Request, h Handler, out *transport.Outbox) error {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	message := s.message[:0]
	if out != nil {
		message = out.Buffer() // it must stay as it is until the batch is flushed
	}
	message = s.appendRequest(message, r)
	if out == nil {
		s.message = message
	}
	x.client, x.handler, x.flow, x.validated = c, h, r.Flow, r.Validated
	x.signer = newSigner(r, message)
	x.latest.Store(nil)
	x.hushed.Store(false)
	return x.send(message, out, wire.LookupMethod(message[:len(r.Method)]), s.branch)
}

// scratch is what composing a request takes.
type scratch struct {
	message, text []byte
	branch        []byte // in text: of the request that was composed last
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// send sends the request, whose method and branch are given, or must be read in it.
func (x *Exchange) send(message []byte, out *transport.Outbox, m wire.Method, branch []byte) error {
	o := transaction.ClientOptions{Method: m, Branch: branch}
	switch { // who may not receive what is sent there gets little
	case x.validated || x.client.Validated(x.flow):
	case len(message) > MaxDatagram:
		o.MaxRetransmits = -1
	default:
		o.MaxRetransmits = transaction.UnvalidatedRetransmits
	}
	t, err := x.client.Transactions.NewClient(message, x.flow, x, out, o)
	if err != nil {
		return err
	}
	if x.latest.Store(t); x.hushed.Load() {
		x.Hush()
	}
	return nil
}

// Hush stops repeating the request, which is of no use at its address any more. The outcome comes
// as it would otherwise.
func (x *Exchange) Hush() {
	x.hushed.Store(true)
	if t := x.latest.Load(); t != nil {
		t.Hush()
	}
}

// OnResponse implements transaction.ClientHandler.
func (x *Exchange) OnResponse(_ *transaction.Client, m *wire.Message, out *transport.Outbox) {
	if m.Status < 200 {
		return
	}
	if s := x.signer; s != nil && (m.Status == 401 || m.Status == 407) {
		x.signer = nil // whoever has got an answer and challenges again does not like it
		if signed := s.answer(m); signed != nil {
			if err := x.send(signed, out, wire.OtherMethod, nil); err != nil {
				x.handler.Done(nil, err)
			}
			return
		}
	}
	x.handler.Done(m, nil)
}

// OnFailure implements transaction.ClientHandler.
func (x *Exchange) OnFailure(_ *transaction.Client, err error) { x.handler.Done(nil, err) }

// OnTerminated implements transaction.ClientHandler.
func (x *Exchange) OnTerminated(*transaction.Client) {}

// Interface guards
var (
	_ transaction.ClientHandler = (*Exchange)(nil)
	_ Transactions              = (*transaction.Table)(nil)
)
