//go:build linux

package main

import (
	"bytes"
	"fmt"
)

// request is the callee's side of a call: the phone that is registered. It
// returns what is wrong with the request, or "".
func (op *call) request(slot int, s *callSlot, sock *socket, m *message) string {
	if sock != op.callee(s) {
		return "a request at another phone's socket"
	}
	switch string(m.method) {
	case "INVITE":
		return op.invited(slot, s, sock, m)
	case "ACK":
		if s.state != callAnswered {
			op.runner.late++
			return ""
		}
		s.state = callEnding
		op.runner.progress(slot)
		s.socket.send(s.bye)
		return op.checkForwarded(s, m, 'a', 1)
	case "BYE":
		if s.state != callEnding {
			op.runner.peerRetransmissions++
			sock.send(s.byeOK)
			return ""
		}
		s.state = callEnded
		s.byeOK = answer(s.byeOK[:0], m, "200 Ok", calleeText)
		sock.send(s.byeOK)
		return op.checkForwarded(s, m, 'b', 2)
	}
	return "a request that nobody asked for"
}

// invited rings. The answer waits until the caller has heard it.
func (op *call) invited(slot int, s *callSlot, sock *socket, m *message) string {
	if s.state != callInvited {
		op.runner.peerRetransmissions++
		sock.send(s.ringing)
		return ""
	}
	s.routes = append(s.routes[:0], bytes.Join(m.recordRoute, crlf)...)
	contact := "Contact: <" + string(s.contact) + ">\r\n" + calleeText
	s.ringing = answer(s.ringing[:0], m, "180 Ringing", contact)
	s.ok = answer(s.ok[:0], m, "200 Ok", contact+"\r\nContent-Type: application/sdp\r\n\r\n"+calleeSDP)
	s.state = callOffered
	op.runner.progress(slot)
	sock.send(s.ringing)

	if problem := op.checkForwarded(s, m, 'i', 1); problem != "" {
		return problem
	}
	if len(m.recordRoute) != 1 {
		return fmt.Sprintf("%d Record-Route values in place of 1", len(m.recordRoute))
	}
	// RFC 3261 §16.6 step 4: a SIP URI of the proxy with lr.
	route := addrURI(m.recordRoute[0])
	if !bytes.HasPrefix(route, []byte("sip:")) || !bytes.Contains(route, []byte(op.server.String())) ||
		!bytes.Contains(route, []byte(";lr")) {
		return "a Record-Route that is not a loose route to the server"
	}
	if tag, tagged := param(m.to, "tag"); tagged {
		return fmt.Sprintf("an INVITE with the To tag %q", tag)
	}
	if !bytes.Equal(addrURI(m.contact[0]), contactOf(s.invite.data)) {
		return "an INVITE whose Contact is not the caller's"
	}
	if body := s.invite.data[bytes.Index(s.invite.data, []byte("\r\n\r\n"))+4:]; !bytes.Equal(m.body, body) {
		return "an INVITE whose body is not the caller's"
	}
	return ""
}

// checkForwarded says what is wrong with how the server has forwarded one of
// the caller's requests.
func (op *call) checkForwarded(s *callSlot, m *message, letter byte, cseq uint64) string {
	if len(m.via) != 2 {
		return fmt.Sprintf("%d Vias in place of 2", len(m.via))
	}
	branch, _ := param(m.via[0], "branch")
	sent, _, _, _ := transactionOf(m.via[1])
	rport, _ := param(m.via[1], "rport")
	tag, _ := param(m.from, "tag")
	toTag, _ := param(m.to, "tag")
	proto := "SIP/2.0/UDP "
	if s.socket.stream {
		proto = "SIP/2.0/TCP "
	}
	switch {
	case !bytes.Equal(m.uri, s.contact):
		return "a Request-URI that is not the registered Contact"
	case !bytes.HasPrefix(m.via[0], []byte(proto+op.server.String())) || !bytes.HasPrefix(branch, []byte("z9hG4bK")):
		return "a Via of the server's that is not its address with an RFC 3261 branch"
	case sent != letter || !isNumber(rport, s.socket.port):
		return "a Via of the caller's that is not as it was sent, with rport filled"
	case len(m.route) != 0:
		return "a Route that should have been taken off"
	case string(m.maxForwards) != "69":
		return "Max-Forwards is not 69"
	case !bytes.Equal(m.callID, s.expected.callID) || !bytes.Equal(tag, s.expected.fromTag):
		return "another Call-ID or From tag"
	case letter != 'i' && string(toTag) != "answerer":
		return "a To tag that is not the callee's"
	case m.cseq != cseq || !bytes.Equal(m.cseqMethod, m.method):
		return "another CSeq"
	}
	return ""
}
