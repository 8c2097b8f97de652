package conformance

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/wire"
)

// torture is a message of RFC 4475 or RFC 5118, what the RFC says about it, and what comes of it
// here.
type torture struct {
	file    string
	section string
	title   string
	rfc     string // what the RFC wants

	user string // the address-of-record whose phone the message is for; empty: nobody's
	via  bool   // the phone is where proxy is told to relay to, and not a registered one
	port int    // of the Via: where the answer goes over UDP; 0: 5060, -1: to where it came from, which rport asks for

	udp outcome
	tcp outcome // the zero value: as over UDP
	why string  // for the table: why the RFC's choice was made this way; may be empty

	has []string // what the answer, or the message that the phone gets, must have
}

// outcome is what comes of a message.
type outcome struct {
	what   string   // forwarded, answered, refused, dropped or incomplete
	status string   // of the answer
	counts []string // what caddy_sip_dropped_total counts
	closes bool     // the connection is closed
	then   string   // the answer to what follows in the same bytes
	rest   bool     // more bytes follow than the message has, so that nothing more can be sent on a stream
}

var (
	// forwarded: the phone gets it, and its 200 gets back.
	forwarded = outcome{what: "forwarded", status: "200 OK"}
	// incomplete: it waits for bytes that don't come.
	incomplete = outcome{what: "incomplete"}
)

// answered is what the server answers for itself.
func answered(status string) outcome { return outcome{what: "answered", status: status} }

// refused is refused by what the message asks for.
func refused(status string) outcome { return outcome{what: "refused", status: status} }

// malformed is refused before any route sees it.
func malformed(reason string) outcome {
	return outcome{what: "refused", status: "400 " + reason, counts: []string{"malformed"}}
}

// unframed is refused, and then the connection is closed: nobody can tell where the next message
// starts.
func unframed(reason string) outcome {
	return outcome{what: "refused", status: "400 " + reason, counts: []string{"framing"}, closes: true}
}

// dropped is not answered.
func dropped(reason string) outcome { return outcome{what: "dropped", counts: []string{reason}} }

const hosts = "example.com example.net example.org company.com chair-dnrc.example.com services.example.com registrar.example.com " +
	"host.example.net [2001:db8::10] [2001:db8::10:5070] [2001:db8::192.0.2.1]"

// caddyfile serves the hosts that the messages are for.
func caddyfile(s fmt.Stringer, directives string) string {
	return "{\n\tadmin off\n\tsip {\n\t\tdomain " + hosts + "\n\t\t" + s.String() + " {\n\t\t\tregister\n\t\t\t" + directives + "\n\t\t}\n\t}\n}\n"
}

func TestTorture(t *testing.T) {
	for _, list := range [][]torture{rfc4475, rfc5118} {
		for _, c := range list {
			t.Run(filepath.Base(c.file)+"/udp", func(t *testing.T) { c.run(t, false, c.udp) })
			t.Run(filepath.Base(c.file)+"/tcp", func(t *testing.T) { c.run(t, true, c.overTCP()) })
		}
	}
}

func (c *torture) overTCP() outcome {
	if c.tcp.what == "" {
		return c.udp
	}
	return c.tcp
}

func (c *torture) read(t *testing.T) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "wire", "testdata", c.file))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// client is the way a torture message takes to the server.
type client interface {
	send([]byte)
	expect(start string) handlertest.Message
	nothing()
}

func (c *torture) run(t *testing.T, stream bool, want outcome) {
	raw := c.read(t)
	addr := handlertest.FreeAddr(t)
	s := handlertest.StartCaddyfile(t, addr, caddyfile(addr, "proxy"))
	phone := s.UDP()
	switch {
	case c.via:
		s.Load(caddyfile(addr, "@message method MESSAGE\n\t\t\tproxy @message sip:"+phone.Addr.String()+";lr"))
	case c.user != "":
		register(t, phone, c.user)
	}
	var p client
	if stream {
		p = streamClient{s.TCP()}
	} else {
		p = newPacketClient(t, s, c.port)
	}
	since := drops(s)
	p.send(raw)
	switch want.what {
	case "forwarded":
		got := phone.Receive()
		c.checkForwarded(t, s, raw, got)
		if m := parse(t, string(raw)); m.Method == wire.INVITE {
			p.expect("SIP/2.0 100 Trying\r\n")
		}
		accept(t, s, phone, got)
		c.checkAnswer(t, raw, p.expect("SIP/2.0 200 OK\r\n"), false)
	case "answered", "refused":
		c.checkAnswer(t, raw, p.expect("SIP/2.0 "+want.status+"\r\n"), true)
		if want.then != "" {
			p.expect("SIP/2.0 " + want.then + "\r\n")
		}
	}
	tcp, isStream := p.(streamClient)
	switch {
	case isStream && want.closes:
		tcp.Closed()
	case isStream && (want.rest || want.what == "incomplete"):
		tcp.Close() // what comes before the end fails it
	default:
		p.nothing()
	}
	phone.Nothing()
	wantDrops(t, since, want.counts...)
}

// checkForwarded compares what the phone got with what was sent, byte for byte but for what a proxy
// has to change (RFC 3261 §16.6).
func (c *torture) checkForwarded(t *testing.T, s *handlertest.Server, raw []byte, got handlertest.Message) {
	t.Helper()
	sent, m := parse(t, string(raw)), parse(t, got.Text)
	if string(m.MethodName()) != string(sent.MethodName()) || !bytes.Equal(m.Body(), sent.Body()) || len(m.Body()) != bodyLength(m) {
		t.Errorf("got %s with a body of %d bytes, sent was %s with %d:\n%s", m.MethodName(), len(m.Body()), sent.MethodName(), len(sent.Body()), got.Text)
	}
	if !c.via && !strings.HasPrefix(got.URI(), "sip:phone@") {
		t.Errorf("Request-URI %s is not the phone's contact", got.URI())
	}
	if want := max(sent.MaxForwards-1, 0); sent.MaxForwards >= 0 && m.MaxForwards != want || sent.MaxForwards < 0 && m.MaxForwards != 70 {
		t.Errorf("Max-Forwards %d became %d", sent.MaxForwards, m.MaxForwards)
	}
	was, is := values(sent, wire.Via), values(m, wire.Via)
	if len(is) != len(was)+1 || !strings.HasPrefix(is[0], "SIP/2.0/UDP "+s.Addr.String()+";branch=z9hG4bK") {
		t.Fatalf("Via %q became %q", was, is)
	}
	c.checkVia(t, was, is[1:])
	left := lines(m)
	for _, line := range lines(sent) {
		i := slices.Index(left, line)
		if i < 0 {
			t.Fatalf("%q is not there, or not in its place:\n%s", line, got.Text)
		}
		for _, added := range left[:i] {
			if !strings.HasPrefix(added, "Record-Route: <sip:") {
				t.Errorf("%q is new in\n%s", added, got.Text)
			}
		}
		left = left[i+1:]
	}
	if len(left) > 0 && (sent.Has(wire.ContentLength) || len(left) > 1) {
		t.Errorf("%q is new in\n%s", left, got.Text)
	}
	for _, part := range c.has {
		if !strings.Contains(got.Text, part) {
			t.Errorf("%q is missing in\n%s", part, got.Text)
		}
	}
}

// lines returns the header lines, but for those that a proxy changes.
func lines(m *wire.Message) (all []string) {
	m.All(func(id wire.HeaderID, name, value []byte) bool {
		switch id {
		case wire.Via, wire.MaxForwards, wire.Route:
		default:
			all = append(all, string(name)+": "+string(value))
		}
		return true
	})
	return all
}

// checkAnswer wants an answer to have the Vias of the request, and what else makes it one (RFC 3261
// §8.2.6.2). What could not be read need not be in it.
func (c *torture) checkAnswer(t *testing.T, raw []byte, got handlertest.Message, own bool) {
	t.Helper()
	m := parseAnswer(t, got.Text)
	sent := new(wire.Message)
	bad := sent.Parse(bytes.Clone(raw)) != nil
	was, is := values(sent, wire.Via), values(m, wire.Via)
	if len(was) == 0 || len(is) != len(was) {
		t.Fatalf("Via %q became %q", was, is)
	}
	c.checkVia(t, was, is)
	for _, id := range []wire.HeaderID{wire.From, wire.CallID, wire.CSeq} {
		if v := sent.Header(id); string(m.Header(id)) != string(v) {
			t.Errorf("%v: %q became %q", id, v, m.Header(id))
		}
	}
	if !bad && (m.ToTag() == nil || sent.ToTag() != nil && string(m.ToTag()) != string(sent.ToTag())) {
		t.Errorf("To %q became %q", sent.Header(wire.To), m.Header(wire.To))
	}
	for _, part := range c.has {
		if own && !strings.Contains(got.Text, part) {
			t.Errorf("%q is missing in\n%s", part, got.Text)
		}
	}
}

// checkVia wants the values to be as they were, but for received and rport in the first.
func (c *torture) checkVia(t *testing.T, was, is []string) {
	t.Helper()
	if !strings.Contains(is[0], ";received=127.") {
		t.Errorf("Via %q does not say where it came from", is[0])
	}
	for i := range was {
		if i > 0 && is[i] != was[i] {
			t.Errorf("Via %q became %q", was[i], is[i])
		}
	}
	before, err := wire.ParseVia([]byte(was[0]))
	after, err2 := wire.ParseVia([]byte(is[0]))
	if err == nil && (err2 != nil || string(after.Host) != string(before.Host) || after.Port != before.Port || string(after.Branch) != string(before.Branch)) {
		t.Errorf("Via %q became %q", was[0], is[0])
	}
}

// parseAnswer reads an answer to a request that could not be read: what was wrong in that is wrong
// in this.
func parseAnswer(t *testing.T, text string) *wire.Message {
	t.Helper()
	m := new(wire.Message)
	_ = m.Parse([]byte(text))
	if !m.IsResponse || len(m.Body()) != 0 {
		t.Fatalf("no answer:\n%s", text)
	}
	return m
}

func values(m *wire.Message, id wire.HeaderID) (all []string) {
	for v := m.Values(id); v.Next(); {
		all = append(all, string(v.Value()))
	}
	return all
}

// bodyLength is what Content-Length says.
func bodyLength(m *wire.Message) int {
	n, _ := wire.ParseUint(m.Header(wire.ContentLength), 1<<16)
	return int(n)
}

type packetClient struct {
	*stranger
	rport bool
}

func newPacketClient(t *testing.T, s *handlertest.Server, port int) packetClient {
	switch port {
	case 0:
		port = 5060
	case -1:
		return packetClient{newStranger(t, s, 0), true}
	}
	return packetClient{newStranger(t, s, port), false}
}

func (p packetClient) expect(start string) handlertest.Message {
	p.t.Helper()
	c := p.sentBy
	if p.rport {
		c = p.from
	}
	m := p.receive(c)
	if !strings.HasPrefix(m.Text, start) {
		p.t.Fatalf("waiting for %q, and this comes:\n%s", start, m.Text)
	}
	return m
}

type streamClient struct{ *handlertest.Peer }

func (p streamClient) send(b []byte)                           { p.SendRaw(b) }
func (p streamClient) expect(start string) handlertest.Message { return p.Expect(start) }
func (p streamClient) nothing()                                { p.Nothing() }
