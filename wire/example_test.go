package wire_test

import (
	"fmt"
	"log"
	"net/netip"
	"strings"

	"github.com/caddysip/caddysip/wire"
)

// invite is an INVITE as it comes from the network.
var invite = []byte(strings.ReplaceAll(`INVITE sip:bob@example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK776asdhds;rport
Max-Forwards: 70
From: "Alice" <sip:alice@example.com>;tag=1928301774
To: <sip:bob@example.com>
Call-ID: a84b4c76e66710
CSeq: 314159 INVITE
Contact: <sip:alice@192.0.2.7:5060;transport=udp>
Accept-Language: en
s: lunch
Content-Length: 0

`, "\n", "\r\n"))

// parse parses a copy of the message, because Parse keeps and may change what it is given.
func parse(text []byte) *wire.Message {
	var m wire.Message
	if err := m.Parse(append([]byte(nil), text...)); err != nil {
		log.Fatal(err)
	}
	return &m
}

// print prints a message with the line ends of Unix.
func print(message []byte) { fmt.Print(strings.ReplaceAll(string(message), "\r\n", "\n")) }

// A message is parsed and answered, after one of its fields has been read and a copy of it, as a
// proxy would forward it, has been made.
func Example() {
	m := parse(invite)

	from, err := m.Address(wire.From)
	if err != nil {
		log.Fatal(err)
	}
	uri, err := wire.ParseURI(from.URI)
	if err != nil {
		log.Fatal(err)
	}
	subject, _ := m.HeaderNamed("Subject") // it is there in its compact form
	fmt.Printf("%s calls about %q\n\n", uri.User, subject)

	var e wire.Edits
	e.DecrementMaxForwards(m)
	e.PushHeader(m, wire.Via)
	e.Text = append(e.Text, "Via: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKb1\r\n"...)
	e.DeleteHeader(m, "Accept-Language")
	print(e.Append(nil, m.Raw))

	source := netip.MustParseAddrPort("198.51.100.4:10552") // a NAT between Alice and us
	print(m.AppendResponse(nil, 486, "Busy Here", source, &wire.ResponseOptions{
		ToTag:  []byte("b7"),
		Header: wire.AppendHeader(nil, "Retry-After", "60"),
	}))
	// Output:
	// alice calls about "lunch"
	//
	// INVITE sip:bob@example.com SIP/2.0
	// Via: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKb1
	// Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK776asdhds;rport
	// Max-Forwards: 69
	// From: "Alice" <sip:alice@example.com>;tag=1928301774
	// To: <sip:bob@example.com>
	// Call-ID: a84b4c76e66710
	// CSeq: 314159 INVITE
	// Contact: <sip:alice@192.0.2.7:5060;transport=udp>
	// s: lunch
	// Content-Length: 0
	//
	// SIP/2.0 486 Busy Here
	// Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK776asdhds;rport=10552;received=198.51.100.4
	// From: "Alice" <sip:alice@example.com>;tag=1928301774
	// To: <sip:bob@example.com>;tag=b7
	// Call-ID: a84b4c76e66710
	// CSeq: 314159 INVITE
	// Retry-After: 60
	// Content-Length: 0
}

// A message that is refused can nearly always be answered.
func ExampleMessage_Answerable() {
	var m wire.Message
	err := m.Parse([]byte("OPTIONS sip:example.com SIP/2.0\r\n" +
		"Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1\r\n" +
		"From: <sip:alice@example.com>;tag=1\r\n" +
		"Call-ID: 1\r\n" +
		"CSeq: 1 OPTIONS\r\n\r\n"))
	if refusal, ok := err.(*wire.ParseError); ok && m.Answerable() {
		print(m.AppendResponse(nil, refusal.Status, refusal.Reason,
			netip.MustParseAddrPort("192.0.2.7:5060"), &wire.ResponseOptions{}))
	}
	// Output:
	// SIP/2.0 400 Malformed or Missing To
	// Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1
	// From: <sip:alice@example.com>;tag=1
	// Call-ID: 1
	// CSeq: 1 OPTIONS
	// Content-Length: 0
}

// The values of a list are the same, be they separated by commas or by lines.
func ExampleMessage_Values() {
	m := parse([]byte(strings.Replace(string(invite), "Max-Forwards: 70", "Max-Forwards: 70\r\n"+
		"Route: <sip:one.example.com;lr>, <sip:two.example.com;lr>\r\n"+
		"Route: <sip:three.example.com;lr>", 1)))
	for it := m.Values(wire.Route); it.Next(); {
		route, err := wire.ParseNameAddr(it.Value())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", route.URI)
	}
	// Output:
	// sip:one.example.com;lr
	// sip:two.example.com;lr
	// sip:three.example.com;lr
}

// The parts of a URI are decoded, the text of its parts is not.
func ExampleParseURI() {
	uri, err := wire.ParseURI([]byte("sip:J%C3%BCrgen@Example.com:5070;transport=tcp"))
	if err != nil {
		log.Fatal(err)
	}
	transport, found := uri.Param("transport")
	fmt.Printf("%s %s %d %s %t\n", uri.User, uri.Host, uri.Port, transport, found)
	fmt.Printf("%s\n", uri.AppendAOR(nil))
	// Output:
	// J%C3%BCrgen Example.com 5070 tcp true
	// Jürgen@example.com
}
