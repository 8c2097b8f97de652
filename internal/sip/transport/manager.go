package transport

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/caddysip/caddysip/internal/flight"
	"github.com/caddysip/caddysip/internal/quota"
	"github.com/caddysip/caddysip/internal/ratelog"
)

// closeTime is how long Manager.Close waits for connections to write what is queued.
const closeTime = time.Second

var errUnsupported = errors.New("this transport is not supported, use udp or tcp")

// Manager owns the listeners and connections of a server. It is safe for concurrent use.
type Manager struct {
	handler   Handler
	opts      Options
	conns     conns
	routes    routes
	owned     routes // addresses that are this host's
	readLog   ratelog.Gate
	acceptLog ratelog.Gate

	ctx    context.Context // ends dials
	cancel context.CancelFunc
	tasks  sync.WaitGroup // UDP readers, accept loops, dials

	mu        sync.Mutex
	closed    bool
	listeners []*Listener
	dials     *flight.Group[connKey, *Conn]
}

// NewManager returns a Manager that passes messages to h. It does not listen yet.
func NewManager(h Handler, opts Options) *Manager {
	m := &Manager{handler: h, opts: opts.withDefaults()}
	m.dials = newDials(m)
	m.conns.dialed = quota.New(m.opts.MaxDialed, userDialed)
	m.conns.all = make(map[*Conn]struct{})
	m.conns.byPeer = make(map[connKey]*Conn)
	m.conns.accepted = make(map[*Listener]*accepted)
	m.conns.accounts = make(map[netip.Addr]*account)
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// Listen opens an address and reads from it. [::] accepts IPv4 as well; port 0 is any free port.
// The error names the address, and the listener that already has it or an address that includes it.
// An overlap is allowed only with the listeners in draining, which are about to be closed, and only
// on Linux: there, packets for an address go to the listener that is bound to it rather than to a
// wildcard.
func (m *Manager) Listen(n Network, addr netip.AddrPort, draining ...*Listener) (*Listener, error) {
	if !addr.IsValid() {
		return nil, fmt.Errorf("listening on %s: the address is missing", n)
	}
	addr = canonical(addr)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, listenError(n, addr, ErrClosed)
	}
	l := &Listener{m: m, network: n, addr: addr, wildcard: addr.Addr().IsUnspecified(), closed: make(chan struct{})}
	for _, other := range m.listeners {
		switch {
		case !Overlap(n, addr, other.network, other.addr):
		case addr == other.addr || !slices.Contains(draining, other) || other.share() != nil:
			return nil, listenError(n, addr, fmt.Errorf("it overlaps with %s %s, which is listened on already", other.network, other.addr))
		default:
			l.shared = true
		}
	}
	if err := l.open(); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("another program uses it, stop that or take another port: %w", err)
		}
		return nil, listenError(n, addr, err)
	}
	m.listeners = append(m.listeners, l)
	for _, s := range l.udp {
		m.tasks.Go(s.serve)
	}
	if l.packet != nil {
		m.tasks.Go(l.packet.serve)
	}
	if l.tcp != nil {
		m.tasks.Go(l.accept)
	}
	return l, nil
}

func (l *Listener) open() error {
	if l.m.opts.Net != nil {
		return l.openOn(l.m.opts.Net)
	}
	switch l.network {
	case UDP:
		err := l.openUDP()
		if err != nil {
			for _, s := range l.udp {
				s.close()
			}
		}
		return err
	case TCP:
		return l.openTCP()
	}
	return errUnsupported
}

// forget removes a closed listener from the list.
func (m *Manager) forget(l *Listener) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.listeners = slices.DeleteFunc(m.listeners, func(other *Listener) bool { return other == l })
}

// covering returns an open UDP listener that can send from an address.
func (m *Manager) covering(local netip.AddrPort) *Listener {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.listeners {
		if l.network == UDP && l.Covers(local) {
			return l
		}
	}
	return nil
}

// Listeners returns the open listeners, oldest first.
func (m *Manager) Listeners() []*Listener {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.listeners)
}

// Close closes all listeners and connections, and waits until the last handler has returned; a
// handler must not call it. What is queued on connections is written if the peers accept it within
// a second.
func (m *Manager) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cancel()
	var errs []error
	for _, l := range m.Listeners() {
		errs = append(errs, l.Close())
	}
	m.conns.mu.Lock()
	m.conns.closed = true
	m.conns.mu.Unlock()
	conns := m.Conns()
	for _, c := range conns {
		c.Close()
	}
	late := time.AfterFunc(closeTime, func() {
		for _, c := range conns {
			c.abort(ErrClosed)
		}
	})
	defer late.Stop()
	m.conns.readers.Wait()
	m.tasks.Wait()
	return errors.Join(errs...)
}
