//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net/netip"
)

// A call: the caller's INVITE goes through the server to a registered phone,
// which rings and answers; ACK and BYE follow the Record-Route. The phone
// answers only when the caller has heard it ring, and the caller hangs up only
// when its ACK has arrived, so every message is seen at both ends.
const (
	callInvite = `
INVITE sip:{user}@example.com SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-i{id};rport
From: "Reception" <sip:101@example.com>;tag=f{id}
To: <sip:{user}@example.com>
Call-ID: {id}-3c2670
CSeq: 1 INVITE
Max-Forwards: 70
User-Agent: snomD385/10.1.141.13
Contact: <sip:101@127.0.0.1:{port};line={id}>;reg-id=1
Accept: application/sdp
Allow: INVITE, ACK, CANCEL, BYE, REFER, OPTIONS, NOTIFY, SUBSCRIBE, PRACK, MESSAGE, INFO, UPDATE
Supported: timer, replaces, from-change
Content-Type: application/sdp

` + offer

	// What follows the Request-URI in the caller's requests inside the dialog;
	// Route and To come from the 200.
	callInDialog = ` SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-b{id};rport
From: "Reception" <sip:101@example.com>;tag=f{id}
Call-ID: {id}-3c2670
Max-Forwards: 70
User-Agent: snomD385/10.1.141.13
`

	calleeText = "Allow: INVITE, ACK, CANCEL, BYE, REFER, OPTIONS, NOTIFY, SUBSCRIBE, PRACK, MESSAGE, INFO, UPDATE\r\n" +
		"User-Agent: snomD385/10.1.141.13"

	calleeSDP = "v=0\r\no=root 813284710 813284711 IN IP4 127.0.0.1\r\ns=call\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" +
		"m=audio 51216 RTP/AVP 9 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\n" +
		"a=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
)

// callState is how far a call has come.
type callState uint8

const (
	callInvited  callState = iota // The INVITE is under way.
	callOffered                   // The phone has it, and rings.
	callRinging                   // The caller has heard it; the phone answers.
	callAnswered                  // The caller has the 200; its ACK is under way.
	callEnding                    // The phone has the ACK; the caller's BYE is under way.
	callEnded                     // The phone has the BYE; its 200 is under way.
)

// call is calls between phones that the generator plays both of.
type call struct {
	runner  *runner
	server  netip.AddrPort
	callees []*socket
	users   int
	next    int
	slots   []callSlot
	msg     message
}

type callSlot struct {
	socket   *socket
	state    callState
	heard    bool // A provisional response has come.
	user     int
	contact  []byte // The callee's.
	invite   instance
	dialog   instance
	expected expected
	routes   []byte // The Record-Route values as the callee got them, one a line.
	ack      []byte
	bye      []byte
	// The callee's side: its responses, kept for when they have to go again.
	ringing []byte
	ok      []byte
	byeOK   []byte
}

// newCall prepares calls to the first users that newRegister registers on the
// same callees.
func newCall(r *runner, server netip.AddrPort, callers, callees []*socket, users, count int) *call {
	op := &call{runner: r, server: server, callees: callees, users: users, slots: make([]callSlot, count)}
	invite, dialog := callers[0].template(callInvite), callers[0].template(callInDialog)
	for i := range op.slots {
		s := &op.slots[i]
		s.socket = callers[i%len(callers)]
		s.invite = invite.instantiate(s.socket.port)
		s.dialog = dialog.instantiate(s.socket.port)
		s.expected = expect(s.invite.data, s.socket.port)
	}
	return op
}

func (op *call) start(slot int, seq uint32) {
	s := &op.slots[slot]
	s.state, s.heard = callInvited, false
	s.user = op.next
	op.next = (op.next + 1) % op.users
	callee := op.callee(s)
	s.contact = fmt.Appendf(s.contact[:0], "sip:%d@127.0.0.1:%d", firstUser+s.user, callee.port)
	if callee.stream {
		s.contact = append(s.contact, ";transport=tcp"...)
	}
	s.contact = fmt.Appendf(s.contact, ";line=l%d", firstUser+s.user)
	s.invite.setID(slot, seq)
	s.invite.set("user", uint64(firstUser+s.user))
	s.dialog.setID(slot, seq)
	s.socket.send(s.invite.data)
}

// callee is the socket of the phone that the slot calls.
func (op *call) callee(s *callSlot) *socket { return op.callees[s.user%len(op.callees)] }

// retry repeats what its sender would: the caller its INVITE until it has heard
// anything, its BYE until that is answered; the callee its responses.
func (op *call) retry(slot int) (sent bool) {
	s := &op.slots[slot]
	switch s.state {
	case callInvited:
		s.socket.send(s.invite.data)
	case callOffered:
		if !s.heard {
			s.socket.send(s.invite.data)
		}
		op.callee(s).send(s.ringing)
	case callRinging, callAnswered:
		op.callee(s).send(s.ok)
	case callEnding, callEnded:
		s.socket.send(s.bye)
	}
	return true
}

func (op *call) waiting(slot int) string {
	return [...]string{
		callInvited:  "the INVITE at the callee",
		callOffered:  "the 180 at the caller",
		callRinging:  "the 200 at the caller",
		callAnswered: "the ACK at the callee",
		callEnding:   "the BYE at the callee",
		callEnded:    "the 200 for the BYE at the caller",
	}[op.slots[slot].state]
}

func (op *call) receive(sock *socket, data []byte) {
	m := &op.msg
	if err := m.parse(data); err != nil {
		op.runner.fail("%v", data, err)
		return
	}
	// The caller's Via is at the bottom wherever the message is met, and every
	// message of a call has one.
	letter, slot, seq, ok := transactionOf(m.via[len(m.via)-1])
	if !ok || slot >= len(op.slots) {
		op.runner.fail("not part of any call", data)
		return
	}
	if !op.runner.current(slot, seq) {
		op.afterwards(sock, m)
		return
	}
	s := &op.slots[slot]
	var problem string
	if m.method != nil {
		problem = op.request(slot, s, sock, m)
	} else {
		problem = op.response(slot, s, sock, m, letter)
	}
	if problem != "" {
		op.runner.fail("%s", data, problem)
	}
}

// afterwards takes what arrives when its call has ended. A BYE that comes again
// is answered again, as the phone's server transaction would.
func (op *call) afterwards(sock *socket, m *message) {
	if m.method == nil {
		op.runner.late++
		return
	}
	op.runner.peerRetransmissions++
	if string(m.method) == "BYE" {
		sock.send(answer(nil, m, "200 Ok", calleeText))
	}
}

// response is the caller's side. It returns what is wrong, or "".
func (op *call) response(slot int, s *callSlot, sock *socket, m *message, letter byte) string {
	e := s.expected
	if letter == 'b' {
		e.cseq, e.method = 2, "BYE"
	}
	if problem := e.response(m); problem != "" {
		return problem
	}
	switch {
	case sock != s.socket:
		return "a response at another phone's socket"
	case letter == 'i' && m.status == 100:
		if !s.heard {
			op.runner.trying++
		}
		s.heard = true
		return ""
	case letter == 'i' && m.status == 180:
		if s.state != callOffered {
			op.runner.late++
			return ""
		}
		s.heard, s.state = true, callRinging
		op.runner.progress(slot)
		op.callee(s).send(s.ok)
		return s.checkDialog(m)
	case letter == 'i' && m.status == 200:
		return op.answered(slot, s, m)
	case letter == 'b' && m.status == 200:
		if s.state != callEnded {
			return "a 200 for a BYE that the phone has not seen"
		}
		op.runner.done(slot)
		return ""
	}
	return fmt.Sprintf("unexpected status %d", m.status)
}

// answered takes the 200 for the INVITE and sends the ACK. A 200 that comes
// again has it sent again (RFC 3261 §13.2.2.4).
func (op *call) answered(slot int, s *callSlot, m *message) string {
	switch {
	case s.state == callRinging:
	case s.state > callRinging:
		op.runner.late++
		s.socket.send(s.ack)
		return ""
	default:
		return "a 200 before the phone has answered"
	}
	s.ack = s.inDialog(s.ack[:0], m, 'a', "CSeq: 1 ACK")
	s.bye = s.inDialog(s.bye[:0], m, 'b', "CSeq: 2 BYE")
	s.state = callAnswered
	op.runner.progress(slot)
	s.socket.send(s.ack)
	switch {
	case len(m.contact) != 1 || !bytes.Equal(addrURI(m.contact[0]), s.contact):
		return "a 200 with another Contact"
	case string(m.body) != calleeSDP:
		return "a 200 with another body"
	}
	return s.checkDialog(m)
}

// checkDialog says what is wrong with the part of a response that makes the
// dialog: the tag is the callee's, the route set what the callee has seen.
func (s *callSlot) checkDialog(m *message) string {
	if tag, _ := param(m.to, "tag"); string(tag) != "answerer" {
		return "a To tag that is not the callee's"
	}
	if !bytes.Equal(bytes.Join(m.recordRoute, crlf), s.routes) {
		return "a Record-Route that is not what the callee has seen"
	}
	return ""
}

// inDialog appends a request inside the dialog that the 200 has made: to the
// remote target, by the route set in reverse (RFC 3261 §12.1.2, §12.2.1.1).
func (s *callSlot) inDialog(dst []byte, ok *message, letter byte, cseq string) []byte {
	method := cseq[len(cseq)-3:]
	target := s.contact
	if len(ok.contact) == 1 {
		target = addrURI(ok.contact[0])
	}
	dst = append(append(append(dst, method...), " "...), target...)
	start := len(dst)
	dst = append(dst, s.dialog.data[:len(s.dialog.data)-len(tail)]...)
	branch := bytes.Index(dst[start:], []byte(branchPrefix))
	dst[start+branch+len(branchPrefix)] = letter
	dst = append(dst, crlf...)
	for i := len(ok.recordRoute) - 1; i >= 0; i-- {
		dst = appendHeader(dst, "Route", ok.recordRoute[i])
	}
	dst = appendHeader(dst, "To", ok.to)
	return append(append(dst, cseq...), tail...)
}
