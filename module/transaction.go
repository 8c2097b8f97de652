package module

import (
	"errors"

	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
)

// TransactionHandler is told what becomes of a server transaction (RFC 3261 §17.2). Its methods are
// called one after the other, on goroutines that must not be blocked: the socket's reader and the
// timers'. They may answer the request.
type TransactionHandler interface {
	// OnCancel is called, at most once, when the client cancels an INVITE that has no final
	// response yet. The CANCEL has been answered; the INVITE has not: answer it with 487, or with
	// what comes from further on (RFC 3261 §9.2, §16.10). A handler that has called next leaves
	// that to who follows it, such as proxy.
	OnCancel()

	// OnTerminated is called once, when the transaction ends: with nil if all is well, else with
	// what went wrong, such as that no ACK came, or that the request was never answered.
	OnTerminated(err error)
}

// Transaction makes the request's server transaction, unless it has been made: what is sent from
// then on is sent again when the client repeats its request. h is told of its events, beside the
// handlers that others have given, in the order in which they came; it may be nil.
//
// Without a transaction responses are stateless, which costs no memory and is enough for whoever
// answers at once (RFC 3261 §8.2.7): a handler that answers later, or must know of a CANCEL, makes
// one and calls Keep. The error is a HandlerError to return: 503 when there are as many transactions
// as the limits allow, 487 when the client has cancelled the request already.
func (r *Request) Transaction(h TransactionHandler) error {
	if h == nil {
		return r.begin(nil)
	}
	return r.begin(serverHandler{h})
}

var errCancelled = errors.New("the client has cancelled the request or is gone")

// begin is Transaction with the handler that the transaction layer knows.
func (r *Request) begin(h transaction.ServerHandler) error {
	if tx := r.writer.tx; tx != nil {
		if h != nil && !tx.Tell(h) {
			return HandlerError{Status: 487, Err: errCancelled}
		}
		return nil
	}
	f := r.in.Flow
	tx, err := r.server.app.engine.Transactions.NewServer(r.msg, f, r.msg.ResponseAddr(f.Remote), r.toTag(), h)
	if err != nil {
		return HandlerError{Status: 503, Err: err}
	}
	r.writer.tx = tx
	return nil
}

// serverHandler passes on what the transaction layer tells.
type serverHandler struct{ h TransactionHandler }

func (s serverHandler) OnCancel(*transaction.Server, *transport.Outbox) { s.h.OnCancel() }

func (s serverHandler) OnTerminated(_ *transaction.Server, err error) { s.h.OnTerminated(err) }
