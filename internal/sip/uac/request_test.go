package uac

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

var identifiers = regexp.MustCompile(`(branch=z9hG4bK[0-9a-f]{16}|tag=|Call-ID: [0-9a-f]{16})[0-9a-f]{16}\b`)

func TestRequest(t *testing.T) {
	message := &Request{
		SentBy: wire.HostPort{Addr: serverAddr}, Method: "MESSAGE", URI: []byte("sip:101@192.0.2.7;line=x?Subject=no"),
		Path: []byte("<sip:edge;lr>"), ContentType: "text/plain", Body: []byte("Hello"),
	}
	message.SetAOR("a b@example.com")
	notify := &Request{
		Flow: transport.Flow{Network: transport.TCP}, SentBy: wire.HostPort{Addr: serverAddr}, Method: "NOTIFY",
		URI: []byte("sip:101@192.0.2.7"), Contact: true,
		Header: wire.AppendHeader(nil, "Event", "check-sync\r\nX: y"),
	}
	notify.SetAOR("example.com")
	udp := *notify
	udp.Flow.Network = transport.UDP
	const head = "Via: SIP/2.0/UDP 192.0.2.1:5060;B;rport\r\nMax-Forwards: 70\r\n"
	const event = "From: <sip:server@example.com>;T\r\nTo: <sip:example.com>\r\nC\r\n" +
		"CSeq: 1 NOTIFY\r\nContact: <sip:192.0.2.1:5060"
	const rest = ">\r\nEvent: check-sync  X: y\r\nContent-Length: 0\r\n\r\n"
	for _, tc := range []struct {
		r    *Request
		want string
	}{
		{message, "MESSAGE sip:101@192.0.2.7;line=x SIP/2.0\r\n" + head + "Route: <sip:edge;lr>\r\n" +
			"From: <sip:server@example.com>;T\r\nTo: <sip:a%20b@example.com>\r\nC\r\nCSeq: 1 MESSAGE\r\n" +
			"Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nHello"},
		{notify, "NOTIFY sip:101@192.0.2.7 SIP/2.0\r\n" + strings.Replace(head, "UDP", "TCP", 1) +
			event + ";transport=tcp" + rest},
		{&udp, "NOTIFY sip:101@192.0.2.7 SIP/2.0\r\n" + head + event + rest},
	} {
		got := string(new(scratch).appendRequest(nil, tc.r))
		initial := func(id string) string { return strings.ToUpper(id[:1]) }
		got = identifiers.ReplaceAllStringFunc(got, initial)
		if got != tc.want {
			t.Errorf("got\n%s\nwant\n%s", got, tc.want)
		}
	}
}

// TestSetAOR uses a request for one user after another.
func TestSetAOR(t *testing.T) {
	var r Request
	for _, tc := range []struct{ aor, user, from, to string }{
		{"101@example.com", "101", "sip:server@example.com", "sip:101@example.com"},
		{"a@b@c@example.org", "a@b@c", "sip:server@example.org", "sip:a%40b%40c@example.org"},
		{"Tür:<1>\r\n@h", "Tür:<1>\r\n", "sip:server@h", "sip:T%C3%BCr%3A%3C1%3E%0D%0A@h"},
		{"-_.!~*'()&=+$,;?/@h", "-_.!~*'()&=+$,;?/", "sip:server@h", "sip:-_.!~*'()&=+$,;?/@h"},
		{"example.com", "", "sip:server@example.com", "sip:example.com"},
		{"@example.com", "", "sip:server@example.com", "sip:example.com"},
	} {
		r.SetAOR(tc.aor)
		user, _ := splitAOR(r.AOR)
		if r.AOR != tc.aor || user != tc.user || string(r.From) != tc.from || string(r.To) != tc.to {
			t.Errorf("%q: user %q, from %q, to %q", tc.aor, user, r.From, r.To)
		}
	}
}

// TestIdentifiers sees that no two requests have an identifier in common.
func TestIdentifiers(t *testing.T) {
	r := &Request{SentBy: wire.HostPort{Addr: serverAddr}, Method: "MESSAGE", URI: []byte("sip:h")}
	r.SetAOR("101@example.com")
	seen := make(map[string]bool)
	for range 1000 {
		ids := identifiers.FindAllString(string(new(scratch).appendRequest(nil, r)), -1)
		if len(ids) != 3 {
			t.Fatalf("the identifiers are %q", ids)
		}
		for _, id := range ids {
			half := id[len(id)-16:] // the parts are random as well
			if seen[half] {
				t.Fatalf("%s is there twice", id)
			}
			seen[half] = true
		}
	}
}

// sink takes requests and answers none.
type sink struct{ last []byte }

func (s *sink) NewClient(b []byte, _ transport.Flow, _ transaction.ClientHandler,
	_ *transport.Outbox, _ transaction.ClientOptions) (*transaction.Client, error) {
	s.last = append(s.last[:0], b...)
	return nil, nil
}

func TestBodyRoom(t *testing.T) {
	s := new(sink)
	c := &Client{Transactions: s, Validated: func(transport.Flow) bool { return true }}
	r := &Request{
		Flow: transport.Flow{Remote: phoneAddr}, SentBy: wire.HostPort{Addr: serverAddr}, Method: "MESSAGE",
		URI: []byte("sip:101@192.0.2.7:5062"), ContentType: "text/plain",
	}
	r.SetAOR("101@example.com")
	room := r.BodyRoom()
	r.Body = bytes.Repeat([]byte("x"), room)
	if err := c.Send(new(Exchange), r, nil, nil); err != nil || len(s.last) != MaxDatagram {
		t.Errorf("a body that takes all the room: %v, %d bytes are sent", err, len(s.last))
	}
	if got := r.BodyRoom(); got != room {
		t.Errorf("with a body there is room for %d bytes, not %d", got, room)
	}
	r.Credentials = []Credentials{{Realm: "phone", Username: "server", Password: "{user}-secret"}}
	if got := r.BodyRoom(); got != room-answerRoom-len(r.URI) {
		t.Errorf("with credentials there is room for %d bytes", got)
	}
	// What may be signed fits.
	r.Body = r.Body[:r.BodyRoom()]
	if err := c.Send(new(Exchange), r, nil, nil); err != nil {
		t.Fatal(err)
	}
	signer := newSigner(r, slices.Clone(s.last))
	var m wire.Message
	challenge := fmt.Sprintf(`WWW-Authenticate: Digest realm="phone", algorithm=SHA-256, qop="auth", `+
		`nonce="%064d", opaque="%032d"`, 1, 2)
	if err := m.Parse([]byte(response(string(s.last), "401 x", challenge))); err != nil {
		t.Fatal(err)
	}
	if signed := signer.answer(&m); signed == nil || len(signed) > MaxDatagram {
		t.Errorf("with the answer to a challenge it has %d bytes", len(signed))
	}
	r.Flow.Network = transport.TCP
	if got := r.BodyRoom(); got != math.MaxInt {
		t.Errorf("down a connection there is room for %d bytes", got)
	}
}
