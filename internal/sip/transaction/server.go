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

// ServerHandler is told what happens to a server transaction. The package documentation says how it
// is called.
type ServerHandler interface {
	// OnCancel is called, once at most, when the client cancels an INVITE that has no final
	// response yet. The CANCEL has been answered; to answer the INVITE is up to the handler (RFC
	// 3261 §9.2, §16.10).
	OnCancel(s *Server, out *transport.Outbox)
	// OnTerminated is called exactly once, when the transaction ends. err is nil if all is well;
	// ErrTimeout if no ACK came for a final response to an INVITE, or if another request got no
	// final response; an error of the transport; or ErrClosed.
	OnTerminated(s *Server, err error)
}

// Server is a server transaction (RFC 3261 §17.2).
type Server struct {
	core
	handler     ServerHandler
	toTag       []byte
	source      netip.AddrPort // where a CANCEL must come from; port 0: any port
	requestSize int            // bytes of the request: a proxy keeps it until it is answered
	status      int16
	invite      bool
	cancelled   *reason // of the CANCEL that came; nil: none
}

// UnvalidatedRetransmits is how often, at most, a message is sent again to a UDP address that is
// not validated (Options.Validated). One forged datagram must not make the server send a volley to
// the host whose address it bears. RFC 3261 §17.2.1 would have the final response to an INVITE sent
// again ten times when no ACK comes, and so does the phone whose 2xx a proxy forwards (§13.3.1.4).
const UnvalidatedRetransmits = 3

// NewServer makes the server transaction of a request for which Request has returned false. Over
// UDP, responses go to dst, which m.ResponseAddr returns, from the address that the request was
// sent to; over a stream they go down its connection. toTag is the To tag of the 200 to a CANCEL,
// the same that the handler uses. h may be nil.
//
// Whoever makes a transaction must answer it. A request other than INVITE without a final response
// ends with ErrTimeout after 64*T1: by then its client has given up (RFC 4320 §4.2). An INVITE may
// ring as long as it takes.
func (t *Table) NewServer(
	m *wire.Message, flow transport.Flow, dst netip.AddrPort, toTag []byte, h ServerHandler,
) (*Server, error) {
	if m.IsResponse || m.Method == wire.ACK || m.Method == wire.CANCEL {
		return nil, fmt.Errorf("%s has no server transaction of its own", m.MethodName())
	}
	var buf [keyBufSize]byte
	key := appendServerKey(buf[:0], m)
	text := make([]byte, 0, len(key)+len(toTag))
	text = append(append(text, key...), toTag...)
	s := &Server{handler: h, source: flow.Remote, toTag: text[len(key):], invite: m.Method == wire.INVITE}
	s.account = t.account(flow.Remote.Addr())
	s.requestSize = len(m.Raw)
	s.messageBytes = s.requestSize
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

// Tell has h told too, after those who are told already. It returns false, and h is not told, when
// the client has cancelled the request or the transaction has ended.
func (s *Server) Tell(h ServerHandler) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancelled != nil || s.state == terminated {
		return false
	}
	if s.handler == nil {
		s.handler = h
	} else {
		s.handler = handlers{s.handler, h}
	}
	return true
}

// Forget has h told no more.
func (s *Server) Forget(h ServerHandler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = without(s.handler, h)
}

// without returns what remains of all when h is taken out, nil if that is nothing.
func without(all, h ServerHandler) ServerHandler {
	both, ok := all.(handlers)
	switch {
	case all == h:
		return nil
	case !ok:
		return all
	}
	both.first, both.second = without(both.first, h), without(both.second, h)
	switch {
	case both.first == nil:
		return both.second
	case both.second == nil:
		return both.first
	}
	return both
}

// handlers are two of which one is told after the other, though the first panics.
type handlers struct{ first, second ServerHandler }

func (h handlers) OnCancel(s *Server, out *transport.Outbox) {
	defer h.second.OnCancel(s, out)
	h.first.OnCancel(s, out)
}

func (h handlers) OnTerminated(s *Server, err error) {
	defer h.second.OnTerminated(s, err)
	h.first.OnTerminated(s, err)
}

// Status returns the status of the last response that was sent, 0 before the first.
func (s *Server) Status() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.status)
}

// Respond sends a response, whose bytes are b, and from then on answers retransmissions of the
// request with it. With out, b must not change until the batch is flushed (Outbox.Send); without
// out it is sent at once, and b belongs to the caller again.
//
// After a final response Respond returns ErrState and changes nothing, except that any number of
// 2xx to an INVITE may follow the first: sending those again until the ACK comes is the work of
// whoever made them (RFC 6026 §7.1). To an address that is not validated, those beyond
// UnvalidatedRetransmits are dropped without an error.
//
// When the client reads too slowly to be sent anything, a response counts as sent and lost. Only a
// final response other than 2xx to an INVITE is tried again, because nobody else does that. After
// any other error of the transport, which Respond returns, the transaction ends.
func (s *Server) Respond(b []byte, status int, out *transport.Outbox) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	success := status >= 200 && status < 300
	if s.state > accepted || s.state == accepted && !success {
		return ErrState
	}
	if s.state == accepted && !s.takeRetransmit() {
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
	if !(s.invite && success) { // more 2xx may follow
		s.hold(-s.requestSize)
	}
	now, o := s.table.wheel.now(), &s.table.opts
	s.due = now + 64*o.T1 // timers H, J and L
	if s.invite && !reliable && !o.Validated(s.flow) {
		s.retransmitsLeft = UnvalidatedRetransmits
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

// takeRetransmit reports whether another 2xx may be sent, and counts it.
func (s *Server) takeRetransmit() bool {
	if s.retransmitsLeft <= 0 {
		return s.retransmitsLeft == 0
	}
	if s.retransmitsLeft--; s.retransmitsLeft == 0 {
		s.retransmitsLeft = -1 // 0 is no limit
	}
	return true
}

// Terminate ends the transaction at once, answered or not. OnTerminated is called with nil.
func (s *Server) Terminate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endSoon(s, nil)
}

// resendLast answers a retransmission of the request with the last response. If that was a 2xx to
// an INVITE, or if nothing was sent yet, the retransmission is absorbed.
func (s *Server) resendLast(out *transport.Outbox) bool {
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
		return false // the ACK for a 2xx is for the layer above (RFC 6026 §7.1)
	case completed:
		if s.key[0] == rfc2543Key && !s.isACKOfResponse(m) {
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

// isACKOfResponse reports whether the ACK has the To tag of the response, which RFC 3261 §17.2.3
// asks for where the branch does not identify the transaction.
func (s *Server) isACKOfResponse(ack *wire.Message) bool {
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

// anyPort returns the address with port 0, which no packet comes from.
func anyPort(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), 0) }

// mayCancel reports whether a CANCEL that came over flow comes from where the INVITE came from. RFC
// 3261 §9.2 only asks for the same branch, and a caller's branch need not be hard to guess: whoever
// knows it could end other people's calls. The Via of the INVITE says what stays the same: with
// rport the client sends from one socket (RFC 3581 §3), without rport it may use another for each
// request.
func (s *Server) mayCancel(flow transport.Flow) bool {
	from := flow.Remote
	if s.source.Port() == 0 {
		from = anyPort(from)
	}
	return from == s.source && flow.Network == s.flow.Network && flow.Conn == s.flow.Conn
}

// cancel answers a CANCEL and tells the handler (RFC 3261 §9.2). It returns false for one that does
// not come from where the INVITE came from.
func (s *Server) cancel(m *wire.Message, flow transport.Flow, out *transport.Outbox) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == terminated {
		return false
	}
	if !s.mayCancel(flow) {
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
	if s.cancelled != nil || s.state != proceeding {
		s.table.opts.Count(Absorbed)
		return true
	}
	s.cancelled = reasonOf(m)
	s.hold(len(*s.cancelled))
	s.deliver(s, event{kind: cancelEvent}, out)
	return true
}

// maxReason is how long the Reason lines of a CANCEL are, in bytes, that are kept.
const maxReason = 512

// reasonOf returns a copy of the Reason lines of a CANCEL (RFC 3326), as far as they are of use.
func reasonOf(m *wire.Message) *reason {
	var lines reason
	for it := m.Lines("Reason"); it.Next(); {
		if len(lines)+len(it.Value()) > maxReason {
			break
		}
		lines = wire.AppendHeader(lines, "Reason", it.Value())
	}
	return &lines
}

// CancelReason returns the Reason lines of the CANCEL that came for the INVITE (RFC 3326), nil when
// there were none. It is for OnCancel.
func (s *Server) CancelReason() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancelled == nil {
		return nil
	}
	return *s.cancelled
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
			s.delivered(now)
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

// delivered ends the repetitions of a response for which the connection had no room before.
func (s *Server) delivered(now time.Duration) {
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
	if e.kind == cancelEvent {
		h.OnCancel(s, out)
	} else {
		h.OnTerminated(s, e.err)
	}
}
