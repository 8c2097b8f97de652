package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/wire"
)

// house starts a server and registers phones of bob, one for each q.
func house(t *testing.T, directives string, q ...string) (s *handlertest.Server, alice *phone, phones []*phone) {
	t.Helper()
	s = start(t, directives)
	for _, v := range q {
		p := udp(t, s, "bob")
		p.register(fmt.Sprintf("Contact: <%s>;q=%s", p.contact(), v), "Call-ID: reg-"+p.Addr.String())
		phones = append(phones, p)
	}
	return s, udp(t, s, "alice"), phones
}

// TestFork rings three phones at once. The one that is picked up gets the call, the others a
// CANCEL.
func TestFork(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy", "1", "1", "1")
	alice.invite(s.URI("bob"))
	var invites []handlertest.Message
	branches := make(map[string]bool)
	for i, p := range phones {
		invites = append(invites, p.Expect("INVITE "+p.contact()))
		branches[invites[i].Header("Via")] = true
		same(t, "Max-Breadth", invites[i].Header("Max-Breadth"), "20")
		p.Answer(invites[i], "180 Ringing", fmt.Sprint("t", i))
		same(t, "tag of the 180", alice.Expect("SIP/2.0 180").Tag("To"), fmt.Sprint("t", i))
	}
	same(t, "different Vias", len(branches), 3)

	phones[1].Answer(invites[1], "200 OK", "t1", "Contact: <"+phones[1].contact()+">")
	same(t, "tag of the 200", alice.Expect("SIP/2.0 200").Tag("To"), "t1")
	phones[1].Nothing() // who has answered is not cancelled
	for _, i := range []int{0, 2} {
		cancel := phones[i].Expect("CANCEL " + phones[i].contact())
		same(t, "Via of the CANCEL", cancel.Header("Via"), invites[i].Header("Via"))
		same(t, "Reason", strings.Join(cancel.Headers("Reason"), "|"), `SIP;cause=200;text="Call completed elsewhere"`)
		phones[i].Answer(cancel, "200 OK", "")
		phones[i].Answer(invites[i], "487 Request Terminated", fmt.Sprint("t", i))
		phones[i].Expect("ACK")
	}
	alice.Nothing() // no 487

	// A 2xx of another branch that crossed the CANCEL is a call of its own: it is relayed (RFC 6026
	// §7.1), what else comes is not.
	phones[1].Answer(invites[1], "200 OK", "t1b", "Contact: <"+phones[1].contact()+">")
	same(t, "tag of the second 200", alice.Expect("SIP/2.0 200").Tag("To"), "t1b")
}

// TestForkGlare has two phones pick up at the same time: both 200 reach the caller.
func TestForkGlare(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy", "1", "1")
	alice.invite(s.URI("bob"))
	first, second := phones[0].Expect("INVITE"), phones[1].Expect("INVITE")
	phones[0].Answer(first, "180 Ringing", "t0")
	phones[1].Answer(second, "180 Ringing", "t1")
	alice.Expect("SIP/2.0 180")
	alice.Expect("SIP/2.0 180")
	phones[0].Answer(first, "200 OK", "t0", "Contact: <"+phones[0].contact()+">")
	same(t, "tag", alice.Expect("SIP/2.0 200").Tag("To"), "t0")
	cancel := phones[1].Expect("CANCEL")
	phones[1].Answer(second, "200 OK", "t1", "Contact: <"+phones[1].contact()+">")
	phones[1].Answer(cancel, "200 OK", "")
	res := alice.Expect("SIP/2.0 200")
	same(t, "tag", res.Tag("To"), "t1")
	alice.caller(res).send("ACK")
	phones[1].Expect("ACK")
	phones[0].Nothing()
}

// TestSequential tries contacts by their q, or all one after the other.
func TestSequential(t *testing.T) {
	for _, test := range []struct{ directives, q1, q2 string }{
		{"proxy", "0.9", "0.1"},
		{"proxy {\nfork sequential\n}", "1", "0.5"},
	} {
		t.Run(test.q1, func(t *testing.T) {
			s, alice, phones := house(t, "register\n"+test.directives, test.q1, test.q2)
			alice.invite(s.URI("bob"))
			invite := phones[0].Expect("INVITE")
			same(t, "Max-Breadth", invite.Header("Max-Breadth"), "30") // so that a circle of users ends
			phones[1].Nothing()
			phones[0].Answer(invite, "486 Busy Here", "t0")
			phones[0].Expect("ACK")
			second := phones[1].Expect("INVITE")
			alice.Nothing() // the 486 waits
			phones[1].Answer(second, "200 OK", "t1", "Contact: <"+phones[1].contact()+">")
			same(t, "tag", alice.Expect("SIP/2.0 200").Tag("To"), "t1")
			phones[0].Nothing()
		})
	}
}

// TestSequentialEqual tries contacts with the same q one after the other.
func TestSequentialEqual(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy {\nfork sequential\n}", "1", "1")
	alice.invite(s.URI("bob"))
	// The latest is the first.
	phones[1].Answer(phones[1].Expect("INVITE"), "480 Absent", "t1")
	phones[0].Answer(phones[0].Expect("INVITE"), "486 Busy Here", "t0")
	alice.Expect("SIP/2.0 486 Busy Here")
}

// TestBest chooses among the failures of three phones (RFC 3261 §16.7 step 6).
func TestBest(t *testing.T) {
	for _, test := range []struct {
		answers [3]string
		want    string
	}{
		{[3]string{"486 Busy Here", "404 Not Found", "480 Absent"}, "486 Busy Here"},
		{[3]string{"404 Not Found", "488 Not Acceptable Here", "486 Busy Here"}, "486 Busy Here"},
		{[3]string{"486 Busy Here", "302 Moved", "500 Oops"}, "302 Moved"},
		{[3]string{"500 Oops", "503 Overload", "408 Late"}, "408 Late"},
		{[3]string{"503 Overload", "500 Oops", "503 Overload"}, "500 Oops"},
		{[3]string{"503 Overload", "503 Overload", "503 Overload"}, "500 Server Internal Error"},
		{[3]string{"486 Busy Here", "415 Bad Media", "404 Not Found"}, "415 Bad Media"},
		{[3]string{"408 Late", "486 Busy Here", "408 Late"}, "486 Busy Here"},
	} {
		t.Run(strings.Join(test.answers[:], ","), func(t *testing.T) {
			s, alice, phones := house(t, "register\nproxy", "1", "1", "1")
			branch := alice.invite(s.URI("bob"))
			for i, p := range phones {
				invite := p.Expect("INVITE")
				if i == 2 {
					alice.Nothing() // nothing before the last
				}
				p.Answer(invite, test.answers[i], fmt.Sprint("t", i), "Contact: <sip:bob@192.0.2.1>")
				p.Expect("ACK")
			}
			res := alice.Expect("SIP/2.0 " + test.want + "\r\n")
			alice.ack(branch, s.URI("bob"), res)
			alice.Nothing()
			for _, p := range phones {
				p.Nothing() // neither CANCEL nor the caller's ACK
			}
		})
	}
}

// TestDecline has one phone decline for all: the others are cancelled, and 6xx is the answer
// whatever they say.
func TestDecline(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy", "1", "1", "0.5")
	alice.invite(s.URI("bob"))
	first, second := phones[0].Expect("INVITE"), phones[1].Expect("INVITE")
	phones[1].Answer(second, "180 Ringing", "t1")
	alice.Expect("SIP/2.0 180")
	phones[0].Answer(first, "603 Decline", "t0")
	cancel := phones[1].Expect("CANCEL")
	same(t, "Reason", cancel.Header("Reason"), `SIP;cause=603;text="Declined elsewhere"`)
	alice.Nothing() // it waits for the others (RFC 3261 §16.7 step 5)
	phones[1].Answer(cancel, "200 OK", "")
	phones[1].Answer(second, "487 Request Terminated", "t1")
	alice.Expect("SIP/2.0 603 Decline")
	phones[2].Nothing() // not tried any more
}

// TestChallenges gives the caller the challenges of all phones (RFC 3261 §16.7 step 7).
func TestChallenges(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy", "1", "1", "1")
	alice.invite(s.URI("bob"))
	phones[0].Answer(phones[0].Expect("INVITE"), "407 Who", "t0", `Proxy-Authenticate: Digest realm="a", nonce="1"`)
	phones[1].Answer(phones[1].Expect("INVITE"), "404 Not Found", "t1", `WWW-Authenticate: Digest realm="no"`)
	phones[2].Answer(phones[2].Expect("INVITE"), "401 Who", "t2", `WWW-Authenticate: Digest realm="b", nonce="2"`, `Proxy-Authenticate: Digest realm="c"`)
	res := alice.Expect("SIP/2.0 40")
	proxies := res.Headers("Proxy-Authenticate")
	slices.Sort(proxies)
	same(t, "Proxy-Authenticate", strings.Join(proxies, "|"), `Digest realm="a", nonce="1"|Digest realm="c"`)
	same(t, "WWW-Authenticate", strings.Join(res.Headers("WWW-Authenticate"), "|"), `Digest realm="b", nonce="2"`)
	same(t, "status", res.Line() == "SIP/2.0 407 Who" || res.Line() == "SIP/2.0 401 Who", true)
}

// TestForkMessage forks what is no INVITE: the first 2xx is the answer, and there is nothing to
// cancel.
func TestForkMessage(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy", "1", "1")
	alice.request("MESSAGE", s.URI("bob"))
	first, second := phones[0].Expect("MESSAGE"), phones[1].Expect("MESSAGE")
	phones[0].Answer(first, "180 Ringing", "t0") // only an INVITE rings (RFC 4320 §4.1)
	phones[0].Answer(first, "404 Not Found", "t0")
	phones[1].Answer(second, "200 OK", "t1")
	alice.Expect("SIP/2.0 200")
	phones[1].Answer(second, "200 OK", "t1b")
	phones[1].Nothing()
	phones[0].Nothing()
	alice.Nothing()
}

// TestMaxBreadth bounds what one request may become (RFC 5393 §5.3.3).
func TestMaxBreadth(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy", "1", "1")
	alice.request("INVITE", s.URI("bob"), "Max-Breadth: 5")
	alice.Expect("SIP/2.0 100")
	for _, p := range phones {
		invite := p.Expect("INVITE")
		same(t, "Max-Breadth", strings.Join(invite.Headers("Max-Breadth"), "|"), "2")
		p.Answer(invite, "486 Busy Here", "t")
	}
	alice.Expect("SIP/2.0 486")
	alice.request("MESSAGE", s.URI("bob"), "Max-Breadth: 1", "Call-ID: other")
	alice.Expect("SIP/2.0 440 Max-Breadth Exceeded\r\n")
	for _, p := range phones {
		p.Expect("ACK")
		p.Nothing()
	}
	for _, given := range []string{"1000000", "99999999999999999999999", "61"} { // nobody gets more than the default
		alice.request("MESSAGE", s.URI("bob"), "Max-Breadth: "+given, "Call-ID: "+given)
		for _, p := range phones {
			m := p.Expect("MESSAGE")
			same(t, "Max-Breadth", strings.Join(m.Headers("Max-Breadth"), "|"), "30")
			p.Answer(m, "486 Busy Here", "t")
		}
		alice.Expect("SIP/2.0 486")
	}
	for _, given := range []string{"0", "-1", "many"} {
		alice.request("MESSAGE", s.URI("bob"), "Max-Breadth: "+given, "Call-ID: "+given)
		alice.Expect("SIP/2.0 440")
		phones[0].Nothing()
		phones[1].Nothing()
	}
}

// TestMaxBreadthSequential tries as many, one after the other, as the request may still become.
func TestMaxBreadthSequential(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy", "1", "0.5")
	alice.request("MESSAGE", s.URI("bob"), "Max-Breadth: 1")
	m := phones[0].Expect("MESSAGE")
	same(t, "Max-Breadth", strings.Join(m.Headers("Max-Breadth"), "|"), "1")
	phones[0].Answer(m, "486 Busy Here", "t")
	alice.Expect("SIP/2.0 486 Busy Here\r\n")
	phones[1].Nothing()
}

// TestInstance rings a phone with two flows once (RFC 5626 §5.3).
func TestInstance(t *testing.T) {
	for _, transport := range []string{"UDP", "TCP"} {
		t.Run(transport, func(t *testing.T) {
			s := start(t, "register\nproxy")
			peer := s.UDP
			if transport == "TCP" {
				peer = s.TCP
			}
			alice, first, second := udp(t, s, "alice"), newPhone(t, s, peer(), "bob"), newPhone(t, s, peer(), "bob")
			for i, p := range []*phone{first, second} {
				p.register(fmt.Sprintf(`Contact: <sip:bob@192.0.2.1>;+sip.instance="<urn:uuid:1>";reg-id=%d`, i+1),
					fmt.Sprint("Call-ID: reg", i))
			}
			alice.invite(s.URI("bob"))
			invite := second.Expect("INVITE")
			none(t, invite, "Max-Breadth")
			first.Nothing()
			second.Answer(invite, "486 Busy Here", "t")
			alice.Expect("SIP/2.0 486")
			first.Nothing()
		})
	}
}

// TestTwoInstances rings two phones, though each has a flow with another number.
func TestTwoInstances(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, first, second := udp(t, s, "alice"), newPhone(t, s, s.TCP(), "bob"), newPhone(t, s, s.TCP(), "bob")
	for i, p := range []*phone{first, second} {
		p.register(fmt.Sprintf(`Contact: <sip:bob@192.0.2.1;way=%[1]d>;+sip.instance="<urn:uuid:%[1]d>";reg-id=%[1]d`, i+1),
			fmt.Sprint("Call-ID: reg", i))
	}
	alice.invite(s.URI("bob"))
	first.Expect("INVITE")
	second.Answer(second.Expect("INVITE"), "200 OK", "t")
	alice.Expect("SIP/2.0 200")
}

// TestInstanceOtherWay calls a phone over its other flow when the latest one fails.
func TestInstanceOtherWay(t *testing.T) {
	for name, lost := range map[string]func(*testing.T, *phone){
		"port closed":      func(_ *testing.T, p *phone) { p.Close() },
		"edge has lost it": func(_ *testing.T, p *phone) { p.Answer(p.Expect("INVITE"), "430 Flow Failed", "t") },
		"edge is no more": func(_ *testing.T, p *phone) {
			p.Answer(p.Expect("INVITE"), "503 Service Unavailable",
				"t")
		},
		"it is busy, though": func(_ *testing.T, p *phone) { p.Answer(p.Expect("INVITE"), "486 Busy Here", "t") },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, "register\nproxy")
			alice, first, second := udp(t, s, "alice"), udp(t, s, "bob"), udp(t, s, "bob")
			for i, p := range []*phone{first, second} {
				p.register(fmt.Sprintf(`Contact: <sip:bob@192.0.2.1;way=%d>;+sip.instance="<urn:uuid:1>";reg-id=%[1]d`,
					i+1), fmt.Sprint("Call-ID: reg", i))
			}
			if name == "port closed" {
				lost(t, second)
				alice.invite(s.URI("bob"))
			} else {
				alice.invite(s.URI("bob"))
				lost(t, second)
			}
			if strings.HasPrefix(name, "it is busy") {
				alice.Expect("SIP/2.0 486")
				first.Nothing()
				return
			}
			first.Answer(first.Expect("INVITE sip:bob@192.0.2.1;way=1"), "200 OK", "t")
			alice.Expect("SIP/2.0 200")
		})
	}
}

// TestSuperseded restarts a phone: it is called at its new Contact only, until it turns out that
// there are two phones.
func TestSuperseded(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, before, after := udp(t, s, "alice"), udp(t, s, "bob"), udp(t, s, "bob")
	register := func(p *phone, callID string, cseq int) {
		p.register(fmt.Sprintf(`Contact: <sip:bob@192.0.2.1;line=%s>;+sip.instance="<urn:uuid:1>"`, callID),
			"Call-ID: "+callID, fmt.Sprintf("CSeq: %d REGISTER", cseq))
	}
	register(before, "a", 1)
	register(after, "b", 1)
	alice.request("MESSAGE", s.URI("bob"))
	after.Answer(after.Expect("MESSAGE sip:bob@192.0.2.1;line=b"), "200 OK", "t")
	alice.Expect("SIP/2.0 200")
	before.Nothing()

	register(before, "a", 2)
	alice.request("MESSAGE", s.URI("bob"), "CSeq: 2 MESSAGE")
	before.Expect("MESSAGE sip:bob@192.0.2.1;line=a")
	after.Answer(after.Expect("MESSAGE sip:bob@192.0.2.1;line=b"), "200 OK", "t")
	alice.Expect("SIP/2.0 200")
}

// TestInstanceFlowFailed rings a phone by its other flow when the latest has gone.
func TestInstanceFlowFailed(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, first, second := udp(t, s, "alice"), newPhone(t, s, s.TCP(), "bob"), newPhone(t, s, s.TCP(), "bob")
	for i, p := range []*phone{first, second} {
		p.register(fmt.Sprintf(`Contact: <sip:bob@192.0.2.1>;+sip.instance="<urn:uuid:1>";reg-id=%d`, i+1), fmt.Sprint("Call-ID: reg", i))
	}
	latest := inside.AppOf(s.App()).Location().Lookup([]byte("bob@localhost"), nil)[0]
	second.Close()
	<-latest.Flow().Conn.Done()
	alice.invite(s.URI("bob"))
	first.Answer(first.Expect("INVITE"), "200 OK", "t")
	alice.Expect("SIP/2.0 200")
}

// TestRank gives the caller the response that helps him most (RFC 3261 §16.7 step 6).
func TestRank(t *testing.T) {
	for _, test := range []struct{ first, second, want string }{
		{"486", "401", "401"}, {"486", "407", "407"}, {"404", "484", "484"}, {"404", "486", "486"}, {"480", "302", "302"},
		{"500", "404", "404"}, {"408", "404", "404"}, {"500", "408", "408"}, {"404", "603", "603"}, {"500", "501", "500"},
	} {
		var b best
		for _, text := range []string{test.first, test.second} {
			m := new(wire.Message)
			if err := m.Parse([]byte("SIP/2.0 " + text + " X\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=a\r\nTo: <sip:b@x>;tag=b\r\n" +
				"Call-ID: c\r\nCSeq: 1 INVITE\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			b.consider(m, m.Status, "", false)
		}
		if got := fmt.Sprint(b.response().Status); got != test.want {
			t.Errorf("of %s and %s the caller gets %s, want %s", test.first, test.second, got, test.want)
		}
	}
}

// TestLeftOver calls a user of whose two phones one answers and the other's connection has gone.
func TestLeftOver(t *testing.T) {
	for _, said := range []string{"486 Busy Here", "404 Not Found", "500 Oops"} {
		t.Run(said, func(t *testing.T) {
			s := start(t, "register\nproxy")
			alice, gone, bob := udp(t, s, "alice"), newPhone(t, s, s.TCP(), "bob"), udp(t, s, "bob")
			gone.register("Contact: <sip:bob@192.0.2.1;transport=tcp>", "Call-ID: gone")
			lost := inside.AppOf(s.App()).Location().Lookup([]byte("bob@localhost"), nil)[0]
			gone.Close()
			<-lost.Flow().Conn.Done()
			bob.register("Call-ID: there")
			alice.invite(s.URI("bob"))
			bob.Answer(bob.Expect("INVITE"), said, "t")
			alice.Expect("SIP/2.0 " + said + "\r\n")
		})
	}
}

// TestNoRecordRouteWithinCall has no Record-Route in a request within a call: its route is made already.
func TestNoRecordRouteWithinCall(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := udp(t, s, "alice"), registered(t, s, "bob")
	alice.invite(s.URI("bob"))
	invite := bob.Expect("INVITE")
	has(t, invite, "\r\nRecord-Route: ")
	bob.pickUp(invite)
	ok := alice.Expect("SIP/2.0 200")
	alice.Ignore(ok)
	alice.caller(ok).send("INVITE")
	alice.Expect("SIP/2.0 100")
	again := bob.Expect("INVITE")
	none(t, again, "\r\nRecord-Route: ")
	bob.Answer(again, "488 Not Acceptable Here", "")
	alice.Expect("SIP/2.0 488")
}
