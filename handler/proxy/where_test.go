package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

// TestSetSource has phones with all kinds of Contacts.
func TestSetSource(t *testing.T) {
	const udp, tcp, tls = transport.UDP, transport.TCP, transport.TLS
	for _, tc := range []struct {
		contact string // its address
		network transport.Network
		from    transport.Network
		source  string
		alive   bool
		want    string
	}{
		{"192.168.1.7:5060", udp, udp, "192.168.1.7:5060", true, "udp/192.168.1.7:5060"},
		// It listens at another port than it sends from.
		{"192.168.1.7:5060", udp, udp, "192.168.1.7:40001", true, "udp/192.168.1.7:5060"},
		{"[fe80::7]:5060", udp, udp, "[fe80::7%2]:40001", true, "udp/[fe80::7%2]:5060"},
		{"[fd00::7]:5060", udp, udp, "[fd00::7]:40001", true, "udp/[fd00::7]:5060"},
		{"192.168.1.7:5060", tcp, udp, "192.168.1.7:5060", true, "tcp/192.168.1.7:5060"},
		// It is behind a NAT, and does not know it or knows the address alone.
		{"192.168.1.7:5060", udp, udp, "203.0.113.9:40001", true, "udp/203.0.113.9:40001"},
		{"203.0.113.9:5060", udp, udp, "203.0.113.9:40001", true, "udp/203.0.113.9:40001"},
		{"203.0.113.9:5060", tcp, udp, "203.0.113.9:40001", true, "udp/203.0.113.9:40001"},
		{"[2001:db8::9]:5060", udp, udp, "[2001:db8::9]:40001", true, "udp/[2001:db8::9]:40001"},
		{"100.64.1.7:5060", udp, udp, "100.64.1.7:40001", true, "udp/100.64.1.7:40001"},
		{"", udp, udp, "203.0.113.9:40001", true, "udp/203.0.113.9:40001"},
		// It is reached by its connection.
		{"192.168.1.7:5060", udp, tcp, "192.168.1.7:40001", true, "tcp/192.168.1.7:40001"},
		{"192.168.1.7:5060", tcp, tcp, "203.0.113.9:40001", true, "tcp/203.0.113.9:40001"},
		{"192.168.1.7:5060", tcp, tls, "192.168.1.7:40001", true, "tls/192.168.1.7:40001"},
		// The connection has gone.
		{"192.168.1.7:5060", tcp, tcp, "192.168.1.7:40001", false, "tcp/192.168.1.7:5060"},
		{"203.0.113.9:5060", tcp, tcp, "203.0.113.9:40001", false, "tcp/203.0.113.9:5060"},
		{"[fe80::7]:5060", tcp, tcp, "[fe80::7%2]:40001", false, "tcp/[fe80::7%2]:5060"},
		{"192.168.1.7:5060", udp, tcp, "192.168.1.7:5060", false, ""},
		{"192.168.1.7:5060", tcp, tls, "192.168.1.7:5060", false, ""},
		{"192.168.1.7:5060", tcp, tcp, "203.0.113.9:40001", false, ""},
		{"192.168.1.7:5060", udp, tcp, "203.0.113.9:40001", false, ""},
		{"", tcp, tcp, "192.168.1.7:40001", false, ""},
	} {
		var target target
		if tc.contact != "" {
			target.hop = hop{Network: tc.network, Addr: netip.MustParseAddrPort(tc.contact)}
		}
		source := hop{Network: tc.from, Addr: netip.MustParseAddrPort(tc.source)}
		target.setSource(source, tc.alive)
		target.useSourcePort()
		got := ""
		if !target.gone {
			got = target.hop.Network.String() + "/" + target.hop.Addr.String()
		}
		if got != tc.want {
			t.Errorf("%+v: it is called at %q", tc, got)
		}
		if target.flow != (tc.alive && tc.from != udp) {
			t.Errorf("%+v: flow is %v", tc, target.flow)
		}
		if at := target.source; at.Addr.IsValid() && at != source || !at.Addr.IsValid() && got != "" &&
			target.hop != source && tc.from == udp {
			t.Errorf("%+v: its packets come from %v", tc, at)
		}
	}
}

// TestWrongPort registers a phone with a port that its NAT does not let in: calls, and requests
// within calls, go to the port that it has.
func TestWrongPort(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob, closed := registered(t, s, "alice"), at(t, s, "127.0.0.5", "bob"), at(t, s, "127.0.0.5", "closed")
	contact := fmt.Sprintf("Contact: <sip:bob@%s>", closed.Addr)
	bob.register(contact)
	alice.invite(s.URI("bob"), "Call-ID: 1")
	invite := bob.Expect("INVITE sip:bob@" + closed.Addr.String())
	bob.pickUp(invite, contact)
	reaches(t, alice.caller(alice.Expect("SIP/2.0 200")), bob, "INFO")
	reaches(t, bob.callee(invite), alice, "BYE")

	bob.invite(s.URI("alice"), contact, "Call-ID: 2")
	invite = alice.Expect("INVITE ")
	alice.pickUp(invite)
	bob.Expect("SIP/2.0 200")
	reaches(t, alice.callee(invite), bob, "BYE")
	closed.Nothing()
}

// TestOwnConnectionGone calls a phone whose connection has gone: the caller gets 480 at once,
// nothing is sent over UDP, and a phone that listens is connected to.
func TestOwnConnectionGone(t *testing.T) {
	s := start(t, "register\nproxy {\nno_response 1h\n}")
	alice := udp(t, s, "alice")
	l, err := net.Listen("tcp", "127.0.0.5:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	listens := l.Addr().(*net.TCPAddr).AddrPort()
	for i, tc := range []struct {
		contact string // {own} is the phone's end of the connection, {l} where it listens
		called  bool
	}{
		{"sip:bob@{own};transport=tcp", false},
		{"sip:bob@{own}", false},
		{"sip:bob@192.168.1.7:5060;transport=tcp", false},
		{"sip:bob@192.168.1.7", false},
		{"sip:bob@{l}", false},
		{"sip:bob@{l};transport=tls", false},
		{"sip:bob@{l};transport=tcp", true},
	} {
		bob := newPhone(t, s, s.TCPFrom("127.0.0.5"), "bob")
		overUDP, err := net.ListenPacket("udp", bob.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer overUDP.Close()
		contact := replacer("{own}", bob.Addr, "{l}", listens).Replace(tc.contact)
		bob.register("Contact: *", "Expires: 0", fmt.Sprint("Call-ID: clear-", i))
		bob.register("Contact: <"+contact+">", fmt.Sprint("Call-ID: reg-", i))
		bob.Close()
		alice.request("INVITE", s.URI("bob"), fmt.Sprint("Call-ID: call-", i))
		alice.Expect("SIP/2.0 100")
		if tc.called {
			again := newPhone(t, s, s.Accept(l), "bob")
			again.Answer(again.Expect("INVITE "+contact), "486 Busy Here", "b")
			alice.Expect("SIP/2.0 486")
			continue
		}
		alice.Expect("SIP/2.0 480")
		alice.request("MESSAGE", s.URI("bob"), fmt.Sprint("Call-ID: text-", i))
		alice.Expect("SIP/2.0 480")
		same(t, contact+" over UDP", waiting(t, overUDP), 0)
	}
}

func replacer(pairs ...any) *strings.Replacer {
	var text []string
	for _, p := range pairs {
		text = append(text, fmt.Sprint(p))
	}
	return strings.NewReplacer(text...)
}

// waiting returns how many bytes of datagrams wait at a socket.
func waiting(t *testing.T, c net.PacketConn) int {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, _, _ := c.ReadFrom(make([]byte, 1<<16))
	return n
}
