//go:build linux

package main

import "fmt"

// optionsText asks about a user that nobody has registered, as a monitor does.
const optionsText = `
OPTIONS sip:nobody@example.com SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-o{id};rport
From: <sip:monitor@example.com>;tag=f{id}
To: <sip:nobody@example.com>
Call-ID: {id}@monitor.example.com
CSeq: {cseq} OPTIONS
Max-Forwards: 70
Contact: <sip:monitor@127.0.0.1:{port}>
Accept: application/sdp
User-Agent: monitor/1.0
`

// options asks and wants one status for an answer.
type options struct {
	runner *runner
	status int
	slots  []optionsSlot
	msg    message
}

type optionsSlot struct {
	socket   *socket
	request  instance
	expected expected
}

func newOptions(r *runner, sockets []*socket, status, count int) *options {
	op := &options{runner: r, status: status, slots: make([]optionsSlot, count)}
	t := sockets[0].template(optionsText)
	for i := range op.slots {
		s := &op.slots[i]
		s.socket = sockets[i%len(sockets)]
		s.request = t.instantiate(s.socket.port)
		s.request.set("cseq", firstCSeq)
		s.expected = expect(s.request.data, s.socket.port)
	}
	return op
}

func (op *options) start(slot int, seq uint32) {
	s := &op.slots[slot]
	s.request.setID(slot, seq)
	s.socket.send(s.request.data)
}

func (op *options) retry(slot int) (sent bool) {
	op.slots[slot].socket.send(op.slots[slot].request.data)
	return true
}

func (op *options) waiting(int) string { return "the response to an OPTIONS" }

func (op *options) receive(sock *socket, data []byte) {
	m := &op.msg
	if err := m.parse(data); err != nil {
		op.runner.fail("%v", data, err)
		return
	}
	letter, slot, seq, ok := transactionOf(m.via[0])
	if !ok || m.method != nil || letter != 'o' {
		op.runner.fail("not an answer to an OPTIONS", data)
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
	if problem == "" && m.status != op.status {
		problem = fmt.Sprintf("status %d in place of %d", m.status, op.status)
	}
	if problem == "" && sock != s.socket {
		problem = "a response at another phone's socket"
	}
	if problem != "" {
		op.runner.fail("%s", data, problem)
	}
	op.runner.done(slot)
}
