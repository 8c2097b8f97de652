package hostile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// TestResponsesOfStrangers answers a request that was sent to somebody else. A response without the
// branch, the method and the transport of the request is dropped and counted. With all three right
// it is accepted from any address (see transaction.Client).
func TestResponsesOfStrangers(t *testing.T) {
	s := handlertest.Start(t, "hostile_slow_timers\nregister\nproxy")
	alice, bob := udp(t, s, "alice"), registered(t, s, "bob")
	mallory, connected := udp(t, s, "mallory"), tcp(t, s, "mallory")
	stray := func() float64 { return s.Metric("caddy_sip_dropped_total", "reason=stray_response") }
	alice.request("INVITE", s.URI("bob"))
	alice.Expect("SIP/2.0 100")
	invite := bob.Expect("INVITE")
	bob.Answer(invite, "180 Ringing", "b")
	alice.Expect("SIP/2.0 180")

	via := invite.Header("Via")
	_, branch, _ := strings.Cut(via, ";branch=")
	branch, _, _ = strings.Cut(branch, ";")
	last := "0"
	if strings.HasSuffix(branch, "0") {
		last = "1"
	}
	for name, forge := range map[string]*strings.Replacer{
		"another branch":       strings.NewReplacer(branch, "z9hG4bK0123456789abcdef0123456789abcdef"),
		"a branch nearly ours": strings.NewReplacer(branch, branch[:len(branch)-1]+last),
		"a shorter branch":     strings.NewReplacer(branch, branch[:len(branch)-1]),
		"no branch":            strings.NewReplacer(";branch="+branch, ""),
		"the caller's Via":     strings.NewReplacer("Via: "+via+"\r\n", ""),
		"another method":       strings.NewReplacer("CSeq: 1 INVITE", "CSeq: 1 BYE"),
		"an unknown method":    strings.NewReplacer("CSeq: 1 INVITE", "CSeq: 1 INVITED"),
		"a CANCEL's":           strings.NewReplacer("CSeq: 1 INVITE", "CSeq: 1 CANCEL"),
	} {
		forged := invite
		forged.Text = forge.Replace(invite.Text)
		for _, p := range []*phone{mallory, bob, connected} {
			for _, status := range []string{"180 Ringing", "200 OK", "486 Busy Here"} {
				before := stray()
				p.Answer(forged, status, "evil", "Contact: <sip:evil@192.0.2.1>")
				p.Nothing()
				if n := stray() - before; n != 1 {
					t.Errorf("%s, %s over %s: %v were counted", name, status, p.Transport(), n)
				}
			}
		}
		alice.Nothing()
	}
	// Over another transport even the right branch is refused: one seen on a connection cannot be
	// used in a datagram, nor the other way round.
	before := stray()
	connected.Answer(invite, "200 OK", "evil")
	connected.Nothing()
	if n := stray() - before; n != 1 {
		t.Errorf("the right branch by the wrong transport: %v were counted", n)
	}
	alice.Nothing()

	// A phone with two addresses.
	bob.Nothing()
	mallory.Answer(invite, "200 OK", "second", "Contact: <"+bob.contact()+">")
	if m := alice.Expect("SIP/2.0 200"); m.Tag("To") != "second" {
		t.Errorf("the caller gets\n%s", m.Text)
	}
}

// TestCancelOfStrangers cancels what others have called (RFC 3261 §9.2): 481, the callee gets
// nothing, and the caller can still do it.
func TestCancelOfStrangers(t *testing.T) {
	s := handlertest.Start(t, "hostile_slow_timers\nregister\nproxy")
	bob := registered(t, s, "bob")
	udpMallory, tcpMallory := udp(t, s, "mallory"), tcp(t, s, "mallory")
	for _, alice := range []*phone{udp(t, s, "alice"), tcp(t, s, "alice")} {
		t.Run(alice.Transport(), func(t *testing.T) {
			via := alice.request("INVITE", s.URI("bob"))
			alice.Expect("SIP/2.0 100")
			invite := bob.Expect("INVITE")
			bob.Answer(invite, "180 Ringing", "b")
			ringing := alice.Expect("SIP/2.0 180")
			cancel := func(p *phone, edits ...string) {
				p.Send(strings.NewReplacer(edits...).Replace(fmt.Sprintf("CANCEL %s SIP/2.0\n%s\nMax-Forwards: 70\nFrom: %s\nTo: <%s>\nCall-ID: %s\nCSeq: %d CANCEL\n\n",
					s.URI("bob"), via, ringing.Header("From"), s.URI("bob"), ringing.Header("Call-ID"), alice.cseq)))
			}
			for _, mallory := range []*phone{udpMallory, tcpMallory} {
				cancel(mallory)
				mallory.Expect("SIP/2.0 481 ")
				cancel(mallory, ";rport", "")
				// Over UDP the answer goes where the Via says, which is the caller (RFC 3261
				// §18.2.2): 481 to a CANCEL that it never sent.
				if mallory.Transport() == "UDP" && alice.Transport() == "UDP" {
					alice.Expect("SIP/2.0 481 ")
				} else if mallory.Transport() == "TCP" {
					mallory.Expect("SIP/2.0 481 ")
				}
			}
			cancel(alice, "z9hG4bK", "z9hG4bKx")
			alice.Expect("SIP/2.0 481 ")
			bob.Nothing()
			alice.Nothing()

			cancel(alice)
			alice.Expect("SIP/2.0 200 ")
			bob.Answer(bob.Expect("CANCEL"), "200 OK", "")
			bob.Answer(invite, "487 Request Terminated", "b")
			bob.Expect("ACK")
			res := alice.Expect("SIP/2.0 487 ")
			// Too late it is answered, and does nothing.
			cancel(alice)
			alice.Expect("SIP/2.0 200 ")
			alice.again("ACK", s.URI("bob"), "To: "+res.Header("To"))
			bob.Nothing()
		})
	}
}

// TestLateCancel cancels what was answered, and what is over.
func TestLateCancel(t *testing.T) {
	for answer, ack := range map[string]bool{"200 OK": false, "486 Busy Here": true} {
		t.Run(answer, func(t *testing.T) {
			s := handlertest.Start(t, "hostile_fast_timers\nregister\nproxy")
			alice, bob := tcp(t, s, "alice"), tcp(t, s, "bob")
			bob.register()
			alice.request("INVITE", s.URI("bob"))
			alice.Expect("SIP/2.0 100")
			bob.Answer(bob.Expect("INVITE"), answer, "b", "Contact: <"+bob.contact()+">")
			res := alice.Expect("SIP/2.0 " + answer)
			alice.again("CANCEL", s.URI("bob"))
			if m := alice.Expect("SIP/2.0 200 OK"); m.Header("CSeq") != "1 CANCEL" {
				t.Errorf("the answer is\n%s", m.Text)
			}
			if ack {
				alice.again("ACK", s.URI("bob"), "To: "+res.Header("To"))
				bob.Expect("ACK")
			}
			bob.Nothing()
			nothingLeft(t, s)
			alice.again("CANCEL", s.URI("bob"))
			alice.Expect("SIP/2.0 481 ")
			bob.Nothing()
		})
	}
}
