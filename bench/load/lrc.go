//go:build linux

package main

import (
	"bytes"
	"fmt"
	"hash/maphash"
)

// The tutorial: a Snom phone dials 433, is told that this is not a call, and
// its key 2 begins to blink.
const (
	lrcInvite = `
INVITE sip:433@example.com;user=phone SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-i{id};rport
From: "Reception" <sip:101@example.com>;tag=f{id}
To: <sip:433@example.com;user=phone>
Call-ID: {id}-3c2670
CSeq: 1 INVITE
Max-Forwards: 70
User-Agent: snom370/8.7.5.35
Contact: <sip:101@127.0.0.1:{port};line={id}>;reg-id=1
X-Serialnumber: 000413000000
P-Key-Flags: keys="3"
Accept: application/sdp
Allow: INVITE, ACK, CANCEL, BYE, REFER, OPTIONS, NOTIFY, SUBSCRIBE, PRACK, MESSAGE, INFO, UPDATE
Allow-Events: talk, hold, refer, call-info
Supported: timer, 100rel, replaces, from-change
Session-Expires: 3600
Min-SE: 90
Content-Type: application/sdp

` + offer

	// The ACK of a refusal has the branch of its INVITE (RFC 3261 §17.1.1.3);
	// the tag of its To comes from the response.
	lrcAck = `ACK sip:433@example.com;user=phone SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-i{id};rport
From: "Reception" <sip:101@example.com>;tag=f{id}
Call-ID: {id}-3c2670
CSeq: 1 ACK
Max-Forwards: 70
Contact: <sip:101@127.0.0.1:{port};line={id}>;reg-id=1
`

	lrcBody = "k=2\r\nc=hold\r\nn=432\r\na=invite\r\nl=Light is hold"
	lrcTo   = "sip:433@example.com;user=phone"
	lrcFrom = "sip:server@127.0.0.1"

	offer = `v=0
o=root 1427163491 1427163491 IN IP4 127.0.0.1
s=call
c=IN IP4 127.0.0.1
t=0 0
m=audio 58646 RTP/AVP 9 0 8 101
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=sendrecv
`
)

// lrc is Snom's LED remote control by way of a dialled number.
type lrc struct {
	runner *runner
	// again allows a second MESSAGE for an INVITE that was repeated: what the
	// tutorial's configuration does, for it keeps no transaction.
	again bool
	slots []lrcSlot
	msg   message
}

type lrcSlot struct {
	socket   *socket
	invite   instance
	ack      instance
	ackData  []byte
	ok       []byte
	expected expected
	contact  []byte
	refused  bool // The 404 has come.
	told     bool // The MESSAGE has come.
	repeated bool // The INVITE has been sent more than once.
	recent   [recentMessages]recentMessage
}

// recentMessage remembers the MESSAGE that came for one INVITE, by its branch:
// the server repeats it when it has not read the 200 in time, and by then the
// phone may have dialled many times more.
type recentMessage struct {
	seq      uint32
	branch   uint64
	repeated bool // So was the INVITE.
}

const recentMessages = 256

var branchSeed = maphash.MakeSeed()

func newLRC(r *runner, sockets []*socket, again bool, count int) *lrc {
	op := &lrc{runner: r, again: again, slots: make([]lrcSlot, count)}
	invite, ack := sockets[0].template(lrcInvite), sockets[0].template(lrcAck)
	for i := range op.slots {
		s := &op.slots[i]
		s.socket = sockets[i%len(sockets)]
		s.invite = invite.instantiate(s.socket.port)
		s.ack = ack.instantiate(s.socket.port)
		s.expected = expect(s.invite.data, s.socket.port)
		s.contact = contactOf(s.invite.data)
	}
	return op
}

func (op *lrc) start(slot int, seq uint32) {
	s := &op.slots[slot]
	s.refused, s.told, s.repeated = false, false, false
	s.invite.setID(slot, seq)
	s.ack.setID(slot, seq)
	s.socket.send(s.invite.data)
}

// retry repeats the INVITE until it is refused. After that it is for the
// server to repeat its MESSAGE.
func (op *lrc) retry(slot int) (sent bool) {
	s := &op.slots[slot]
	if s.refused {
		return false
	}
	s.repeated = true
	s.socket.send(s.invite.data)
	return true
}

func (op *lrc) waiting(slot int) string {
	if op.slots[slot].refused {
		return "the MESSAGE"
	}
	return "the response to an INVITE"
}

func (op *lrc) receive(sock *socket, data []byte) {
	m := &op.msg
	if err := m.parse(data); err != nil {
		op.runner.fail("%v", data, err)
		return
	}
	if m.method != nil {
		op.request(sock, m, data)
		return
	}
	letter, slot, seq, ok := transactionOf(m.via[0])
	if !ok || letter != 'i' {
		op.runner.fail("not an answer to an INVITE", data)
		return
	}
	if m.status < 200 {
		return
	}
	if !op.runner.current(slot, seq) {
		op.runner.late++
		return
	}
	s := &op.slots[slot]
	problem := s.expected.response(m)
	if problem == "" && (m.status != 404 || string(m.reason) != "Not a call") {
		problem = fmt.Sprintf("%d %q in place of 404 \"Not a call\"", m.status, m.reason)
	}
	if problem != "" {
		op.runner.fail("%s", data, problem)
	}
	s.sendAck(m)
	if s.refused {
		op.runner.late++ // A second 404: right if something was retransmitted.
		return
	}
	s.refused = true
	op.runner.progress(slot)
	if s.told {
		op.runner.done(slot)
	}
}

// sendAck completes the ACK with the To of the refusal.
func (s *lrcSlot) sendAck(refusal *message) {
	head := s.ack.data[:len(s.ack.data)-len(tail)]
	s.ackData = append(s.ackData[:0], head...)
	s.ackData = append(append(s.ackData, "\r\nTo: "...), refusal.to...)
	s.ackData = append(s.ackData, tail...)
	s.socket.send(s.ackData)
}

// request takes the MESSAGE. Its Request-URI says which INVITE it is for.
func (op *lrc) request(sock *socket, m *message, data []byte) {
	_, line, _ := bytes.Cut(m.uri, []byte(";line="))
	slot, seq, ok := readID(line)
	if !ok || slot >= len(op.slots) || string(m.method) != "MESSAGE" {
		op.runner.fail("a request that nobody asked for", data)
		return
	}
	s := &op.slots[slot]
	branch, _ := param(m.via[0], "branch")
	hash := maphash.Bytes(branchSeed, branch)
	before := &s.recent[seq%recentMessages]
	switch {
	case s.socket != sock:
		op.runner.fail("a MESSAGE at another phone's socket", data)
		return
	case before.seq == seq && (before.branch == hash || before.repeated && op.again):
		op.runner.peerRetransmissions++
		s.socket.send(answer(nil, m, "200 Ok", ""))
		return
	case before.seq == seq || !op.runner.current(slot, seq):
		op.runner.fail("a second MESSAGE for one INVITE", data)
		return
	}
	if problem := s.check(m); problem != "" {
		op.runner.fail("%s", data, problem)
	}
	*before = recentMessage{seq, hash, s.repeated}
	s.told = true
	s.ok = answer(s.ok[:0], m, "200 Ok", "")
	s.socket.send(s.ok)
	if s.refused {
		op.runner.done(slot)
	}
}

// check says what is wrong with the MESSAGE for the slot's INVITE.
func (s *lrcSlot) check(m *message) string {
	branch, _ := param(m.via[0], "branch")
	tag, _ := param(m.from, "tag")
	toTag, _ := param(m.to, "tag")
	switch {
	case !s.refused:
		return "a MESSAGE before the response to the INVITE"
	case !bytes.Equal(m.uri, s.contact):
		return "a Request-URI that is not the INVITE's Contact"
	case len(m.via) != 1 || !bytes.HasPrefix(branch, []byte("z9hG4bK")):
		return "a MESSAGE without exactly one Via and an RFC 3261 branch"
	case string(addrURI(m.to)) != lrcTo || len(toTag) > 0:
		return "a To that is not the INVITE's, or with a tag"
	case string(addrURI(m.from)) != lrcFrom || len(tag) == 0:
		return "a From that is not " + lrcFrom + " with a tag"
	case string(m.cseqMethod) != "MESSAGE" || len(m.callID) == 0:
		return "a bad CSeq or Call-ID"
	case m.maxForwards == nil:
		return "no Max-Forwards"
	case string(m.contentType) != "application/x-buttons":
		return "a Content-Type that is not application/x-buttons"
	case string(m.body) != lrcBody:
		return fmt.Sprintf("body %q in place of %q", m.body, lrcBody)
	}
	return ""
}
