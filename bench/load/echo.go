//go:build linux

package main

import (
	"bytes"
	"fmt"
	"slices"
)

// echo sends the datagrams that the phones of another operation send to a
// server, one after the other, and wants each back as it was. Its figure is
// what the kernel asks for the same traffic with nothing done to it.
type echo struct {
	runner *runner
	slots  []echoSlot
}

type echoSlot struct {
	socket *socket
	at     int
	texts  []instance
}

// echoed gives, for each operation, what its phones send.
var echoed = map[string][]string{
	"register": {registerText},
	"options":  {optionsText},
	"lrc":      {lrcInvite, lrcAck, lrcMessageOK},
	"call":     {callInvite, callRelayed, callRelayed, callRelayed, callRelayed, callRelayed},
}

// The responses are made of what the server has sent; these stand for them.
const (
	lrcMessageOK = `
SIP/2.0 200 Ok
Via: SIP/2.0/UDP 127.0.0.1:15060;branch=z9hG4bK-m{id}.7a1b
From: <sip:server@127.0.0.1>;tag=3a1f
To: <sip:433@example.com;user=phone>;tag=answerer
Call-ID: {id}-3c2670
CSeq: 10 MESSAGE
`
	callRelayed = `
SIP/2.0 180 Ringing
Via: SIP/2.0/UDP 127.0.0.1:15060;branch=z9hG4bK4f2e.6c1de1c4000000000000000000000000.0
Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-i{id};rport={port}
Record-Route: <sip:127.0.0.1:15060;lr>
From: "Reception" <sip:101@example.com>;tag=f{id}
To: <sip:{user}@example.com>;tag=answerer
Call-ID: {id}-3c2670
CSeq: 1 INVITE
Contact: <sip:{user}@127.0.0.1:{port};line=l{user}>
User-Agent: snomD385/10.1.141.13
`
)

func newEcho(r *runner, sockets []*socket, operation string, count int) *echo {
	op := &echo{runner: r, slots: make([]echoSlot, count)}
	for i := range op.slots {
		s := &op.slots[i]
		s.socket = sockets[i%len(sockets)]
		for _, text := range echoed[operation] {
			s.texts = append(s.texts, s.socket.template(text).instantiate(s.socket.port))
		}
	}
	return op
}

func (op *echo) start(slot int, seq uint32) {
	s := &op.slots[slot]
	s.at = 0
	for _, text := range s.texts {
		text.setID(slot, seq)
	}
	s.socket.send(s.texts[0].data)
}

func (op *echo) retry(slot int) (sent bool) {
	s := &op.slots[slot]
	s.socket.send(s.texts[s.at].data)
	return true
}

func (op *echo) waiting(slot int) string {
	return fmt.Sprintf("the echo of datagram %d", op.slots[slot].at+1)
}

func (op *echo) receive(_ *socket, data []byte) {
	_, after, _ := bytes.Cut(data, []byte(";branch="+branchPrefix))
	slot, seq, ok := 0, uint32(0), false
	if len(after) > 0 {
		slot, seq, ok = readID(after[1:])
	}
	if !ok || !op.runner.current(slot, seq) {
		op.runner.late++
		return
	}
	s := &op.slots[slot]
	if !bytes.Equal(data, s.texts[s.at].data) {
		if op.runner.retransmissions > 0 && s.sentBefore(data) {
			op.runner.late++
			return
		}
		op.runner.fail("not the datagram that was sent", data)
	}
	s.at++
	op.runner.progress(slot)
	if s.at == len(s.texts) {
		op.runner.done(slot)
		return
	}
	s.socket.send(s.texts[s.at].data)
}

// sentBefore reports whether data is one of the slot's datagrams whose echo has
// already come.
func (s *echoSlot) sentBefore(data []byte) bool {
	return slices.ContainsFunc(s.texts[:s.at], func(text instance) bool { return bytes.Equal(data, text.data) })
}
