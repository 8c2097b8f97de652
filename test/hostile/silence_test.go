package hostile

import (
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// repeats counts how often a message is repeated until another one comes, which it returns.
func repeats(p *phone, first handlertest.Message, until string) (n int, last handlertest.Message) {
	p.t.Helper()
	for n = 1; ; n++ {
		m := p.Receive()
		if m.Text == first.Text {
			continue
		}
		if !strings.HasPrefix(m.Text, until) {
			p.t.Fatalf("%s gets\n%s\nafter\n%s", p.user, m.Text, first.Text)
		}
		return n, m
	}
}

// TestPhoneIsSilent sends requests to a phone that never answers: timers B and F end them, and no
// transaction is left.
func TestPhoneIsSilent(t *testing.T) {
	s := handlertest.Start(t, "hostile_fast_timers\nregister\nproxy")
	alice, bob := udp(t, s, "alice"), registered(t, s, "bob")
	for _, test := range []struct {
		method string
		most   int // RFC 3261 §17.1.1.2 and §17.1.2.2
	}{
		{"INVITE", 7}, {"MESSAGE", 11}, {"OPTIONS", 11}, {"INVITE", 7},
	} {
		alice.request(test.method, s.URI("bob"))
		first := bob.Expect(test.method + " " + bob.contact())
		if test.method == "INVITE" {
			alice.Expect("SIP/2.0 100")
			res := alice.Expect("SIP/2.0 408 Request Timeout\r\n")
			alice.again("ACK", s.URI("bob"), "To: "+res.Header("To"))
			alice.Ignore(res)
		}
		nothingLeft(t, s)
		bob.request("OPTIONS", "sip:127.0.0.1")
		if n, _ := repeats(bob, first, "SIP/2.0 200"); n < 2 || n > test.most {
			t.Errorf("the phone gets the %s %d times, want at most %d", test.method, n, test.most)
		}
		alice.Nothing() // what is no INVITE is not answered that late (RFC 4320 §4.2)
	}
}

// TestSnomIsSilent has a Snom phone that dials a lamp's number and answers nothing.
func TestSnomIsSilent(t *testing.T) {
	s := handlertest.Start(t, "hostile_fast_timers\nsnom_lrc")
	counted := func() float64 { return s.Metric("caddy_sip_lrc_pushes_total", "outcome=timeout") }
	for _, p := range []*phone{udp(t, s, "snom"), tcp(t, s, "snomtcp")} {
		before := counted()
		p.request("INVITE", s.URI("433"), "User-Agent: snom370/8.7.5.35")
		p.Expect("SIP/2.0 404 Not a call")
		first := p.Expect("MESSAGE " + p.contact())
		nothingLeft(t, s)
		eventually(t, "the timeout to be counted", func() bool { return counted() == before+1 })
		p.request("OPTIONS", "sip:127.0.0.1")
		most := 4 // its address is not validated
		if p.Transport() == "TCP" {
			most = 1
		}
		if n, _ := repeats(p, first, "SIP/2.0 200"); n > most {
			t.Errorf("the phone gets the MESSAGE %d times over %s, want at most %d", n, p.Transport(), most)
		}
	}
}

// TestPhoneAnswersTwice: the first final response counts, but every 2xx to an INVITE goes on (RFC
// 3261 §16.7 step 5, RFC 6026 §7.2).
func TestPhoneAnswersTwice(t *testing.T) {
	s := handlertest.Start(t, "hostile_slow_timers\nregister\nproxy")
	alice, bob := udp(t, s, "alice"), registered(t, s, "bob")
	for _, test := range []struct {
		method  string
		answers []string // by the phone
		want    []string // what the caller gets of them
		acks    int      // of the server: one each time that a failure comes (RFC 3261 §17.1.1.2)
	}{
		{"INVITE", []string{"486 Busy Here", "603 Decline"}, []string{"486 Busy Here"}, 2},
		{"INVITE", []string{"486 Busy Here", "200 OK"}, []string{"486 Busy Here"}, 1},
		{"INVITE", []string{"486 Busy Here", "180 Ringing"}, []string{"486 Busy Here"}, 1},
		{"INVITE", []string{"486 Busy Here", "486 Busy Here", "486 Busy Here"}, []string{"486 Busy Here"}, 3},
		{"INVITE", []string{"200 OK", "200 OK", "200 OK"}, []string{"200 OK", "200 OK", "200 OK"}, 0},
		{"INVITE", []string{"200 OK", "486 Busy Here", "200 OK"}, []string{"200 OK", "200 OK"}, 0},
		{"INVITE", []string{"200 OK", "180 Ringing", "603 Decline"}, []string{"200 OK"}, 0},
		{"INVITE", []string{"180 Ringing", "180 Ringing", "200 OK"}, []string{"180 Ringing", "180 Ringing", "200 OK"}, 0},
		{"MESSAGE", []string{"200 OK", "486 Busy Here"}, []string{"200 OK"}, 0},
		{"MESSAGE", []string{"486 Busy Here", "200 OK"}, []string{"486 Busy Here"}, 0},
		{"MESSAGE", []string{"200 OK", "200 OK", "100 Trying"}, []string{"200 OK"}, 0},
	} {
		t.Run(test.method+" "+strings.Join(test.answers, ","), func(t *testing.T) {
			alice.request(test.method, s.URI("bob"))
			if test.method == "INVITE" {
				alice.Expect("SIP/2.0 100")
			}
			m := bob.Expect(test.method)
			for _, a := range test.answers {
				bob.Answer(m, a, "b", "Contact: <"+bob.contact()+">")
			}
			for range test.acks {
				bob.Expect("ACK " + bob.contact())
			}
			bob.Nothing()
			var last handlertest.Message
			for _, want := range test.want {
				last = alice.Expect("SIP/2.0 " + want + "\r\n")
			}
			if !strings.HasPrefix(last.Text, "SIP/2.0 200") && test.method == "INVITE" {
				alice.again("ACK", s.URI("bob"), "To: "+last.Header("To"))
			}
			alice.Nothing()
		})
	}
}
