package proxy

import (
	"net"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// reaches makes sure that a request of one end gets to somebody, who answers it.
func reaches(t *testing.T, d dialog, to *phone, method string, headers ...string) {
	t.Helper()
	d.send(method, headers...)
	to.Answer(to.Expect(method+" "), "200 OK", "")
	d.Expect("SIP/2.0 200")
}

// TestRebind has a phone whose NAT gives it another port while it is in a call. Until it registers
// again it has to authenticate; then all is as before.
func TestRebind(t *testing.T) {
	for _, role := range []string{"callee", "caller"} {
		t.Run(role, func(t *testing.T) {
			s := start(t, "test_trust\nregister\nproxy")
			const contact = "Contact: <sip:bob@192.168.1.9:5060>"
			bob, alice := registered(t, s, "bob", contact), registered(t, s, "alice")
			here, there := bob, alice
			if role == "callee" {
				here, there = alice, bob
			}
			here.invite(s.URI(there.user), "Contact: <sip:"+here.user+"@192.168.1.9:5060>")
			invite := there.Expect("INVITE ")
			there.pickUp(invite, "Contact: <sip:"+there.user+"@192.168.1.9:5060>")
			caller, callee := here.caller(here.Expect("SIP/2.0 200")), there.callee(invite)
			of := func(p *phone) dialog { // one end as somebody sends it
				d := caller
				if p.user == there.user {
					d = callee
				}
				d.phone = p
				return d
			}
			moved, carol := udp(t, s, "bob"), registered(t, s, "carol")
			moved.cseq, carol.cseq = 50, 150
			of(moved).send("INFO")
			moved.Expect("SIP/2.0 481")
			reaches(t, of(moved), alice, "INFO", "X-User: bob")
			reaches(t, of(alice), bob, "INFO")
			// Another user is not the one who was in the call, nor where bob was.
			d := of(bob)
			d.phone = carol
			d.send("INFO")
			carol.Expect("SIP/2.0 481")
			// Nor by her own name, in the call of others, though she is registered and has a
			// password.
			_, tag, _ := strings.Cut(d.local, ";tag=")
			d.local = "<" + s.URI("carol") + ">;tag=" + tag
			d.target = "sip:alice@192.168.1.9:5060"
			d.send("INFO")
			carol.Expect("SIP/2.0 481")
			d.send("INFO", "X-User: carol")
			carol.Expect("SIP/2.0 403 Private Address Not Allowed")

			moved.register(contact, "Call-ID: again")
			reaches(t, of(moved), alice, "INFO")
			reaches(t, of(alice), moved, "BYE")
			alice.Nothing()
			bob.Nothing()
		})
	}
}

// TestReconnected has a phone whose connection breaks while it is in a call, and who connects and
// registers again.
func TestReconnected(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := registered(t, s, "alice"), newPhone(t, s, s.TCP(), "bob")
	const contact = "Contact: <sip:bob@192.168.1.9:5060;transport=tcp>"
	bob.register(contact)
	alice.invite(s.URI("bob"))
	invite := bob.Expect("INVITE ")
	bob.pickUp(invite, contact)
	call := alice.caller(alice.Expect("SIP/2.0 200"))
	bob.Close()
	call.send("INFO")
	alice.Expect("SIP/2.0 480")

	again := newPhone(t, s, s.TCP(), "bob")
	again.cseq = 50
	callee := bob.callee(invite)
	callee.phone = again
	callee.send("INFO")
	again.Expect("SIP/2.0 481")
	again.register(contact, "Call-ID: again")
	reaches(t, callee, alice, "INFO")
	reaches(t, call, again, "BYE")
}

// TestNeighbour has a neighbour with two addresses. Both are trusted: it may send from the one what
// belongs to a call at the other, and be sent it there.
func TestNeighbour(t *testing.T) {
	s := start(t, "trust 127.0.0.7 127.0.0.8\nregister\nproxy sip:far@127.0.0.7:5069\n")
	first, second, victim := at(t, s, "127.0.0.7", "far"), at(t, s, "127.0.0.8", "far"), at(t, s, "127.0.0.9", "victim")
	s.Load(handlertest.Caddyfile(s.Addr, "test_calm\ntrust 127.0.0.7 127.0.0.8\n@calls not from_user probe\nproxy @calls "+first.contact()))
	alice := udp(t, s, "alice")
	alice.invite("sip:12@far.example")
	invite := first.Expect("INVITE ")
	first.pickUp(invite)
	call := alice.caller(alice.Expect("SIP/2.0 200"))
	callee := first.callee(invite)
	callee.phone = second
	second.cseq = 50
	reaches(t, callee, alice, "INFO")
	callee.target = victim.contact()
	reaches(t, callee, alice, "INFO")

	call.target = second.contact()
	reaches(t, call, second, "INFO")
	call.target = victim.contact()
	reaches(t, call, first, "INFO")
	reaches(t, call, first, "BYE")
	victim.Nothing()
}

// TestNamed has a callee at another address than the one that was called, as its Contact says. Who
// authenticates may name it; who doesn't reaches who was called.
func TestNamed(t *testing.T) {
	c := callOutside(t, "180 Ringing")
	other := at(t, c.s, "127.0.0.8", "other")
	c.far.Answer(c.invite, "200 OK", "tag-far", "Contact: <"+other.contact()+">")
	call := c.alice.caller(c.alice.Expect("SIP/2.0 200"))
	call.send("ACK", "X-User: alice")
	other.Expect("ACK " + other.contact())
	reaches(t, call, c.far, "INFO")
	reaches(t, call, other, "INFO", "X-User: alice")
	// Not so to a user of ours, who is reached where he is.
	bob := registered(t, c.s, "bob")
	c.alice.invite(c.s.URI("bob"), "Call-ID: 2", "X-User: alice")
	invite := bob.Expect("INVITE ")
	bob.pickUp(invite)
	call = c.alice.caller(c.alice.Expect("SIP/2.0 200"))
	call.target = other.contact()
	reaches(t, call, bob, "INFO", "X-User: alice")
	other.Nothing()
}

// TestDialed has a server that is reached by TCP: its connection is made again when it is gone, and
// it may have one of its own.
func TestDialed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.7:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := start(t, "@calls from_user alice\nproxy @calls \"sip:"+l.Addr().String()+";transport=tcp\"\nproxy")
	alice := newPhone(t, s, s.TCP(), "alice")
	alice.invite("sip:12@far.example", "Contact: <sip:alice@192.168.1.9:5060;transport=tcp>")
	far := newPhone(t, s, s.Accept(l), "far")
	invite := far.Expect("INVITE ")
	far.pickUp(invite, "Contact: <sip:far@192.168.1.7;transport=tcp>")
	call := alice.caller(alice.Expect("SIP/2.0 200"))
	call.send("ACK")
	far.Expect("ACK ")

	own := newPhone(t, s, s.TCPFrom("127.0.0.7"), "far")
	own.cseq = 50
	callee := far.callee(invite)
	callee.phone = own
	reaches(t, callee, alice, "INFO")
	stranger := newPhone(t, s, s.TCPFrom("127.0.0.8"), "far")
	callee.phone = stranger
	callee.send("INFO")
	stranger.Expect("SIP/2.0 481")

	far.Close()
	call.send("INFO")
	far = newPhone(t, s, s.Accept(l), "far")
	far.Answer(far.Expect("INFO "), "200 OK", "")
	alice.Expect("SIP/2.0 200")

	// The caller has connected to us, so nobody is to be found where its connection came from.
	alice.Close()
	callee.phone = own
	callee.send("BYE")
	own.Expect("SIP/2.0 480")
}
