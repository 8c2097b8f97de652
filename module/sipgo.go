package module

import (
	"context"
	"net/netip"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
)

// What code that is written for sipgo needs. The server's own handlers work on the bytes.

// ServerTransaction returns the request's server transaction as sipgo's type. Whoever takes it over
// answers the request by it; it answers a CANCEL by itself.
func (r *Request) ServerTransaction() (sip.ServerTransaction, error) {
	req, err := r.SIP()
	if err != nil {
		return nil, err
	}
	r.Keep()
	if err := r.Transaction(nil); err != nil {
		return nil, err
	}
	return transaction.NewServerTx(r.writer.tx, req), nil
}

// Client returns a client that sends requests from the server's own sockets, over its transactions.
// It blocks until an answer comes: use it on a goroutine of its own, see Request.Go.
func (a *App) Client(ua *sipgo.UserAgent, options ...sipgo.ClientOption) (*sipgo.Client, error) {
	c, err := sipgo.NewClient(ua, options...)
	if err != nil {
		return nil, err
	}
	c.TxRequester = &transaction.Requester{Table: a.engine.Transactions, Flow: a.flowFor}
	return c, nil
}

// flowFor finds the way to a request's destination.
func (a *App) flowFor(ctx context.Context, req *sip.Request) (transport.Flow, error) {
	network := transport.UDP
	if req.Transport() == "TCP" {
		network = transport.TCP
	}
	to, err := netip.ParseAddrPort(req.Destination())
	if err != nil {
		return transport.Flow{}, err
	}
	if f, ok := a.in.FlowTo(network, to, nil, netip.AddrPort{}); ok {
		return f, nil
	}
	return a.engine.Transport.Dial(ctx, network, to)
}
