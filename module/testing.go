package module

import "github.com/caddysip/caddysip/wire"

// NewRequest makes a request of a message that came by flow to a server, which may be nil. It is for tests of handlers and matchers.
func NewRequest(raw []byte, flow Flow, s *Server) (*Request, error) {
	r := &Request{msg: new(wire.Message), flow: flow, server: s}
	r.writer.r = r
	if err := r.msg.Parse(raw); err != nil {
		return nil, err
	}
	return r, nil
}

// Serve gives a request to the server's routes, as if it had come from the network. It is for tests of handlers and matchers.
func (s *Server) Serve(w ResponseWriter, r *Request) {
	if err := guard(w, r, s.check); err != nil {
		s.fail(w, r, err)
	}
}
