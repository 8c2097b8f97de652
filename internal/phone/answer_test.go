package phone

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const offer = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"

// TestAnswer is a call to the phone through two proxies, which the caller ends.
func TestAnswer(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		s := listen(t, transport, "127.0.0.1")
		p := s.start(Config{Transport: transport})
		s.register(p)
		routes := "Record-Route: <sip:" + s.addr + ";lr>;a=1, <sip:p2.example;lr>"
		invite := s.request("INVITE", p.Contact(), offer, "Content-Type: application/sdp", routes, "From: \"Bob\" <sip:102@stub>;tag=s")
		ringing := s.next("SIP/2.0 180")
		c, err := p.WaitIncoming(timeout(t))
		if err != nil {
			t.Fatal(err)
		}
		if !c.Incoming || c.Number != "102" || c.State() != Ringing {
			t.Errorf("%+v", c)
		}
		done := async(func() error { return c.Answer(timeout(t)) })
		ok := s.next("SIP/2.0 200")
		for _, r := range []message{ringing, ok} {
			if !regexp.MustCompile(`^<sip:101@stub>;tag=[a-z0-9]{10}$`).MatchString(r.get("To")) || r.get("To") != ringing.get("To") ||
				r.get("Contact") != "<"+p.Contact()+">" || "Record-Route: "+r.get("Record-Route") != routes || !strings.HasPrefix(r.get("User-Agent"), "snom370/") {
				t.Errorf("%+v", r)
			}
		}
		if ok.get("Content-Type") != "application/sdp" || !strings.Contains(ok.body, "m=audio") {
			t.Errorf("%+v", ok)
		}

		// Not confirmed yet: the 200 comes again (RFC 3261 §13.3.1.4).
		if again := s.next("SIP/2.0 200"); again.get("To") != ok.get("To") || again.body != ok.body {
			t.Errorf("%+v", again)
		}
		dialog := []string{"To: " + ok.get("To"), "From: " + invite.get("From"), "Call-ID: " + invite.get("Call-ID")}
		s.request("ACK", p.Contact(), "", dialog...)
		if err := <-done; err != nil || c.State() != Answered {
			t.Fatal(err, c.State())
		}

		// A re-INVITE moves the other side.
		move := s.request("INVITE", p.Contact(), offer, append(dialog, "CSeq: 2 INVITE", "Contact: <sip:102@192.0.2.99>")...)
		if r := s.answerTo(move); r.start != "SIP/2.0 200 OK" || !strings.Contains(r.body, "m=audio") {
			t.Errorf("%+v", r)
		}
		s.request("ACK", p.Contact(), "", append(dialog, "CSeq: 2 ACK")...)
		p.mu.Lock()
		target := c.dialog.target.String()
		p.mu.Unlock()
		if target != "sip:102@192.0.2.99" {
			t.Error(target)
		}

		bye := s.request("BYE", p.Contact(), "", append(dialog, "CSeq: 3 BYE")...)
		if r := s.answerTo(bye); r.start != "SIP/2.0 200 OK" {
			t.Error(r.start)
		}
		if err := c.Wait(timeout(t), Ended); err != nil {
			t.Error(err)
		}
		bye = s.request("BYE", p.Contact(), "", append(dialog, "CSeq: 4 BYE")...)
		if r := s.answerTo(bye); !strings.HasPrefix(r.start, "SIP/2.0 481 ") {
			t.Error(r.start)
		}
	})
}

// TestAnsweredHangup is a call to the phone that the phone ends.
func TestAnsweredHangup(t *testing.T) {
	s := listen(t, "udp", "127.0.0.1")
	p := s.start(Config{AutoAnswer: true})
	s.register(p)
	invite := s.request("INVITE", p.Contact(), "", "Record-Route: <sip:"+s.addr+";lr;n=1>, <sip:"+s.addr+";lr;n=2>")
	ok := s.next("SIP/2.0 200")
	s.request("ACK", p.Contact(), "", "To: "+ok.get("To"), "Call-ID: "+invite.get("Call-ID"))
	c := p.Calls()[0]
	done := async(func() error { return c.Hangup(timeout(t)) })
	bye := s.next("BYE")
	if bye.start != "BYE sip:server@"+s.addr+" SIP/2.0" || bye.get("From") != ok.get("To") || bye.get("To") != invite.get("From") ||
		bye.get("Route") != "<sip:"+s.addr+";lr;n=1>,<sip:"+s.addr+";lr;n=2>" {
		t.Errorf("%+v", bye)
	}
	s.respond(bye, "200 OK", "", "")
	if err := <-done; err != nil || c.State() != Ended {
		t.Error(err)
	}
}

func TestReject(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		s := listen(t, transport, "127.0.0.1")
		p := s.start(Config{Transport: transport})
		s.register(p)
		for i, reject := range []func(*Call) error{
			func(c *Call) error { return c.Reject(timeout(t), 603, "Decline") },
			func(c *Call) error { return c.Hangup(timeout(t)) },
		} {
			invite := s.request("INVITE", p.Contact(), offer)
			c, err := p.WaitIncoming(timeout(t))
			if err != nil {
				t.Fatal(err)
			}
			done := async(func() error { return reject(c) })
			r := s.answerTo(invite)
			if want := []string{"SIP/2.0 603 Decline", "SIP/2.0 486 Busy Here"}[i]; r.start != want {
				t.Errorf("%s, want %s", r.start, want)
			}
			s.request("ACK", p.Contact(), "", "Via: "+invite.get("Via"), "To: "+r.get("To"), "Call-ID: "+invite.get("Call-ID"))
			if err := <-done; err != nil {
				t.Error(err)
			}
			if err := c.Answer(timeout(t)); err == nil {
				t.Error("a call that has ended was answered")
			}
		}
	})
}

// TestCancelled has the caller hang up while the phone rings.
func TestCancelled(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		s := listen(t, transport, "127.0.0.1")
		p := s.start(Config{Transport: transport})
		s.register(p)
		invite := s.request("INVITE", p.Contact(), offer)
		ringing := s.next("SIP/2.0 180")
		c, err := p.WaitIncoming(timeout(t))
		if err != nil {
			t.Fatal(err)
		}
		cancel := s.request("CANCEL", p.Contact(), "", "Via: "+invite.get("Via"), "Call-ID: "+invite.get("Call-ID"))
		if r := s.answerTo(cancel); r.start != "SIP/2.0 200 OK" {
			t.Error(r.start)
		}
		r := s.answerTo(invite)
		if r.start != "SIP/2.0 487 Request Terminated" || r.get("To") != ringing.get("To") {
			t.Errorf("%+v", r)
		}
		s.request("ACK", p.Contact(), "", "Via: "+invite.get("Via"), "To: "+r.get("To"), "Call-ID: "+invite.get("Call-ID"))
		if err := c.Wait(timeout(t), Ended); err != nil {
			t.Error(err)
		}

		// Nothing to cancel any more, and nothing to answer.
		late := s.request("CANCEL", p.Contact(), "")
		if r := s.answerTo(late); !strings.HasPrefix(r.start, "SIP/2.0 481 ") {
			t.Error(r.start)
		}
		if err := c.Answer(timeout(t)); err == nil {
			t.Error("a cancelled call was answered")
		}
	})
}

// TestNoAck answers a caller that never confirms: the 200 is repeated at
// growing intervals, then the call is ended with a BYE.
func TestNoAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := piped(t, Config{AutoAnswer: true})
		defer p.Close()
		done := async(func() error { return p.Register(t.Context()) })
		s.respond(s.next("REGISTER"), "200 OK", "r", "")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		s.request("INVITE", p.Contact(), offer)
		s.nextPiped("SIP/2.0 200")
		begin := time.Now()
		var at []time.Duration
		for m := range s.in {
			at = append(at, time.Since(begin))
			if strings.HasPrefix(m.start, "BYE") {
				s.respond(m, "200 OK", "", "")
				break
			}
		}
		want := []time.Duration{500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500, 32000}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !reflect.DeepEqual(at, want) {
			t.Errorf("at %v, want %v", at, want)
		}
		synctest.Wait()
		if len(p.Calls()) != 0 {
			t.Error("the call is still there")
		}
	})
}

// TestLongResponse answers through so many proxies that the 200 is longer than
// what RFC 3261 §18.1.1 lets a request be; a response has no such limit.
func TestLongResponse(t *testing.T) {
	s := listen(t, "udp", "127.0.0.1")
	p := s.start(Config{AutoAnswer: true})
	s.register(p)
	routes := strings.Repeat("<sip:proxy.with.a.long.name.example.com;lr>, ", 50) + "<sip:last;lr>"
	invite := s.request("INVITE", p.Contact(), offer, "Record-Route: "+routes)
	if ok := s.answerTo(invite); ok.start != "SIP/2.0 200 OK" || ok.get("Record-Route") != routes {
		t.Errorf("%+v", ok)
	}
}
