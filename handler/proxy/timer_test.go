package proxy

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/module"
)

// TestSilence has a phone that does not answer: an INVITE ends with 408, what is no INVITE with
// nothing (RFC 4320 §4.2).
func TestSilence(t *testing.T) {
	s := start(t, "test_hurry\nregister\nproxy")
	alice, bob := udp(t, s, "alice"), registered(t, s, "bob")
	alice.request("MESSAGE", s.URI("bob"))
	bob.Expect("MESSAGE")
	branch := alice.invite(s.URI("bob"), "Call-ID: 2")
	res := alice.Expect("SIP/2.0 408")
	has(t, res, " INVITE\r\n")
	alice.ack(branch, s.URI("bob"), res)
	// The MESSAGE has timed out before the INVITE: what else can come is the 408 once more.
	alice.request("OPTIONS", "sip:127.0.0.1")
	for m := alice.Receive(); m.Line() != "SIP/2.0 200 OK"; m = alice.Receive() {
		same(t, "what comes", m.Text, res.Text)
	}
}

// TestLateMessage drops the 408 that a phone itself gives to what is no INVITE (RFC 4320 §4.2).
func TestLateMessage(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := udp(t, s, "alice"), registered(t, s, "bob")
	alice.request("MESSAGE", s.URI("bob"))
	bob.Answer(bob.Expect("MESSAGE"), "408 Request Timeout", "b")
	bob.Nothing()
	alice.Nothing()
}

// TestTrying gives who waits long for the answer to what is no INVITE a 100, over every transport,
// and not before its client repeats it only every T2: with the timers of RFC 3261 after 0.5, 1 and
// 2 seconds (RFC 4320 §4.1). Then it gets the answer.
func TestTrying(t *testing.T) {
	before := tryingDelay
	t.Cleanup(func() { tryingDelay = before })
	if before != 500*time.Millisecond+time.Second+2*time.Second {
		t.Errorf("it gets one after %v", before)
	}
	tryingDelay = 300 * time.Millisecond
	s := start(t, "register\nproxy")
	bob := registered(t, s, "bob")
	for _, alice := range []*phone{udp(t, s, "alice"), newPhone(t, s, s.TCP(), "alice")} {
		for _, method := range []string{"MESSAGE", "BYE"} {
			alice.request(method, s.URI("bob"))
			m := bob.Expect(method)
			alice.Expect("SIP/2.0 100 Trying\r\n")
			bob.Answer(m, "200 OK", "b")
			alice.Expect("SIP/2.0 200")
		}
	}
}

// TestTimerC cancels a phone that rings too long, and tries the next.
func TestTimerC(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy {\ntimeout 300ms\n}", "1", "0.5")
	alice.invite(s.URI("bob"))
	for _, p := range phones {
		invite := p.Expect("INVITE")
		p.Answer(invite, "180 Ringing", "b")
		alice.Expect("SIP/2.0 180")
		cancel := p.Expect("CANCEL " + p.contact())
		same(t, "Via of the CANCEL", cancel.Header("Via"), invite.Header("Via"))
		p.Answer(cancel, "200 OK", "")
		p.Answer(invite, "487 Request Terminated", "b")
		p.Expect("ACK")
	}
	alice.Expect("SIP/2.0 408 Request Timeout\r\n")
	alice.Nothing() // and no 487
}

// TestTimerCSilent gives up a phone that has said nothing at all. When it does, it gets the CANCEL.
func TestTimerCSilent(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy {\ntimeout 300ms\n}", "1")
	bob := phones[0]
	alice.invite(s.URI("bob"))
	invite := bob.Expect("INVITE")
	alice.Expect("SIP/2.0 408")
	bob.Answer(invite, "180 Ringing", "b")
	bob.Expect("CANCEL")
	alice.Nothing()
}

// TestCallerGone cancels the call of somebody who can no longer be told of it.
func TestCallerGone(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := newPhone(t, s, s.TCP(), "alice"), registered(t, s, "bob")
	alice.invite(s.URI("bob"))
	invite := bob.Expect("INVITE")
	alice.Close()
	for {
		// It is noticed when something is to be sent.
		bob.Answer(invite, "180 Ringing", "b")
		bob.request("OPTIONS", "sip:127.0.0.1")
		if m := bob.Receive(); m.Header("CSeq") == "1 CANCEL" {
			return
		}
	}
}

func init() { caddy.RegisterModule(new(watch)) }

// watch tells when the ResponseWriter that it hands to the next handler is garbage.
type watch struct{ trust }

var collected = make(chan struct{}, 100)

func (*watch) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.test_watch", New: func() caddy.Module { return new(watch) }}
}

type watched struct{ module.ResponseWriter }

func (*watch) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	ww := &watched{w}
	runtime.AddCleanup(ww, func(struct{}) { collected <- struct{}{} }, struct{}{})
	return next(ww, r)
}

// TestNothingKept makes sure that nothing holds a call's state once its transactions have ended.
func TestNothingKept(t *testing.T) {
	s := start(t, "test_hurry\nregister\n@calls method INVITE MESSAGE\ntest_watch @calls\nproxy")
	alice, bob := udp(t, s, "alice"), registered(t, s, "bob")
	for len(collected) > 0 {
		<-collected
	}
	alice.invite(s.URI("bob"))
	invite := bob.Expect("INVITE")
	bob.Answer(invite, "180 Ringing", "b")
	alice.Expect("SIP/2.0 180")
	bob.pickUp(invite)
	alice.caller(alice.Expect("SIP/2.0 200")).send("ACK")
	alice.request("MESSAGE", s.URI("bob"))
	m := bob.Receive()
	for !strings.HasPrefix(m.Text, "MESSAGE") { // the INVITE may have been repeated
		m = bob.Receive()
	}
	bob.Answer(m, "200 OK", "b")
	alice.Expect("SIP/2.0 200")
	alice.request("MESSAGE", s.URI("bob"), "Call-ID: silence")
	for range 3 {
		deadline := time.After(20 * time.Second)
		for done := false; !done; {
			runtime.GC()
			select {
			case <-collected:
				done = true
			case <-deadline:
				t.Fatal("the state of a request is kept")
			default:
			}
		}
	}
}
