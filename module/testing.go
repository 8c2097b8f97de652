package module

import (
	"net/netip"

	"github.com/caddysip/caddysip/wire"
)

// NewRequest makes a request of a message that came by UDP from one address to another, and to a
// server. That may be nil for what only looks at the request: without a server there are no
// transactions, and Go and Background panic. It is for tests of handlers and matchers; package
// moduletest makes it easier.
func NewRequest(raw []byte, source, local netip.AddrPort, s *Server) (*Request, error) {
	r := &Request{msg: new(wire.Message), server: s}
	r.in.Flow.Remote, r.in.Flow.Local = source, local
	r.writer.r = r
	if err := r.msg.Parse(raw); err != nil {
		return nil, err
	}
	return r, nil
}

// Serve gives a request to the server's routes, as if it had come from the network. It is for tests
// of handlers and matchers.
func (s *Server) Serve(w ResponseWriter, r *Request) {
	if err := guard(w, r, s.check); err != nil {
		s.fail(w, r, err)
	}
}
