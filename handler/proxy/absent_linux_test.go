package proxy

import (
	"fmt"
	"testing"
)

// TestClosedPort calls phones whose ports are closed, as their host reports. The next one is called
// at once, and the caller gets the response of a phone, or hears that nobody is there.
func TestClosedPort(t *testing.T) {
	for _, fork := range []string{Parallel, Sequential} {
		t.Run(fork, func(t *testing.T) {
			// Time is not what gives them up.
			s := start(t, "register\nproxy {\nfork "+fork+"\nno_response 1h\n}")
			alice, bob := udp(t, s, "alice"), registered(t, s, "bob")
			for i := range 2 {
				gone := udp(t, s, "bob")
				gone.register(fmt.Sprint("Call-ID: gone", i))
				gone.Close()
			}
			alice.invite(s.URI("bob"), "Call-ID: 1")
			bob.Answer(bob.Expect("INVITE "), "486 Busy Here", "t")
			bob.Expect("ACK ")
			alice.Expect("SIP/2.0 486")
			bob.register("Expires: 0")
			alice.invite(s.URI("bob"), "Call-ID: 2")
			alice.Expect("SIP/2.0 480")
			alice.request("MESSAGE", s.URI("bob"), "Call-ID: 3")
			alice.Expect("SIP/2.0 480")
		})
	}
}

// TestClosedServer goes on to the next server when the port of the first is closed.
func TestClosedServer(t *testing.T) {
	_, alice, up := upstreams(t, "", "proxy @calls sip:{1} sip:{2} {\nno_response 1h\n}")
	up[0].Close()
	alice.invite("sip:12@far.example")
	up[1].pickUp(up[1].Expect("INVITE "))
	alice.Expect("SIP/2.0 200")
	up[1].Close()
	alice.invite("sip:12@far.example", "Call-ID: 2")
	alice.Expect("SIP/2.0 500")
}
