package transport

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// dialTimeout is how long connecting may take, whoever waits for it: well under the 32 s that a transaction lives.
const dialTimeout = 10 * time.Second

// dialing is a connection being made, and who wants it waits for done.
type dialing struct {
	done chan struct{}
	conn *Conn
	err  error
}

// Dial returns a flow to remote. A connection that exists is used, whichever side has made it; those who ask for the
// same one at the same time get the same one. On UDP nothing is dialed: the flow leaves from the listener that the
// kernel's route to remote fits best.
func (m *Manager) Dial(ctx context.Context, n Network, remote netip.AddrPort) (Flow, error) {
	remote = canonical(remote)
	switch n {
	case UDP:
		return m.flowUDP(remote)
	case TCP:
	default:
		return Flow{}, dialError(n, remote, errUnsupported)
	}
	if c, ok := m.Conn(n, remote); ok {
		return c.Flow(), nil
	}
	d, err := m.dialing(connKey{n, remote})
	if err != nil {
		return Flow{}, dialError(n, remote, err)
	}
	select {
	case <-ctx.Done():
		return Flow{}, dialError(n, remote, context.Cause(ctx))
	case <-d.done:
	}
	if d.err != nil {
		return Flow{}, dialError(n, remote, d.err)
	}
	return d.conn.Flow(), nil
}

func dialError(n Network, remote netip.AddrPort, err error) error {
	return fmt.Errorf("connecting to %s %s: %w", n, remote, err)
}

// dialing joins the dial to a peer that is under way, or starts one. It is nobody's own: whoever gives up waiting doesn't end it for
// the others.
func (m *Manager) dialing(key connKey) (*dialing, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	if d, ok := m.dials[key]; ok {
		return d, nil
	}
	d := &dialing{done: make(chan struct{})}
	// A dial may have ended since the caller looked. Its connection was in the table before it left m.dials.
	if c, ok := m.Conn(key.network, key.remote); ok {
		d.conn = c
		close(d.done)
		return d, nil
	}
	m.dials[key] = d
	m.tasks.Go(func() {
		d.conn, d.err = m.connect(key)
		m.mu.Lock()
		delete(m.dials, key)
		m.mu.Unlock()
		close(d.done)
	})
	return d, nil
}

func (m *Manager) connect(key connKey) (*Conn, error) {
	ctx, cancel := context.WithTimeout(m.ctx, dialTimeout)
	defer cancel()
	nc, err := m.dialTCP(ctx, key.remote)
	if err != nil {
		return nil, err
	}
	flow := tcpFlow(nc)
	flow.Remote = key.remote
	c, err := m.adopt(nc, flow)
	if err != nil {
		nc.Close()
	}
	return c, err
}

var errNoListener = errors.New("no UDP listener can send there")

// flowUDP picks the listener that remote is reached from: one on the address that the kernel would use, else a wildcard,
// else any other of the same family.
func (m *Manager) flowUDP(remote netip.AddrPort) (Flow, error) {
	var best *Listener
	var rank int
	local := m.routes.local(remote.Addr(), m.route)
	for _, l := range m.Listeners() {
		if l.network != UDP {
			continue
		}
		ip, r := l.addr.Addr(), 0
		switch {
		case ip == local:
			r = 3
		case l.wildcard && includes(ip, remote.Addr()):
			r = 2
		case !l.wildcard && ip.Is4() == remote.Addr().Is4() && ip.IsLoopback() == remote.Addr().IsLoopback():
			r = 1
		}
		if r > rank {
			best, rank = l, r
		}
	}
	if best == nil {
		return Flow{}, dialError(UDP, remote, errNoListener)
	}
	return best.Flow(remote), nil
}
