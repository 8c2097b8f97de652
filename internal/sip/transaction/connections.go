package transaction

import (
	"fmt"
	"sync"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

// connections finds the client transactions whose request was sent down a connection. Those over
// UDP are not in it.
type connections struct {
	mu    sync.Mutex
	first map[*transport.Conn]*Client // the first of each list, which Client.after continues
}

func (s *connections) add(c *Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.after = s.first[c.flow.Conn]
	if c.after != nil {
		c.after.before = c
	}
	s.first[c.flow.Conn] = c
}

func (s *connections) remove(c *Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.before != nil:
		c.before.after = c.after
	case c.after != nil:
		s.first[c.flow.Conn] = c.after
	default:
		delete(s.first, c.flow.Conn)
	}
	if c.after != nil {
		c.after.before = c.before
	}
	c.after, c.before = nil, nil
}

// of returns the client transactions on a connection.
func (s *connections) of(conn *transport.Conn) (all []*Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := s.first[conn]; c != nil; c = c.after {
		all = append(all, c)
	}
	return all
}

// ConnClosed ends the client transactions that wait for a final response on a connection that has
// closed: nobody is left to answer, which is a failure of the transport (RFC 3261 §8.1.3.1, §18.4).
// Their handlers are told on the next tick. A peer that means to answer keeps the connection as
// long as a transaction takes (RFC 3261 §18), so an INVITE that is ringing ends as well.
func (t *Table) ConnClosed(conn *transport.Conn, err error) {
	for _, c := range t.conns.of(conn) {
		c.mu.Lock()
		if c.state <= proceeding {
			c.endSoon(c, fmt.Errorf("the connection has gone before the answer came: %w", err))
		}
		c.mu.Unlock()
	}
}
