package phone

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
	"github.com/gobwas/ws"
)

// link connects the phone to its server: one UDP socket for everything, or one connection, which is
// reopened to send something after it was lost.
//
// sipgo would send from ephemeral UDP ports, and does not report when a connection ends. So sockets
// are opened here and handed to it, a connection as if its peer had connected to us.
type link struct {
	p      *Phone
	ua     *sipgo.UserAgent
	stream bool
	via    string
	dial   func(ctx context.Context) (net.Conn, error) // streams only

	dialing sync.Mutex // one attempt at a time

	mu       sync.Mutex
	packet   *packetConn  // UDP
	conn     *streamConn  // streams; nil before the first connection
	accepted *acceptQueue // streams; hands connections to sipgo
	server   net.Addr
	closed   bool
}

// sipgo refuses to send more than this less 200 bytes over UDP. RFC 3261
// §18.1.1 says so of requests; a response must go where the request came from,
// whatever its length.
func init() { sip.UDPMTUSize = 65507 + 200 }

func (l *link) init(p *Phone) {
	t := transports[p.cfg.Transport]
	l.p, l.stream, l.via = p, t.stream, t.via
	l.dial = l.dialServer
}

// open opens the socket or connection and lets sipgo read from it.
func (l *link) open(ctx context.Context, ua *sipgo.UserAgent) error {
	l.ua = ua
	if l.stream {
		accepted := newAcceptQueue()
		l.mu.Lock()
		l.accepted = accepted
		l.mu.Unlock()
		l.p.wg.Go(func() { _ = ua.TransportLayer().ServeTCP(accepted) })
		return l.connect(ctx)
	}
	conn, server, err := listenUDP(ctx, l.p.cfg.Server, l.p.cfg.LocalAddr)
	if err != nil {
		return err
	}
	packet := &packetConn{PacketConn: conn, trace: l.p.cfg.Trace, reading: make(chan struct{})}
	l.mu.Lock()
	l.packet, l.server = packet, server
	l.mu.Unlock()
	l.p.wg.Go(func() { _ = ua.TransportLayer().ServeUDP(packet) })
	// sipgo finds the socket by its address only from now on.
	<-packet.reading
	return nil
}

// close closes the socket or connection, which is not reopened.
func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	packet, conn, accepted := l.packet, l.conn, l.accepted
	l.mu.Unlock()
	if packet != nil {
		packet.Close()
	}
	if accepted != nil {
		accepted.Close()
	}
	if conn != nil {
		conn.Close()
	}
}

// connect opens the connection to the server unless it is open. It does nothing for UDP.
func (l *link) connect(ctx context.Context) error {
	l.mu.Lock()
	open := l.packet != nil || l.accepted != nil
	l.mu.Unlock()
	switch {
	case !open:
		return ErrClosed // never started
	case !l.stream:
		return nil
	}
	l.dialing.Lock()
	defer l.dialing.Unlock()
	l.mu.Lock()
	conn, closed := l.conn, l.closed
	l.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if conn != nil && !conn.isLost() {
		return nil
	}

	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	raw, err := l.dial(ctx)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", l.p.cfg.Server, err)
	}
	fresh := newStreamConn(raw, l.p.cfg.Trace)
	fresh.onLost = func() {
		l.ua.TransactionLayer().OnConnectionClose(fresh)
		l.p.registration.connectionLost()
	}
	if !l.accepted.add(fresh) {
		fresh.Close()
		return ErrClosed
	}
	select {
	case <-fresh.accepted:
	case <-l.p.ctx.Done():
		fresh.Close()
		return ErrClosed
	}
	// sipgo has the connection by its addresses now, wrapped in a counter of
	// references that would close it. It is to use ours as it is, which stays
	// when it is lost: sipgo would dial by itself if it found none.
	pool := l.ua.TransportLayer().Pool("tcp")
	if conn != nil {
		pool.Delete(conn.LocalAddr().String())
	}
	pool.Add(fresh.LocalAddr().String(), fresh)
	pool.Add(fresh.RemoteAddr().String(), fresh)
	close(fresh.usable)

	l.mu.Lock()
	l.conn, l.server = fresh, fresh.RemoteAddr()
	closed = l.closed
	l.mu.Unlock()
	if closed {
		fresh.Close()
		return ErrClosed
	}
	return nil
}

// dialServer connects to the server, through TLS and WebSocket as the
// transport wants.
func (l *link) dialServer(ctx context.Context) (net.Conn, error) {
	cfg := &l.p.cfg
	var d net.Dialer
	if cfg.LocalAddr != "" {
		local, err := net.ResolveTCPAddr("tcp", cfg.LocalAddr)
		if err != nil {
			return nil, err
		}
		d.LocalAddr = local
	}
	conn, err := d.DialContext(ctx, "tcp", cfg.Server)
	if err != nil {
		return nil, err
	}
	t := transports[cfg.Transport]
	host, _, _ := net.SplitHostPort(cfg.Server)
	if t.tls {
		config := cfg.TLS.Clone() // nil for nil
		if config == nil {
			config = new(tls.Config)
		}
		if config.ServerName == "" {
			config.ServerName = host
		}
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		conn = secure
	}
	if t.ws {
		return upgrade(ctx, conn, cfg.Server)
	}
	return conn, nil
}

// upgrade makes a WebSocket of conn (RFC 7118).
func upgrade(ctx context.Context, conn net.Conn, server string) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	dialer := ws.Dialer{Protocols: []string{"sip"}}
	buffered, handshake, err := dialer.Upgrade(
		conn,
		&url.URL{Scheme: "ws", Host: server, Path: "/"},
	)
	if err == nil && handshake.Protocol != "sip" {
		err = errors.New("the server does not speak the WebSocket subprotocol sip")
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("WebSocket: %w", err)
	}
	conn.SetDeadline(time.Time{})
	return newWebSocketConn(conn, buffered), nil
}

// route sets how a request leaves: from the phone's socket to next, a
// host:port that is empty for the server's, or down the connection whatever
// next is.
func (l *link) route(req *sip.Request, next string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream {
		req.SetTransport("TCP")
		req.SetDestination(l.server.String())
		return
	}
	if next == "" {
		next = l.server.String()
	}
	req.SetTransport("UDP")
	req.SetDestination(next)
	host, port := hostPort(l.packet.LocalAddr())
	req.Laddr = sip.Addr{IP: net.ParseIP(host), Port: port, Hostname: host}
}

// sentBy returns the address of the phone's end.
func (l *link) sentBy() (host string, port int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.packet != nil:
		return hostPort(l.packet.LocalAddr())
	case l.conn != nil:
		return hostPort(l.conn.LocalAddr())
	}
	return "localhost", 0
}

// listenUDP opens a socket at the address from which the server is reached.
func listenUDP(ctx context.Context, server, local string) (net.PacketConn, net.Addr, error) {
	var d net.Dialer
	probe, err := d.DialContext(ctx, "udp", server)
	if err != nil {
		return nil, nil, err
	}
	defer probe.Close()
	ip, _ := hostPort(probe.LocalAddr())
	port := "0"
	if local != "" {
		localIP, localPort, err := net.SplitHostPort(local)
		if err != nil {
			return nil, nil, fmt.Errorf("local address %q: %w", local, err)
		}
		if localPort != "" {
			port = localPort
		}
		if parsed := net.ParseIP(localIP); parsed != nil && !parsed.IsUnspecified() {
			ip = localIP
		}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, nil, fmt.Errorf("local address %q: %q is not a port", local, port)
	}
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(ctx, "udp", net.JoinHostPort(ip, port))
	return conn, probe.RemoteAddr(), err
}
