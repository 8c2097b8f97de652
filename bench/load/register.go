//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// registerText is what a desk phone sends to keep its registration: about 870
// bytes, credentials included. Neither server is asked to check those.
const registerText = `
REGISTER sip:example.com SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-r{id};rport
From: "Phone {user}" <sip:{aor}@example.com>;tag=f{user}
To: "Phone {user}" <sip:{aor}@example.com>
Call-ID: 3c26700c{user}-h7xv0kq2
CSeq: {cseq} REGISTER
Max-Forwards: 70
User-Agent: snomD385/10.1.141.13
Contact: <sip:{user}@127.0.0.1:{port};line=l{user}>;reg-id=1;+sip.instance="<urn:uuid:11aa22bb-33cc-44dd-8e5f-00041{user}>";audio;mobility="fixed";duplex="full"
Allow: INVITE, ACK, CANCEL, BYE, REFER, OPTIONS, NOTIFY, SUBSCRIBE, MESSAGE, INFO
Allow-Events: dialog
Supported: path
` + uncheckedAuthorization + `Expires: 3600
`

const uncheckedAuthorization = `Authorization: Digest username="{aor}",realm="example.com",nonce="d2f0cbd1a8c94ae9a4a16d0ab4c1b5e7",uri="sip:example.com",qop=auth,nc=00000001,cnonce="5ac1b9e2",response="0f9e5b1a2c8d47e6b3a1908f7d6c5e4b",algorithm=MD5
`

const registerExpires = 3600

// register keeps the registrations of a number of phones fresh. Every phone has
// one Contact, one Call-ID and a CSeq that grows (RFC 3261 §10.2), and its user
// the address-of-record: each its own, or several one.
type register struct {
	runner  *runner
	sockets []*socket
	digest  *digest // nil where the server asks for no credentials.
	perAOR  int
	cseq    []uint32 // Of each phone's last REGISTER, counted from firstCSeq.
	busy    []bool
	next    int
	slots   []registerSlot
	msg     message
}

type registerSlot struct {
	request instance
	sent    []byte // The request as it went out.
	// authorized is the memory of requests with credentials.
	authorized []byte
	letter     byte // In its branch.
	user       int
	expected   expected
	contact    []byte
}

// The letters in the branches of a REGISTER: the first one of an operation, and
// the one that answers a challenge.
const (
	letterRegister   = 'r'
	letterAuthorized = 'a'
)

// newRegister prepares the refreshing of users registrations, spread over the
// sockets, by count slots. With d the phones authenticate.
func newRegister(r *runner, sockets []*socket, users, count int, d *digest) *register {
	op := &register{
		runner: r, sockets: sockets, digest: d, perAOR: 1,
		cseq: make([]uint32, users), busy: make([]bool, users), slots: make([]registerSlot, count),
	}
	// A second run against the same server goes on with higher numbers.
	first := uint32(time.Now().UnixMilli() / 10 % 800_000_000)
	for i := range op.cseq {
		op.cseq[i] = first
	}
	text := registerText
	if d != nil {
		text = strings.Replace(text, uncheckedAuthorization, "", 1)
	}
	t := sockets[0].template(text)
	for i := range op.slots {
		in := t.instantiate(sockets[0].port)
		op.slots[i] = registerSlot{request: in, expected: expect(in.data, sockets[0].port), contact: contactOf(in.data)}
	}
	return op
}

func (op *register) start(slot int, seq uint32) {
	for op.busy[op.next] {
		op.next = (op.next + 1) % len(op.busy)
	}
	s := &op.slots[slot]
	s.user = op.next
	op.next = (op.next + 1) % len(op.busy)
	op.busy[s.user] = true
	s.expected.port = op.socket(s).port
	s.request.setID(slot, seq)
	s.request.set("port", uint64(s.expected.port))
	s.request.set("user", uint64(firstUser+s.user))
	s.request.set("aor", uint64(firstUser+s.user/op.perAOR))
	op.send(s, letterRegister)
}

// send sends the slot's REGISTER as a new transaction.
func (op *register) send(s *registerSlot, letter byte) {
	op.cseq[s.user]++
	s.expected.cseq = uint64(firstCSeq + op.cseq[s.user])
	s.request.set("cseq", s.expected.cseq)
	s.letter = letter
	branch := bytes.Index(s.request.data, []byte(branchPrefix))
	s.request.data[branch+len(branchPrefix)] = letter
	s.sent = s.request.data
	if op.digest != nil {
		s.sent = op.digest.authorize(s.authorized[:0], s.request.data, s.user)
		s.authorized = s.sent
	}
	op.socket(s).send(s.sent)
}

// socket is the user's phone.
func (op *register) socket(s *registerSlot) *socket { return op.sockets[s.user%len(op.sockets)] }

func (op *register) retry(slot int) (sent bool) {
	op.socket(&op.slots[slot]).send(op.slots[slot].sent)
	return true
}

func (op *register) waiting(int) string { return "the response to a REGISTER" }

func (op *register) receive(sock *socket, data []byte) {
	m := &op.msg
	if err := m.parse(data); err != nil {
		op.runner.fail("%v", data, err)
		return
	}
	letter, slot, seq, ok := transactionOf(m.via[0])
	if !ok || m.method != nil || letter != letterRegister && letter != letterAuthorized {
		op.runner.fail("not an answer to a REGISTER", data)
		return
	}
	if m.status < 200 {
		return
	}
	if !op.runner.current(slot, seq) || op.slots[slot].letter != letter {
		op.runner.late++
		return
	}
	s := &op.slots[slot]
	problem := op.check(s, sock, m)
	if problem == "" && m.status == 401 {
		if op.runner.measuring {
			op.runner.challenged++
		}
		op.send(s, letterAuthorized)
		op.runner.progress(slot)
		return
	}
	if problem != "" {
		op.runner.fail("%s", data, problem)
	}
	op.busy[s.user] = false
	op.runner.done(slot)
}

// check says what is wrong with a final response to the slot's REGISTER. Of
// several contacts the phone's own is to be the first: not all may fit.
func (op *register) check(s *registerSlot, sock *socket, m *message) string {
	switch problem := s.expected.response(m); {
	case problem != "":
		return problem
	case sock != op.socket(s):
		return "a response at another phone's socket"
	case m.status == 401 && op.digest != nil && s.letter == letterRegister:
		return op.digest.challenged(s.user, m)
	case m.status != 200:
		return fmt.Sprintf("status %d in place of 200", m.status)
	case len(m.contact) == 0, len(m.contact) > 1 && op.perAOR == 1:
		return fmt.Sprintf("%d Contacts in place of 1", len(m.contact))
	case !bytes.Equal(addrURI(m.contact[0]), s.contact):
		return "another phone's Contact"
	}
	text, _ := param(m.contact[0], "expires")
	expires, err := strconv.Atoi(string(text))
	if err != nil || expires > registerExpires || expires < registerExpires-10 {
		return fmt.Sprintf("expires=%q in place of %d", text, registerExpires)
	}
	return ""
}
