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

// guest is what sipgo's two transaction interfaces have in common.
type guest struct {
	key  string
	done chan struct{}

	mu          sync.Mutex
	ended       bool
	err         error
	onTerminate []sip.FnTxTerminate
}

func (g *guest) begin(req *sip.Request) {
	g.done = make(chan struct{})
	if via := req.Via(); via != nil {
		g.key, _ = via.Params.Get("branch")
	}
}

// Done is closed when the transaction has ended.
func (g *guest) Done() <-chan struct{} { return g.done }

// Err returns why the transaction has ended, one of sipgo's errors.
func (g *guest) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// OnTerminate calls f at the end of the transaction, and returns false if that has come.
func (g *guest) OnTerminate(f sip.FnTxTerminate) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended {
		g.onTerminate = append(g.onTerminate, f)
	}
	return !g.ended
}

func (g *guest) end(err error) {
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

// guestError gives an error the identity that code written for sipgo asks for.
func guestError(err error) error {
	switch {
	case err == nil, err == ErrClosed:
		return sip.ErrTransactionTerminated
	case err == ErrTimeout:
		return sip.ErrTransactionTimeout
	}
	return fmt.Errorf("%w: %w", sip.ErrTransactionTransport, err)
}

// serverTx is a server transaction as sipgo knows it.
type serverTx struct {
	guest
	s    *Server
	req  *sip.Request
	next ServerHandler

	onCancel  []sip.FnTxCancel // guarded by guest.mu
	cancelled bool
	toTag     string // of the latest response
}

// NewServerTx gives s to code that is written for sipgo. req is the request. As with sipgo, whoever takes the
// transaction over need not think of CANCEL: when one comes the INVITE is answered with 487. The handler that s has
// is told all that it was told before, first.
//
// Unlike sipgo's, Acks never yields anything: an ACK to a final response other than 2xx ends here, and one to a 2xx
// is a request of its own.
func NewServerTx(s *Server, req *sip.Request) sip.ServerTransaction {
	tx := &serverTx{s: s, req: req}
	tx.begin(req)
	s.mu.Lock()
	defer s.mu.Unlock()
	tx.next = s.handler
	s.handler = serverTxHandler{tx}
	if s.reported {
		tx.end(guestError(s.err))
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

// Acks returns a channel on which nothing comes.
func (tx *serverTx) Acks() <-chan *sip.Request { return nil }

// OnCancel calls f when the INVITE is cancelled, and returns false if it was or has ended.
func (tx *serverTx) OnCancel(f sip.FnTxCancel) bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.ended || tx.cancelled {
		return false
	}
	tx.onCancel = append(tx.onCancel, f)
	return true
}

// serverTxHandler keeps OnCancel of ServerHandler apart from that of sip.ServerTransaction.
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
	// Somebody may have answered meanwhile; then there is nothing to do.
	_ = s.Respond([]byte(res.String()), res.StatusCode, nil)
}

func (h serverTxHandler) OnTerminated(s *Server, err error) {
	defer h.tx.end(guestError(err))
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

// Requester lets a sipgo.Client send its requests over our transactions: it is for the client's TxRequester.
type Requester struct {
	Table *Table
	// Flow says over which flow a request goes. It may block.
	Flow func(ctx context.Context, req *sip.Request) (transport.Flow, error)
}

// Request sends a request. Its topmost Via gets the flow's transport and, when the client has no host name of its
// own, the flow's local address.
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
	c, err := r.Table.NewClient([]byte(req.String()), flow, tx, nil)
	if err != nil {
		return nil, err
	}
	tx.c = c
	return tx, nil
}

// clientTx is a client transaction as sipgo knows it.
type clientTx struct {
	guest
	table     *Table
	c         *Client
	responses chan *sip.Response

	answered         bool               // only the handler's calls use it
	onRetransmission []sip.FnTxResponse // guarded by guest.mu
}

// Responses yields the provisional responses and the final one.
func (tx *clientTx) Responses() <-chan *sip.Response { return tx.responses }

// Terminate gives the transaction up.
func (tx *clientTx) Terminate() {
	tx.end(sip.ErrTransactionTerminated)
	tx.c.Abandon()
}

// OnRetransmission calls f with each 2xx to an INVITE after the first. It returns false if the transaction has ended.
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
	// One place is left for the final response, whatever number of provisional ones nobody has read.
	if tx.answered || len(tx.responses) < cap(tx.responses)-1 {
		tx.responses <- res
	}
}

// OnFailure implements ClientHandler.
func (tx *clientTx) OnFailure(_ *Client, err error) { tx.end(guestError(err)) }

// OnTerminated implements ClientHandler. Whoever waits for a response or Done must not see Done before the response:
// until it is read, Done is not closed, but not for ever.
func (tx *clientTx) OnTerminated(*Client) {
	if len(tx.responses) == 0 {
		tx.end(sip.ErrTransactionTerminated)
		return
	}
	tx.table.AfterFunc(64*tx.table.opts.T1, func() { tx.end(sip.ErrTransactionTerminated) })
}
