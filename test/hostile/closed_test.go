package hostile

import (
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// TestConnectionOfThePhoneCloses: when a phone's connection closes, requests that wait for it are
// answered at once, and not after their timeout, which is minutes off here.
func TestConnectionOfThePhoneCloses(t *testing.T) {
	s := handlertest.Start(t, "hostile_slow_timers\nregister\nproxy")
	alice := udp(t, s, "alice")
	for _, test := range []struct{ method, answer, want string }{
		{"INVITE", "", "480 Temporarily Unavailable"},
		{"INVITE", "180 Ringing", "480 Temporarily Unavailable"},
		{"MESSAGE", "", "480 Temporarily Unavailable"},
		{"MESSAGE", "100 Trying", "480 Temporarily Unavailable"},
	} {
		t.Run(test.method+" "+test.answer, func(t *testing.T) {
			bob := tcp(t, s, "bob")
			bob.register("Contact: <sip:bob@192.0.2.7;transport=tcp>", "Call-ID: "+bob.Addr.String()) // behind NAT
			alice.request(test.method, s.URI("bob"))
			if test.method == "INVITE" {
				alice.Expect("SIP/2.0 100")
			}
			m := bob.Expect(test.method)
			if test.answer != "" {
				bob.Answer(m, test.answer, "b")
				if test.method == "INVITE" {
					alice.Expect("SIP/2.0 180")
				} else {
					bob.Nothing() // so that it has arrived
				}
			}
			bob.Close()
			res := alice.Expect("SIP/2.0 " + test.want)
			if test.method == "INVITE" {
				alice.again("ACK", s.URI("bob"), "To: "+res.Header("To"))
			}
			alice.Nothing()
		})
	}
}

// TestConnectionOfOnePhoneCloses: the other phones of the user go on ringing.
func TestConnectionOfOnePhoneCloses(t *testing.T) {
	s := handlertest.Start(t, "hostile_slow_timers\nregister\nproxy")
	alice, desk, mobile := udp(t, s, "alice"), tcp(t, s, "bob"), udp(t, s, "bob")
	desk.register("Call-ID: desk")
	mobile.register("Call-ID: mobile")
	alice.request("INVITE", s.URI("bob"))
	alice.Expect("SIP/2.0 100")
	desk.Expect("INVITE")
	invite := mobile.Expect("INVITE")
	desk.Close()
	mobile.Answer(invite, "180 Ringing", "m")
	alice.Expect("SIP/2.0 180")
	mobile.Nothing() // no CANCEL
	mobile.Answer(invite, "200 OK", "m", "Contact: <"+mobile.contact()+">")
	alice.Expect("SIP/2.0 200")
}

// TestConnectionToAnUpstreamCloses: the next upstream is tried.
func TestConnectionToAnUpstreamCloses(t *testing.T) {
	broken, next := listenTCP(t), listenTCP(t)
	s := handlertest.Start(t, "hostile_slow_timers\n@calls method INVITE\nproxy @calls sip:"+broken.Addr().String()+";transport=tcp sip:"+next.Addr().String()+";transport=tcp")
	alice := udp(t, s, "alice")
	alice.request("INVITE", "sip:bob@"+s.Addr.Addr().String())
	alice.Expect("SIP/2.0 100")
	first := accept(t, broken)
	first.expect("INVITE ")
	first.Close()
	second := accept(t, next)
	second.expect("INVITE sip:bob@" + next.Addr().String())
	second.Close()
	alice.Expect("SIP/2.0 500 ") // a 503 that all of them amount to (RFC 3261 §16.7 step 6)
	alice.Nothing()
}

// TestSnomConnectionCloses: the MESSAGE that sets the lamp fails, and no transaction is left.
func TestSnomConnectionCloses(t *testing.T) {
	s := handlertest.Start(t, "hostile_slow_timers\nsnom_lrc")
	failed := func() float64 { return s.Metric("caddy_sip_lrc_pushes_total", "outcome=failed") }
	before := failed()
	p := tcp(t, s, "snom")
	p.request("INVITE", s.URI("433"), "User-Agent: snom370/8.7.5.35")
	p.Expect("SIP/2.0 404")
	p.Expect("MESSAGE ")
	p.Close()
	nothingLeft(t, s)
	eventually(t, "the failure to be counted", func() bool { return failed() == before+1 })
}
