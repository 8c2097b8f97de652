package transaction

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/emiago/sipgo/sip"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// sipgoTx is what the adapters to sipgo's two transaction interfaces have in common.
type sipgoTx struct {
	key  string
	done chan struct{}

	mu          sync.Mutex
	ended       bool
	err         error
	onTerminate []sip.FnTxTerminate
}

func (g *sipgoTx) begin(req *sip.Request) {
	g.done = make(chan struct{})
	if via := req.Via(); via != nil {
		g.key, _ = via.Params.Get("branch")
	}
}

// Done returns a channel that is closed when the transaction ends.
func (g *sipgoTx) Done() <-chan struct{} { return g.done }

// Err returns why the transaction has ended: one of sipgo's errors, or nil before the end.
func (g *sipgoTx) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// OnTerminate makes f be called when the transaction ends. It returns false if it has ended
// already.
func (g *sipgoTx) OnTerminate(f sip.FnTxTerminate) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended {
		g.onTerminate = append(g.onTerminate, f)
	}
	return !g.ended
}

func (g *sipgoTx) end(err error) {
	g.mu.Lock()
	if g.ended {
		g.mu.Unlock()
		return
	}
	g.ended, g.err = true, err
	close(g.done)
	calls := g.onTerminate
	g.mu.Unlock()
	for _, f := range calls {
		f(g.key, err)
	}
}

// sipgoError wraps an error in the one that code written for sipgo looks for.
func sipgoError(err error) error {
	switch {
	case err == nil, err == ErrClosed:
		return sip.ErrTransactionTerminated
	case err == ErrTimeout:
		return sip.ErrTransactionTimeout
	}
	return fmt.Errorf("%w: %w", sip.ErrTransactionTransport, err)
}

// serverTx makes a Server a sip.ServerTransaction.
type serverTx struct {
	sipgoTx
	s    *Server
	req  *sip.Request
	next ServerHandler

	onCancel  []sip.FnTxCancel // guarded by sipgoTx.mu
	cancelled bool
	toTag     string // of the latest response
}

// NewServerTx makes s, whose request is req, usable by code that is written for sipgo. As with
// sipgo, that code need not think of CANCEL: when one comes, the INVITE is answered with 487. The
// handler that s has is called as before, and first.
//
// Unlike sipgo's, Acks never yields anything: an ACK for a final response other than 2xx is
// absorbed, and one for a 2xx is a request of its own.
func NewServerTx(s *Server, req *sip.Request) sip.ServerTransaction {
	tx := &serverTx{s: s, req: req}
	tx.begin(req)
	s.mu.Lock()
	defer s.mu.Unlock()
	tx.next = s.handler
	s.handler = serverTxHandler{tx}
	if s.reported {
		tx.end(sipgoError(s.err))
	}
	return tx
}

// Respond sends a response.
func (tx *serverTx) Respond(res *sip.Response) error {
	if to := res.To(); to != nil {
		tx.mu.Lock()
		tx.toTag, _ = to.Params.Get("tag")
		tx.mu.Unlock()
	}
	return tx.s.Respond([]byte(res.String()), res.StatusCode, nil)
}

// Terminate ends the transaction at once.
func (tx *serverTx) Terminate() {
	tx.end(sip.ErrTransactionTerminated)
	tx.s.Terminate()
}

// Acks returns nil: no ACK ever comes on it.
func (tx *serverTx) Acks() <-chan *sip.Request { return nil }

// OnCancel makes f be called when the INVITE is cancelled. It returns false if it has been or if
// the transaction has ended.
func (tx *serverTx) OnCancel(f sip.FnTxCancel) bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.ended || tx.cancelled {
		return false
	}
	tx.onCancel = append(tx.onCancel, f)
	return true
}

// serverTxHandler is a type of its own because ServerHandler and sip.ServerTransaction both have an
// OnCancel.
type serverTxHandler struct{ tx *serverTx }

func (h serverTxHandler) OnCancel(s *Server, out *transport.Outbox) {
	if h.tx.next != nil {
		h.tx.next.OnCancel(s, out)
	}
	h.tx.mu.Lock()
	h.tx.cancelled = true
	calls := slices.Clone(h.tx.onCancel)
	toTag := h.tx.toTag
	h.tx.mu.Unlock()
	if len(calls) > 0 {
		cancel := cancelOf(h.tx.req)
		for _, f := range calls {
			f(cancel)
		}
	}
	res := sip.NewResponseFromRequest(h.tx.req, sip.StatusRequestTerminated, "Request Terminated", nil)
	if to := res.To(); to != nil {
		if toTag == "" {
			toTag = string(s.toTag)
		}
		if req := h.tx.req.To(); toTag != "" && req != nil && !req.Params.Has("tag") {
			to.Params.Add("tag", toTag)
		}
	}
	// If somebody has answered meanwhile, there is nothing to do.
	_ = s.Respond([]byte(res.String()), res.StatusCode, nil)
}

func (h serverTxHandler) OnTerminated(s *Server, err error) {
	defer h.tx.end(sipgoError(err))
	if h.tx.next != nil {
		h.tx.next.OnTerminated(s, err)
	}
}

func cancelOf(invite *sip.Request) *sip.Request {
	cancel := sip.NewRequest(sip.CANCEL, *invite.Recipient.Clone())
	if via := invite.Via(); via != nil {
		cancel.AppendHeader(sip.HeaderClone(via))
	}
	for _, name := range []string{"From", "To", "Call-ID", "CSeq"} {
		sip.CopyHeaders(name, invite, cancel)
	}
	if cseq := cancel.CSeq(); cseq != nil {
		cancel.ReplaceHeader(&sip.CSeqHeader{SeqNo: cseq.SeqNo, MethodName: sip.CANCEL})
	}
	cancel.SetTransport(invite.Transport())
	cancel.SetSource(invite.Source())
	return cancel
}

// Requester makes a sipgo.Client send its requests through a Table: it is for the client's
// TxRequester.
type Requester struct {
	Table *Table
	// Flow returns the flow that a request is sent over. It may block.
	Flow func(ctx context.Context, req *sip.Request) (transport.Flow, error)
}

// Request sends a request. Its topmost Via gets the transport of the flow, and the flow's local
// address if the client has no host name of its own.
func (r *Requester) Request(ctx context.Context, req *sip.Request) (sip.ClientTransaction, error) {
	flow, err := r.Flow(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("finding the way to %s: %w", req.Recipient.String(), err)
	}
	via := req.Via()
	if via == nil {
		return nil, errors.New("the request has no Via")
	}
	via.Transport = flow.Network.Token()
	if via.Host == "" {
		via.Host, via.Port = flow.Local.Addr().WithZone("").String(), int(flow.Local.Port())
	}
	req.SetTransport(via.Transport)
	tx := &clientTx{table: r.Table, responses: make(chan *sip.Response, 16)}
	tx.begin(req)
	c, err := r.Table.NewClient([]byte(req.String()), flow, tx, nil, ClientOptions{})
	if err != nil {
		return nil, err
	}
	tx.c = c
	return tx, nil
}

// clientTx makes a Client a sip.ClientTransaction.
type clientTx struct {
	sipgoTx
	table     *Table
	c         *Client
	responses chan *sip.Response

	answered         bool               // only used in calls to the handler
	onRetransmission []sip.FnTxResponse // guarded by sipgoTx.mu
}

// Responses returns a channel of the provisional responses and the final one.
func (tx *clientTx) Responses() <-chan *sip.Response { return tx.responses }

// Terminate abandons the transaction.
func (tx *clientTx) Terminate() {
	tx.end(sip.ErrTransactionTerminated)
	tx.c.Abandon()
}

// OnRetransmission makes f be called with each 2xx to an INVITE after the first. It returns false
// if the transaction has ended.
func (tx *clientTx) OnRetransmission(f sip.FnTxResponse) bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if !tx.ended {
		tx.onRetransmission = append(tx.onRetransmission, f)
	}
	return !tx.ended
}

// OnResponse implements ClientHandler.
func (tx *clientTx) OnResponse(_ *Client, m *wire.Message, _ *transport.Outbox) {
	msg, err := sip.ParseMessage(bytes.Clone(m.Raw))
	if err != nil {
		return // the request is sent again or times out
	}
	res, ok := msg.(*sip.Response)
	if !ok {
		return
	}
	if tx.answered {
		tx.mu.Lock()
		calls := slices.Clone(tx.onRetransmission)
		tx.mu.Unlock()
		for _, f := range calls {
			f(res)
		}
		return
	}
	tx.answered = res.StatusCode >= 200
	// One place is left for the final response, however many provisional ones are unread.
	if tx.answered || len(tx.responses) < cap(tx.responses)-1 {
		tx.responses <- res
	}
}

// OnFailure implements ClientHandler.
func (tx *clientTx) OnFailure(_ *Client, err error) { tx.end(sipgoError(err)) }

// OnTerminated implements ClientHandler. Whoever waits for a response or Done must not see Done
// first: it is not closed until the response has been read, or 64*T1 have passed.
func (tx *clientTx) OnTerminated(*Client) {
	if len(tx.responses) == 0 {
		tx.end(sip.ErrTransactionTerminated)
		return
	}
	tx.table.AfterFunc(64*tx.table.opts.T1, func() { tx.end(sip.ErrTransactionTerminated) })
}
