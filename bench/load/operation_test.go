//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
)

var testServer = netip.MustParseAddrPort("127.0.0.1:15060")

// bench is a runner whose sockets lead nowhere: the test takes what they would
// send, and plays the server.
type bench struct {
	t      *testing.T
	runner *runner
	phone  *socket
	callee *socket
	// change alters what the server says; it gets every datagram of the
	// server's, counted from 1.
	change func(n int, data []byte) []byte
	said   int
}

func newBench(t *testing.T) *bench {
	l := &loop{}
	return &bench{
		t: t, runner: &runner{loop: l},
		phone:  &socket{port: 40001, loop: l},
		callee: &socket{port: 40002, loop: l},
	}
}

func (b *bench) begin(op operation) {
	b.runner.prepare(op, 1)
	b.runner.idle = nil
	b.runner.begin(0)
}

// next takes the oldest datagram that a socket would send.
func (b *bench) next(s *socket) (*message, []byte) {
	b.t.Helper()
	if len(s.out) == 0 {
		b.t.Fatalf("port %d has nothing to send", s.port)
	}
	data := bytes.Clone(s.out[0])
	s.out = s.out[1:]
	m := new(message)
	if err := m.parse(data); err != nil {
		b.t.Fatalf("what we send is wrong: %v in %q", err, data)
	}
	return m, data
}

// say is the server sending a datagram to a socket.
func (b *bench) say(s *socket, data []byte) {
	b.said++
	if b.change != nil {
		data = b.change(b.said, data)
	}
	b.runner.op.receive(s, data)
}

// reply answers a request as a server does, with rport filled.
func (b *bench) reply(s *socket, request *message, status, extra string) {
	data := answer(nil, request, status, extra)
	b.say(s, fillRport(data, s.port))
}

func fillRport(data []byte, port int) []byte {
	return bytes.Replace(data, []byte(";rport\r\n"), fmt.Appendf(nil, ";rport=%d\r\n", port), 1)
}

// forward is a record-routing proxy passing a request on to the callee.
func (b *bench) forward(data []byte, recordRoute bool) {
	text := string(fillRport(data, b.phone.port))
	first, rest, _ := strings.Cut(text, "\r\n")
	method, _, _ := strings.Cut(first, " ")
	via := "Via: SIP/2.0/UDP 127.0.0.1:15060;branch=z9hG4bKserver." + method + "\r\n"
	if recordRoute {
		via += "Record-Route: <sip:127.0.0.1:15060;lr>\r\n"
	}
	rest = strings.Replace(rest, "Max-Forwards: 70", "Max-Forwards: 69", 1)
	rest = strings.Replace(rest, "Route: <sip:127.0.0.1:15060;lr>\r\n", "", 1)
	b.say(b.callee, []byte(method+" sip:1000000@127.0.0.1:40002;line=l1000000 SIP/2.0\r\n"+via+rest))
}

// backward is the proxy passing a response back to the caller.
func (b *bench) backward(data []byte) {
	start := bytes.Index(data, []byte("Via: "))
	end := start + bytes.Index(data[start:], crlf) + 2
	b.say(b.phone, append(bytes.Clone(data[:start]), data[end:]...))
}

func playRegister(b *bench) {
	b.begin(newRegister(b.runner, []*socket{b.phone}, 4, 1, nil))
	m, _ := b.next(b.phone)
	b.reply(b.phone, m, "200 OK", "Contact: "+string(m.contact[0])+";expires=3600")
}

func playOptions(b *bench) {
	b.begin(newOptions(b.runner, []*socket{b.phone}, 404, 1))
	m, _ := b.next(b.phone)
	b.reply(b.phone, m, "404 Not Found", "")
}

const testMessage = "Via: SIP/2.0/UDP 127.0.0.1:15060;branch=z9hG4bKm\r\nMax-Forwards: 70\r\n" +
	"From: <sip:server@127.0.0.1>;tag=1\r\nTo: <sip:433@example.com;user=phone>\r\nCall-ID: m\r\nCSeq: 1 MESSAGE\r\n" +
	"Content-Type: application/x-buttons\r\nContent-Length: 45\r\n\r\n" + lrcBody

func playLRC(b *bench) {
	b.begin(newLRC(b.runner, []*socket{b.phone}, false, 1))
	invite, _ := b.next(b.phone)
	b.reply(b.phone, invite, "404 Not a call", "")
	ack, _ := b.next(b.phone)
	if tag, _ := param(ack.to, "tag"); string(tag) != "answerer" || !bytes.Equal(addrURI(ack.to), addrURI(invite.to)) ||
		!bytes.Equal(ack.via[0], invite.via[0]) || string(ack.cseqMethod) != "ACK" {
		b.t.Errorf("a wrong ACK: To %q, Via %q", ack.to, ack.via)
	}
	b.say(b.phone, []byte("MESSAGE "+string(addrURI(invite.contact[0]))+" SIP/2.0\r\n"+testMessage))
	if ok, _ := b.next(b.phone); ok.status != 200 || string(ok.callID) != "m" {
		b.t.Errorf("the MESSAGE is answered %d", ok.status)
	}
}

func playCall(b *bench) {
	b.begin(newCall(b.runner, testServer, []*socket{b.phone}, []*socket{b.callee}, 1, 1))
	invite, data := b.next(b.phone)
	b.reply(b.phone, invite, "100 Trying", "")
	b.forward(data, true)
	_, ringing := b.next(b.callee)
	b.backward(ringing)
	_, ok := b.next(b.callee)
	b.backward(ok)
	ack, data := b.next(b.phone)
	if b.change == nil && (len(ack.route) != 1 || string(ack.uri) != "sip:1000000@127.0.0.1:40002;line=l1000000") {
		b.t.Errorf("the ACK goes to %q by %q", ack.uri, ack.route)
	}
	b.forward(data, false)
	bye, data := b.next(b.phone)
	if string(bye.method) != "BYE" || bye.cseq != 2 {
		b.t.Errorf("%q with CSeq %d in place of BYE", bye.method, bye.cseq)
	}
	b.forward(data, false)
	_, byeOK := b.next(b.callee)
	b.backward(byeOK)
}

// TestOperationsEnd plays a server without fault against every operation.
func TestOperationsEnd(t *testing.T) {
	for name, play := range map[string]func(*bench){
		"register": playRegister, "options": playOptions, "lrc": playLRC, "call": playCall,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			play(b)
			r := b.runner
			if r.errors != 0 || r.ended != 1 || r.late != 0 || r.peerRetransmissions != 0 {
				t.Errorf("%d errors %q, %d ended, %d late, %d repeated", r.errors, r.samples, r.ended, r.late, r.peerRetransmissions)
			}
			if len(b.phone.out)+len(b.callee.out) != 0 {
				t.Error("something is left to send")
			}
		})
	}
}

// TestFaultsAreSeen lets the server say one thing wrong at a time.
func TestFaultsAreSeen(t *testing.T) {
	tests := []struct {
		name     string
		play     func(*bench)
		n        int // Which of the server's datagrams is wrong.
		old, new string
		want     string
	}{
		{"register: status", playRegister, 1, "200 OK", "403 Forbidden", "status 403"},
		{"register: Call-ID", playRegister, 1, "3c26700c1", "3c26700c2", "Call-ID"},
		{"register: CSeq", playRegister, 1, "CSeq: ", "CSeq: 1", "CSeq"},
		{"register: tag", playRegister, 1, ";tag=answerer", "", "To tag"},
		{"register: From tag", playRegister, 1, ";tag=f", ";tag=g", "From tag"},
		{"register: rport", playRegister, 1, "rport=40001", "rport=40002", "rport"},
		{"register: Contact", playRegister, 1, "line=l", "line=m", "Contact"},
		{"register: no Contact", playRegister, 1, "Contact", "Kontact", "0 Contacts"},
		{"register: two Contacts", playRegister, 1, "Contact: ", "Contact: <sip:x@y>, ", "2 Contacts"},
		{"register: expires", playRegister, 1, ";expires=3600", ";expires=60", "expires"},
		{"register: branch", playRegister, 1, "z9hG4bK-r", "z9hG4bK-o", "not an answer"},
		{"options: status", playOptions, 1, "404", "500", "status 500"},
		{"lrc: reason", playLRC, 1, "Not a call", "Not Found", "in place of 404"},
		{"lrc: URI", playLRC, 2, " SIP/2.0\r\nVia", ";x SIP/2.0\r\nVia", "Request-URI"},
		{"lrc: body", playLRC, 2, "c=hold", "c=park", "body"},
		{"lrc: type", playLRC, 2, "x-buttons", "x-button", "Content-Type"},
		{"lrc: To", playLRC, 2, ";user=phone>\r\nCall", ">\r\nCall", "To that is not"},
		{"lrc: From", playLRC, 2, "sip:server", "sip:serve", "From that is not"},
		{"call: 180 without Record-Route", playCall, 3, "Record-Route", "Recorded-Route", "Record-Route"},
		{"call: INVITE without Record-Route", playCall, 2, "Record-Route", "Recorded-Route", "0 Record-Route"},
		{"call: strict route", playCall, 2, ";lr>", ">", "loose route"},
		{"call: Request-URI", playCall, 2, ";line=l1000000 SIP", " SIP", "Request-URI"},
		{"call: Max-Forwards", playCall, 2, "Max-Forwards: 69", "Max-Forwards: 70", "Max-Forwards"},
		{"call: offer", playCall, 2, "PCMU", "PCMX", "body"},
		{"call: 200's body", playCall, 4, "G722", "G729", "another body"},
		{"call: 200's Contact", playCall, 4, "Contact: <sip:1000000", "Contact: <sip:1000001", "Contact"},
		{"call: ACK's Route left", playCall, 5, "CSeq", "Route: <sip:127.0.0.1:15060;lr>\r\nCSeq", "Route"},
		{"call: BYE's Via", playCall, 6, "127.0.0.1:15060;branch", "127.0.0.1:15061;branch", "Via of the server's"},
		{"call: BYE's status", playCall, 7, "200 Ok", "481 Gone", "unexpected status 481"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			b.change = func(n int, data []byte) []byte {
				if n != test.n {
					return data
				}
				changed := strings.Replace(string(data), test.old, test.new, 1)
				if changed == string(data) {
					t.Fatalf("there is no %q in %q", test.old, data)
				}
				return []byte(changed)
			}
			test.play(b)
			if b.runner.errors == 0 || !strings.Contains(b.runner.samples[0], test.want) {
				t.Errorf("%d errors %q, want one about %q", b.runner.errors, b.runner.samples, test.want)
			}
		})
	}
}

func TestOneMessagePerInvite(t *testing.T) {
	b := newBench(t)
	var first []byte
	b.change = func(n int, data []byte) []byte {
		if n == 2 {
			first = bytes.Clone(data)
		}
		return data
	}
	playLRC(b)
	b.change = nil

	b.say(b.phone, first)
	if b.runner.errors != 0 || b.runner.peerRetransmissions != 1 {
		t.Fatalf("a repeated MESSAGE: %d errors, %d repeated", b.runner.errors, b.runner.peerRetransmissions)
	}
	if ok, _ := b.next(b.phone); ok.status != 200 {
		t.Errorf("a repeated MESSAGE is answered %d", ok.status)
	}
	b.say(b.phone, bytes.Replace(first, []byte("z9hG4bKm"), []byte("z9hG4bKn"), 1))
	if b.runner.errors != 1 || !strings.Contains(b.runner.samples[0], "second MESSAGE") {
		t.Errorf("a second MESSAGE: %d errors %q", b.runner.errors, b.runner.samples)
	}
}

func TestMessageAgain(t *testing.T) {
	for _, again := range []bool{false, true} {
		b := newBench(t)
		b.begin(newLRC(b.runner, []*socket{b.phone}, again, 1))
		invite, _ := b.next(b.phone)
		if !b.runner.op.retry(0) {
			t.Fatal("the INVITE is not repeated")
		}
		b.next(b.phone)
		b.reply(b.phone, invite, "404 Not a call", "")
		b.next(b.phone)
		message := []byte("MESSAGE " + string(addrURI(invite.contact[0])) + " SIP/2.0\r\n" + testMessage)
		b.say(b.phone, message)
		b.say(b.phone, bytes.Replace(message, []byte("z9hG4bKm"), []byte("z9hG4bKn"), 1))
		if ok := b.runner.errors == 0; ok != again {
			t.Errorf("again %v: %d errors %q", again, b.runner.errors, b.runner.samples)
		}
	}
}

// TestIDsAreNew asks for more operations than milliseconds pass: the second
// phase must not begin with the ids of the first.
func TestIDsAreNew(t *testing.T) {
	b := newBench(t)
	seen := make(map[string]bool)
	for range 3 {
		op := newOptions(b.runner, []*socket{b.phone}, 404, 1)
		b.begin(op)
		for range 1000 {
			m, _ := b.next(b.phone)
			if seen[string(m.via[0])] {
				t.Fatalf("%q comes again", m.via[0])
			}
			seen[string(m.via[0])] = true
			b.reply(b.phone, m, "404 Not Found", "")
			b.runner.begin(0)
		}
		b.next(b.phone)
	}
}

func TestRetransmission(t *testing.T) {
	b := newBench(t)
	b.begin(newOptions(b.runner, []*socket{b.phone}, 404, 1))
	_, first := b.next(b.phone)
	from := b.runner.loop.now
	for _, step := range []struct {
		at   int64 // Milliseconds.
		want int
	}{{499, 0}, {500, 1}, {1400, 0}, {1500, 1}, {3500, 1}, {7500, 1}} {
		b.runner.loop.now = from + step.at*1e6
		if err := b.runner.scan(); err != nil {
			t.Fatal(err)
		}
		if len(b.phone.out) != step.want {
			t.Fatalf("%d ms: %d sent, want %d", step.at, len(b.phone.out), step.want)
		}
		if step.want == 1 {
			if _, again := b.next(b.phone); !bytes.Equal(again, first) {
				t.Errorf("%d ms: another request: %q", step.at, again)
			}
		}
	}
	if b.runner.retransmissions != 4 {
		t.Errorf("%d retransmissions, want 4", b.runner.retransmissions)
	}
	b.runner.loop.now = from + 12e9
	if err := b.runner.scan(); err == nil || b.runner.errors != 1 {
		t.Errorf("no answer for 12 s: %v, %d errors", err, b.runner.errors)
	}
}

// TestLoop sends through real sockets to a server that echoes.
func TestLoop(t *testing.T) {
	server, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, datagram)
		for {
			n, from, err := server.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			if _, err := server.WriteToUDPAddrPort(buffer[:n], from); err != nil {
				return
			}
		}
	}()
	defer func() {
		server.Close()
		<-done
	}()
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	phones, err := l.openSockets("udp", server.LocalAddr().(*net.UDPAddr).AddrPort(), 3)
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{loop: l, measuring: true}
	if err := r.phase(newEcho(r, phones, "call", 6), 6, 100, 0); err != nil {
		t.Fatal(err)
	}
	if r.ended != 100 || r.errors != 0 || len(r.latencies) != 100 {
		t.Errorf("%d ended, %d errors %q, %d latencies", r.ended, r.errors, r.samples, len(r.latencies))
	}
}

func TestPercentile(t *testing.T) {
	values := []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	if got := percentile(values, 50); got != 5 {
		t.Errorf("p50 = %v", got)
	}
	if got := percentile(values, 99); got != 10 {
		t.Errorf("p99 = %v", got)
	}
	if got := percentile(nil, 50); got != 0 {
		t.Errorf("p50 of nothing = %v", got)
	}
}

// TestEchoAgain has the echo of a datagram that was sent twice come twice.
func TestEchoAgain(t *testing.T) {
	b := newBench(t)
	b.begin(newEcho(b.runner, []*socket{b.phone}, "call", 1))
	_, invite := b.next(b.phone)
	b.say(b.phone, invite)
	b.say(b.phone, invite)
	if b.runner.errors != 1 || b.runner.late != 0 {
		t.Errorf("an echo that nobody asked for: %d errors, %d late", b.runner.errors, b.runner.late)
	}

	b = newBench(t)
	b.begin(newEcho(b.runner, []*socket{b.phone}, "call", 1))
	_, invite = b.next(b.phone)
	b.runner.retransmissions = 1
	b.say(b.phone, invite)
	b.say(b.phone, invite)
	_, ringing := b.next(b.phone)
	b.say(b.phone, ringing)
	if b.runner.errors != 0 || b.runner.late != 1 {
		t.Errorf("%d errors %q, %d late", b.runner.errors, b.runner.samples, b.runner.late)
	}
	if _, next := b.next(b.phone); !bytes.Equal(next, ringing) {
		t.Errorf("after the second datagram the phone sends %q", next)
	}
}
