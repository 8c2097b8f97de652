package transport

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/internal/ipset"
	"github.com/caddysip/caddysip/internal/quota"
)

// connKey identifies a connection by its other end.
type connKey struct {
	network Network
	remote  netip.AddrPort
}

// conns are the connections of a Manager, accepted and dialed alike: a request to a phone that has
// connected to us goes over its own connection (RFC 5626 §5.3).
type conns struct {
	mu       sync.RWMutex
	closed   bool
	all      map[*Conn]struct{}
	byPeer   map[connKey]*Conn // the latest of each peer that is not closing
	accepted map[*Listener]*accepted
	accounts map[netip.Addr]*account // of sources
	dialed   *quota.Quota            // dialed connections, by the user they were dialed for
	readers  sync.WaitGroup
}

// source returns what Limits.ConnsPerSource counts by.
func source(remote netip.AddrPort) netip.Addr { return ipset.Source(remote.Addr()).Addr() }

// SourceOf returns what shares and limits are counted by: the source of an address.
func SourceOf(remote netip.AddrPort) netip.Addr { return source(remote) }

// adopt makes a Conn of nc and starts its reader. It returns ErrLimit or ErrRefused instead if
// there may not be another. A dialed connection is counted for its user by the caller.
func (m *Manager) adopt(nc net.Conn, flow Flow, user string) (*Conn, error) {
	c := &Conn{m: m, user: user, nc: nc, flow: flow, done: make(chan struct{}), reading: true}
	c.flow.Conn = c
	t := &m.conns
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	if reason, err := t.refusal(c); err != nil {
		m.opts.Dropped(reason)
		return nil, err
	}
	if flow.Listener != nil {
		t.countAccepted(flow.Listener, source(flow.Remote))
	}
	limitSendQueue(nc)
	c.direct = newDirect(nc)
	c.account = t.openAccount(source(flow.Remote))
	t.all[c] = struct{}{}
	t.byPeer[connKey{flow.Network, flow.Remote}] = c
	t.readers.Go(c.read)
	return c, nil
}

// refusal returns the error and the Drop reason if c must be refused. Otherwise it takes the
// memory for it from the budget.
func (t *conns) refusal(c *Conn) (reason string, err error) {
	m, l := c.m, c.flow.Listener
	if l != nil {
		if m.opts.Refuse(c.flow.Remote.Addr()) {
			return DropBanned, ErrRefused
		}
		reason = t.overLimit(l, source(c.flow.Remote))
	}
	switch {
	case reason != "":
	case reservedDescriptor(c.nc, l == nil):
		reason = DropDescriptors
	case !m.opts.Budget.Take(budget.Connections, connSize):
		reason = DropMemory
	default:
		return "", nil
	}
	return reason, ErrLimit
}

// unindex removes a closing connection from byPeer, so that nothing new is sent on it.
func (t *conns) unindex(c *Conn) {
	key := connKey{c.flow.Network, c.flow.Remote}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byPeer[key] == c {
		delete(t.byPeer, key)
	}
}

// release forgets a closed connection and returns what it took.
func (t *conns) release(c *Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, c)
	t.closeAccount(source(c.flow.Remote))
	c.m.opts.Budget.Release(budget.Connections, connSize)
	if l := c.flow.Listener; l != nil {
		t.uncountAccepted(l, source(c.flow.Remote))
	} else {
		t.dialed.Release(c.user)
	}
}

// Conn returns the connection to a peer, accepted or dialed, if there is one.
func (m *Manager) Conn(n Network, remote netip.AddrPort) (*Conn, bool) {
	m.conns.mu.RLock()
	defer m.conns.mu.RUnlock()
	c, ok := m.conns.byPeer[connKey{n, canonical(remote)}]
	return c, ok
}

// Conns returns all connections, in no order.
func (m *Manager) Conns() []*Conn {
	m.conns.mu.RLock()
	defer m.conns.mu.RUnlock()
	all := make([]*Conn, 0, len(m.conns.all))
	for c := range m.conns.all {
		all = append(all, c)
	}
	return all
}

// CloseFrom closes all accepted connections from a prefix at once.
func (m *Manager) CloseFrom(p netip.Prefix) {
	for _, c := range m.connsFrom(p) {
		c.abort(ErrRefused)
	}
}

func (m *Manager) connsFrom(p netip.Prefix) (from []*Conn) {
	t := &m.conns
	t.mu.RLock()
	defer t.mu.RUnlock()
	// Most sources have no connection, and banning many of them must not search all the connections
	// of others each time.
	if p == ipset.Source(p.Addr()) {
		if !t.connected(p.Addr()) {
			return nil
		}
	}
	for c := range t.all {
		if c.flow.Listener != nil && p.Contains(c.flow.Remote.Addr().WithZone("")) {
			from = append(from, c)
		}
	}
	return from
}

// CloseOrphans closes the connections that were accepted by a listener that is closed now, unless
// another one has their address. The peers connect again, to where somebody listens.
func (m *Manager) CloseOrphans() {
	listeners := m.Listeners()
	for _, c := range m.Conns() {
		l := c.flow.Listener
		if l == nil || !l.isClosed() {
			continue
		}
		if !slices.ContainsFunc(listeners, func(l *Listener) bool { return l.network == c.flow.Network && l.Covers(c.flow.Local) }) {
			c.Close()
		}
	}
}
