package transport

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/caddysip/caddysip/internal/flight"
	"github.com/caddysip/caddysip/internal/quota"
)

const (
	// dialTimeout is how long connecting may take, whoever waits for it: well under the 32 s of a
	// transaction.
	dialTimeout = 10 * time.Second

	// What one user, or one source, may cause, and what all may.
	maxDials, userDials     = 512, 16  // connections being made
	maxWaiting, userWaiting = 4096, 64 // requests that wait for a connection
	destinationWaiting      = 256      // requests that wait for the same one
	userDialed              = 64       // dialed connections; Options.MaxDialed is the limit for all
	rememberedFailures      = 4096     // destinations that are not tried again for some seconds
)

// ErrBusy is returned when so many connections are being made, in all or for one user, that another
// is not allowed.
var ErrBusy = flight.ErrFull

func newDials(m *Manager) *flight.Group[connKey, *Conn] {
	return flight.New[connKey, *Conn](flight.Options{
		Flights:   quota.New(maxDials, userDials),
		Waiters:   quota.New(maxWaiting, userWaiting),
		PerFlight: destinationWaiting,
		Remember:  rememberedFailures,
		Transient: func(err error) bool { return m.ctx.Err() != nil || errors.Is(err, ErrLimit) },
		Go:        m.tasks.Go,
	})
}

// Dial returns a flow to remote, and waits for it. An existing connection is used, whichever side
// has made it; callers that ask for the same one at the same time share it. Over UDP nothing is
// dialed: the flow leaves from the listener that fits the kernel's route to remote best.
func (m *Manager) Dial(ctx context.Context, n Network, remote netip.AddrPort) (Flow, error) {
	type result struct {
		f   Flow
		err error
	}
	made := make(chan result, 1)
	f, err, now := m.DialFor("", n, remote, func(f Flow, err error) { made <- result{f, err} })
	if now {
		return f, err
	}
	select {
	case <-ctx.Done():
		return Flow{}, dialError(n, remote, context.Cause(ctx))
	case r := <-made:
		return r.f, r.err
	}
}

// DialFor is Dial on behalf of a user or source, whose share of dials and connections it counts
// against; "" is the server itself, which has no share. It does not wait: if now is false, done is
// called from another goroutine once the connection is made or has failed; done must not block. A
// dial is shared: a caller that gives up waiting doesn't cancel it for the others. A destination to
// which connecting has just failed is not tried again for some seconds.
func (m *Manager) DialFor(user string, n Network, remote netip.AddrPort, done func(Flow, error)) (f Flow, err error, now bool) {
	remote = canonical(remote)
	switch n {
	case UDP:
		f, err = m.flowUDP(remote)
		return f, err, true
	case TCP:
	default:
		return Flow{}, dialError(n, remote, errUnsupported), true
	}
	if c, ok := m.Conn(n, remote); ok {
		return c.Flow(), nil, true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Flow{}, dialError(n, remote, ErrClosed), true
	}
	key := connKey{n, remote}
	_, err, now = m.dials.Do(key, user, user, func() (*Conn, error) { return m.connect(key, user) }, func(c *Conn, err error) {
		if err != nil {
			done(Flow{}, dialError(n, remote, err))
			return
		}
		done(c.Flow(), nil)
	})
	if err != nil {
		err = dialError(n, remote, err)
	}
	return Flow{}, err, now
}

func dialError(n Network, remote netip.AddrPort, err error) error {
	return fmt.Errorf("connecting to %s %s: %w", n, remote, err)
}

func (m *Manager) connect(key connKey, user string) (*Conn, error) {
	// Another dial may have ended since the caller looked. Its connection was in the table before.
	if c, ok := m.Conn(key.network, key.remote); ok {
		return c, nil
	}
	if !m.conns.dialed.Take(user) {
		m.opts.Dropped(DropConnLimit)
		return nil, ErrLimit
	}
	ctx, cancel := context.WithTimeout(m.ctx, dialTimeout)
	defer cancel()
	nc, err := m.dialTCP(ctx, key.remote)
	if err != nil {
		m.conns.dialed.Release(user)
		return nil, err
	}
	flow := tcpFlow(nc)
	flow.Remote = key.remote
	c, err := m.adopt(nc, flow, user)
	if err != nil {
		m.conns.dialed.Release(user)
		nc.Close()
	}
	return c, err
}

var errNoListener = errors.New("no UDP listener can send there")

// flowUDP picks the listener to reach remote from: the one on the address that the kernel would
// use, else a wildcard, else any other of the same family.
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
