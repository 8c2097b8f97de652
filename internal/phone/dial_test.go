package phone

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestDial is a call through two proxies, hung up by the phone.
func TestDial(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		s := listen(t, transport, "127.0.0.1")
		p := s.start(Config{Transport: transport})
		c, err := p.Dial(timeout(t), "433#")
		if err != nil {
			t.Fatal(err)
		}
		invite := s.next("INVITE")
		if invite.start != "INVITE sip:433%23@127.0.0.1 SIP/2.0" || invite.get("To") != "<sip:433%23@127.0.0.1>" {
			t.Errorf("%+v", invite)
		}
		if invite.get("Contact") != "<"+p.Contact()+">" || invite.get("Content-Type") != "application/sdp" || !strings.HasPrefix(invite.body, "v=0\r\n") || !strings.Contains(invite.body, "\r\nc=IN IP4 127.0.0.1\r\n") {
			t.Errorf("%+v", invite)
		}
		if c.State() != Calling || c.Incoming || c.Number != "433#" {
			t.Errorf("%+v", c)
		}

		s.respond(invite, "100 Trying", "", "")
		s.respond(invite, "180 Ringing", "b", "")
		if err := c.Wait(timeout(t), Ringing); err != nil || c.State() != Ringing {
			t.Fatal(err, c.State())
		}

		// The ACK and the BYE take the route set backwards, to the Contact.
		ok := []string{
			`Record-Route: <sip:` + s.addr + `;lr;x="a,b">;y=1, <sip:p2.example;lr>`, "Record-Route: <sip:" + s.addr + ";lr;last>",
			"Contact: <sip:433@192.0.2.7:5070;line=z>;expires=60",
		}
		s.respond(invite, "200 OK", "b", "", ok...)
		for _, method := range []string{"ACK", "BYE"} {
			if method == "BYE" {
				if err := c.Wait(timeout(t), Answered); err != nil || c.State() != Answered {
					t.Fatal(err, c.State())
				}
				go c.Hangup(timeout(t))
			}
			m := s.next(method)
			want := "<sip:" + s.addr + `;lr;last>,<sip:p2.example;lr>,<sip:` + s.addr + `;lr;x="a,b">;y=1`
			if m.start != method+" sip:433@192.0.2.7:5070;line=z SIP/2.0" || m.get("Route") != want {
				t.Errorf("%s with Route %s", m.start, m.get("Route"))
			}
			if m.get("Call-ID") != invite.get("Call-ID") || m.get("From") != invite.get("From") || m.get("To") != "<sip:433%23@127.0.0.1>;tag=b" || m.get("Via") == invite.get("Via") {
				t.Errorf("%+v", m)
			}
			cseq := map[string]string{"ACK": "1 ACK", "BYE": "2 BYE"}[method]
			if m.get("CSeq") != cseq {
				t.Errorf("CSeq: %s", m.get("CSeq"))
			}
			if method == "BYE" {
				s.respond(m, "200 OK", "b", "")
			}
		}
		if err := c.Wait(timeout(t), Ended); err != nil {
			t.Error(err)
		}
		if r, err := c.Final(timeout(t)); r != (Response{200, "OK"}) || err != nil {
			t.Error(r, err)
		}
		if len(p.Calls()) != 0 {
			t.Error("the call is still there")
		}
	})
}

// TestDialRefused is the tutorial's call.
func TestDialRefused(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		s := listen(t, transport, "127.0.0.1")
		p := s.start(Config{Transport: transport})
		c, err := p.Dial(timeout(t), "433")
		if err != nil {
			t.Fatal(err)
		}
		invite := s.next("INVITE")
		s.respond(invite, "404 Not a call", "x", "")
		// RFC 3261 §17.1.1.3: the Via of the INVITE, the To of the response.
		ack := s.next("ACK")
		if ack.get("Via") != invite.get("Via") || ack.get("To") != invite.get("To")+";tag=x" || ack.get("CSeq") != "1 ACK" {
			t.Errorf("%+v", ack)
		}
		r, err := c.Final(timeout(t))
		if r != (Response{404, "Not a call"}) || err != nil || c.State() != Ended {
			t.Error(r, err, c.State())
		}
		<-c.Done()
		s.none("BYE")
		s.none("CANCEL")
	})
}

func TestDialDigest(t *testing.T) {
	s := listen(t, "udp", "127.0.0.1")
	p := s.start(Config{Password: "secret"})
	c, err := p.Dial(timeout(t), "433")
	if err != nil {
		t.Fatal(err)
	}
	first := s.next("INVITE")
	s.respond(first, "407 Proxy Authentication Required", "x", "", `Proxy-Authenticate: Digest realm="r", nonce="1", qop="auth"`)
	s.next("ACK")
	second := s.next("INVITE")
	if second.get("CSeq") != "2 INVITE" || second.get("Call-ID") != first.get("Call-ID") || second.get("From") != first.get("From") ||
		second.get("To") != first.get("To") || second.get("Via") == first.get("Via") || second.body != first.body {
		t.Errorf("%+v", second)
	}
	if auth := second.get("Proxy-Authorization"); !strings.HasPrefix(auth, "Digest ") || !strings.Contains(auth, `uri="sip:433@127.0.0.1"`) {
		t.Error(auth)
	}
	s.respond(second, "200 OK", "y", "", "Contact: <sip:433@"+s.addr+">")
	if ack := s.next("ACK"); ack.get("CSeq") != "2 ACK" || ack.get("Proxy-Authorization") != second.get("Proxy-Authorization") {
		t.Errorf("%+v", ack)
	}
	if err := c.Wait(timeout(t), Answered); err != nil {
		t.Error(err)
	}
	if r, err := c.Final(timeout(t)); r.Status != 200 || err != nil {
		t.Error(r, err)
	}
	if got := c.Responses(); !reflect.DeepEqual(got, []Response{{200, "OK"}}) {
		t.Errorf("the challenge is among the responses: %v", got)
	}
}

// TestCancel hangs up before the call is answered.
func TestCancel(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		s := listen(t, transport, "127.0.0.1")
		p := s.start(Config{Transport: transport})
		c, err := p.Dial(timeout(t), "433")
		if err != nil {
			t.Fatal(err)
		}
		invite := s.next("INVITE")
		done := async(func() error { return c.Hangup(timeout(t)) })

		// RFC 3261 §9.1: no CANCEL before a provisional response.
		if err := c.p.wait(timeout(t), func() bool { return c.hangingUp }); err != nil {
			t.Fatal(err)
		}
		s.none("CANCEL")
		s.respond(invite, "180 Ringing", "b", "")
		cancel := s.next("CANCEL")
		if cancel.start != "CANCEL sip:433@127.0.0.1 SIP/2.0" || cancel.get("Via") != invite.get("Via") || cancel.get("CSeq") != "1 CANCEL" ||
			cancel.get("To") != invite.get("To") || cancel.get("From") != invite.get("From") || cancel.get("Call-ID") != invite.get("Call-ID") {
			t.Errorf("%+v", cancel)
		}
		s.respond(cancel, "200 OK", "b", "")
		s.respond(invite, "487 Request Terminated", "b", "")
		s.next("ACK")
		if err := <-done; err != nil {
			t.Error(err)
		}
		if r, err := c.Final(timeout(t)); r.Status != 487 || err != nil {
			t.Error(r, err)
		}
		s.none("BYE")
	})
}

// TestCancelCrossing has the 200 come after the CANCEL.
func TestCancelCrossing(t *testing.T) {
	s := listen(t, "udp", "127.0.0.1")
	p := s.start(Config{})
	c, err := p.Dial(timeout(t), "433")
	if err != nil {
		t.Fatal(err)
	}
	invite := s.next("INVITE")
	s.respond(invite, "180 Ringing", "b", "")
	done := async(func() error { return c.Hangup(timeout(t)) })
	s.respond(s.next("CANCEL"), "200 OK", "b", "")
	s.respond(invite, "200 OK", "b", "", "Contact: <sip:433@"+s.addr+">")
	s.next("ACK")
	s.respond(s.next("BYE"), "200 OK", "b", "")
	if err := <-done; err != nil {
		t.Error(err)
	}
	s.none("BYE")
}

// TestAckAgain repeats the 200, and has a second phone answer.
func TestAckAgain(t *testing.T) {
	s := listen(t, "udp", "127.0.0.1")
	p := s.start(Config{})
	c, err := p.Dial(timeout(t), "433")
	if err != nil {
		t.Fatal(err)
	}
	invite := s.next("INVITE")
	s.respond(invite, "200 OK", "b", "", "Contact: <sip:b@"+s.addr+">")
	first := s.next("ACK")
	s.respond(invite, "200 OK", "b", "", "Contact: <sip:b@"+s.addr+">")
	if again := s.next("ACK"); again.start != first.start || again.get("To") != first.get("To") || again.get("CSeq") != "1 ACK" {
		t.Errorf("%+v", again)
	}
	s.respond(invite, "200 OK", "c", "", "Contact: <sip:c@"+s.addr+">")
	if ack := s.next("ACK"); ack.start != "ACK sip:c@"+s.addr+" SIP/2.0" || !strings.HasSuffix(ack.get("To"), ";tag=c") {
		t.Errorf("%+v", ack)
	}
	bye := s.next("BYE")
	if bye.start != "BYE sip:c@"+s.addr+" SIP/2.0" || !strings.HasSuffix(bye.get("To"), ";tag=c") {
		t.Errorf("%+v", bye)
	}
	s.respond(bye, "200 OK", "c", "")
	if err := c.Wait(timeout(t), Answered); err != nil || c.State() != Answered {
		t.Error("the first phone was let go, too")
	}
}

// TestNoAnswer calls a server that is silent, and one that is silent after it
// has been asked to cancel.
func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := piped(t, Config{})
		defer p.Close()
		begin := time.Now()
		c, err := p.Dial(t.Context(), "433")
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Final(t.Context())
		if err == nil || err.Error() != "INVITE: 192.0.2.1:5060 does not answer" || time.Since(begin) != 32*time.Second {
			t.Error(err, time.Since(begin))
		}
		s.nextPiped("INVITE")

		begin = time.Now()
		c, err = p.Dial(t.Context(), "433")
		if err != nil {
			t.Fatal(err)
		}
		s.respond(s.nextPiped("INVITE"), "180 Ringing", "b", "")
		if err := c.Hangup(t.Context()); err != nil || time.Since(begin) != 32*time.Second {
			t.Error(err, time.Since(begin))
		}
		if _, err := c.Final(t.Context()); err == nil {
			t.Error("a final response out of nowhere")
		}
	})
}

func TestClose(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		s := listen(t, transport, "127.0.0.1")
		p := s.start(Config{Transport: transport})
		c, err := p.Dial(timeout(t), "433")
		if err != nil {
			t.Fatal(err)
		}
		s.next("INVITE")
		waiting := async(func() error { return p.Wait(timeout(t), func(s State) bool { return s.Registered }) })
		registering := async(func() error { return p.Register(timeout(t)) })
		s.next("REGISTER")
		p.Close()
		p.Close()
		for _, ch := range []<-chan error{waiting, registering} {
			if err := <-ch; !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		}
		<-c.Done()
		if _, err := c.Final(timeout(t)); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if _, err := p.Dial(timeout(t), "433"); err == nil {
			t.Error("a closed phone has called")
		}
		if err := p.Register(timeout(t)); err == nil {
			t.Error("a closed phone has registered")
		}
		s.none("BYE")
	})
}
