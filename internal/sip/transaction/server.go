package transaction

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// ServerHandler is told what happens to a server transaction.
type ServerHandler interface {
	// OnCancel tells that the client has cancelled the INVITE, which no final response has answered yet. The CANCEL
	// has been answered; the INVITE has not: that is for the handler to do (RFC 3261 §9.2, §16.10). It comes once at
	// most.
	OnCancel(s *Server, out *transport.Outbox)
	// OnTerminated tells the end, exactly once: nil if all is well, ErrTimeout if no ACK came for a final response to
	// an INVITE or no final response was given to another request, an error of the transport, or ErrClosed.
	OnTerminated(s *Server, err error)
}

// Server is a server transaction (RFC 3261 §17.2).
type Server struct {
	core
	handler ServerHandler
	toTag   []byte
	source  netip.AddrPort // where a CANCEL has to come from
	request int            // bytes of the request, which whoever forwards it keeps until it is answered
	status  int16
	invite  bool
	gone    bool // cancelled
}

// UnprovenRetransmits is how often a message is sent again, at most, to a UDP address of which Options.Proven says no: one forged datagram must
// not make us send a volley to whoever's address it bears. RFC 3261 §17.2.1 would have the final response to an INVITE sent again ten times when no
// ACK comes, and so does the phone whose 2xx we pass on (§13.3.1.4).
const UnprovenRetransmits = 3

// NewServer makes the server transaction of a request for which Request said false. On UDP responses go to dst, which
// m.ResponseAddr gives, from the address that the request was sent to; a stream answers on its connection. toTag is
// what the 200 to a CANCEL has as To tag: the one that the handler uses. h may be nil.
//
// Whoever makes one answers it. A request that is no INVITE and has no final response after 64*T1 ends with
// ErrTimeout: its client has given up by then (RFC 4320 §4.2). An INVITE may ring as long as it takes.
func (t *Table) NewServer(m *wire.Message, flow transport.Flow, dst netip.AddrPort, toTag []byte, h ServerHandler) (*Server, error) {
	if m.IsResponse || m.Method == wire.ACK || m.Method == wire.CANCEL {
		return nil, fmt.Errorf("%s has no server transaction of its own", m.MethodName())
	}
	var room [keyRoom]byte
	key := appendServerKey(room[:0], m)
	text := make([]byte, 0, len(key)+len(toTag))
	text = append(append(text, key...), toTag...)
	s := &Server{handler: h, source: flow.Remote, toTag: text[len(key):], invite: m.Method == wire.INVITE}
	s.account = t.account(flow.Remote.Addr())
	s.request = len(m.Raw)
	s.held = s.request
	if flow.Network == transport.UDP && !m.Via.HasRPort {
		s.source = anyPort(flow.Remote)
	}
	s.key = text[:len(key):len(key)]
	s.flow = flow
	if !flow.Network.Reliable() {
		s.flow.Remote = dst
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.start(t, s, true); err != nil {
		return nil, err
	}
	if s.invite {
		s.state = proceeding
	} else {
		s.due = t.wheel.now() + 64*t.opts.T1
	}
	s.arm()
	return s, nil
}

// Status returns the status of the last response sent, 0 before the first.
func (s *Server) Status() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.status)
}

// Respond sends a response, which b is the whole of, and answers retransmissions of the request with it from then on.
// With out, b must stay as it is until the batch is flushed, as Outbox.Send says; without, it is sent at once and is
// the caller's again.
//
// After a final response the error is ErrState and nothing changes, except that any number of 2xx to an INVITE may
// follow the first: sending those again until the ACK comes is the work of whoever made them (RFC 6026 §7.1).
// What is over UnprovenRetransmits of those is dropped in silence. When the client reads too slowly to be sent anything, a
// response counts as sent and lost, but for a final one other than 2xx to an INVITE, which is tried again: nobody else does
// that. After another error of the transport, which is returned, the transaction ends.
func (s *Server) Respond(b []byte, status int, out *transport.Outbox) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	success := status >= 200 && status < 300
	if s.state > accepted || s.state == accepted && !success {
		return ErrState
	}
	if s.state == accepted && !s.more() {
		s.table.opts.Count(Absorbed)
		return nil
	}
	err := s.table.send(s.flow, b, out)
	full := errors.Is(err, transport.ErrQueueFull)
	if err != nil && !full {
		if s.state != accepted { // RFC 6026 §7.1
			s.endSoon(s, err)
		}
		return err
	}
	s.status = int16(status)
	if s.state == accepted {
		return nil
	}
	// The peer of a reliable transport never asks again, so nothing is kept for it.
	reliable := s.flow.Network.Reliable()
	var message []byte
	if (!reliable || full && status >= 200) && !(s.invite && success) {
		message = bytes.Clone(b)
	}
	s.keep(message)
	if status < 200 {
		s.state = proceeding
		return nil
	}
	if !(s.invite && success) { // further ones may follow
		s.hold(-s.request)
	}
	now, o := s.table.wheel.now(), &s.table.opts
	s.due = now + 64*o.T1 // timers H, J and L
	if s.invite && !reliable && !o.Proven(s.flow) {
		s.left = UnprovenRetransmits
	}
	switch {
	case s.invite && success:
		s.state = accepted
	case s.invite:
		s.state = completed
		if !reliable || full {
			s.interval = o.T1
			s.resend = now + o.T1 // timer G
		}
	default:
		s.state = completed
		switch {
		case full:
			s.interval = o.T1
			s.resend = now + o.T1
		case reliable:
			s.due = now
		}
	}
	s.arm()
	return nil
}

// more tells whether another 2xx may be sent.
func (s *Server) more() bool {
	if s.left <= 0 {
		return s.left == 0
	}
	if s.left--; s.left == 0 {
		s.left = -1 // 0 is no limit
	}
	return true
}

// Terminate ends the transaction at once, answered or not. The handler is told.
func (s *Server) Terminate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endSoon(s, nil)
}

// again answers a retransmission with the last response. Where the 2xx to an INVITE or nothing was sent, it is
// absorbed in silence.
func (s *Server) again(out *transport.Outbox) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == terminated {
		return false
	}
	s.table.opts.Count(Absorbed)
	if s.message != nil {
		if err := s.table.send(s.flow, s.message, out); err != nil && !errors.Is(err, transport.ErrQueueFull) {
			s.endSoon(s, err)
		}
	}
	return true
}

func (s *Server) ack(m *wire.Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case accepted, terminated:
		return false // RFC 6026 §7.1: an ACK to a 2xx is for the layer above
	case completed:
		if s.key[0] == rfc2543Key && !s.acknowledges(m) {
			return false
		}
		s.keep(nil)
		s.state, s.resend = confirmed, 0
		s.due = s.table.wheel.now()
		if !s.flow.Network.Reliable() {
			s.due += s.table.opts.T4 // timer I
		}
		s.arm()
	}
	s.table.opts.Count(Absorbed)
	return true
}

// acknowledges tells whether the ACK has the To tag of the response, which RFC 3261 §17.2.3 asks where no branch
// tells.
func (s *Server) acknowledges(ack *wire.Message) bool {
	if s.message == nil {
		return true
	}
	response, err := parse(bytes.Clone(s.message))
	if err != nil {
		return true
	}
	defer release(response)
	return bytes.Equal(response.ToTag(), ack.ToTag())
}

// anyPort has port 0, which no packet comes from.
func anyPort(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), 0) }

// cancels tells whether a CANCEL comes from where the INVITE came from. RFC 3261 §9.2 asks for the branch alone, and a caller's
// branch need not be hard to guess: whoever knows it could end other people's calls. The INVITE's Via says what stays the same: with rport
// the client sends from one socket (RFC 3581 §3), without it may use another for each request.
func (s *Server) cancels(flow transport.Flow) bool {
	from := flow.Remote
	if s.source.Port() == 0 {
		from = anyPort(from)
	}
	return from == s.source && flow.Network == s.flow.Network && flow.Conn == s.flow.Conn
}

// cancel answers a CANCEL and tells the handler (RFC 3261 §9.2). One that does not come from where the INVITE came from is for nothing that
// we know.
func (s *Server) cancel(m *wire.Message, flow transport.Flow, out *transport.Outbox) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == terminated {
		return false
	}
	if !s.cancels(flow) {
		s.table.opts.Count(Spoofed)
		return false
	}
	source := flow.Remote
	if !flow.Network.Reliable() {
		flow.Remote = m.ResponseAddr(source)
	}
	ok := m.AppendResponse(buffer(out), 200, "OK", source, &wire.ResponseOptions{ToTag: s.toTag})
	// If the 200 gets lost the CANCEL comes again.
	_ = s.table.send(flow, ok, out)
	if s.gone || s.state != proceeding {
		s.table.opts.Count(Absorbed)
		return true
	}
	s.gone = true
	s.deliver(s, event{kind: cancelled}, out)
	return true
}

func (s *Server) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.table.wheel.now()
	switch {
	case s.state == terminated:
	case s.due != 0 && now >= s.due:
		var err error
		if s.state <= proceeding || s.invite && s.state == completed {
			err = ErrTimeout
		}
		s.end(s, err)
	default:
		again := s.resend != 0 && now >= s.resend
		err := s.retransmit(now, min(2*s.interval, s.table.opts.T2))
		switch {
		case err == nil && again && s.flow.Network.Reliable():
			s.sent(now)
		case err != nil && !errors.Is(err, transport.ErrQueueFull):
			s.end(s, err)
			s.report(s)
			return
		}
		s.arm()
		return
	}
	s.report(s)
}

// sent ends the repetitions of a response that there was no room for on the connection.
func (s *Server) sent(now time.Duration) {
	s.keep(nil)
	s.resend = 0
	if !s.invite {
		s.due = now
	}
}

func (s *Server) call(e event, out *transport.Outbox) {
	h := s.handler
	if h == nil {
		return
	}
	s.mu.Unlock()
	defer s.mu.Lock()
	defer s.table.recovered()
	if e.kind == cancelled {
		h.OnCancel(s, out)
	} else {
		h.OnTerminated(s, e.err)
	}
}
