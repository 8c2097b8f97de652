package phone

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
)

const xButtons = "Content-Type: application/x-buttons"

// TestKeys sets a key, and another with everything left out that the first
// had: none of it may stay.
func TestKeys(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		s := listen(t, transport, "127.0.0.1")
		changes := make(chan buttons.Button, 10)
		p := s.start(Config{Transport: transport, OnKey: func(b buttons.Button) { changes <- b }})
		s.register(p)

		full := "k=2\r\nc=hold\r\no=green\r\nn=432\r\na=message\r\nl=Light is hold\r\ni=5"
		m := s.request("MESSAGE", p.Contact(), full, xButtons)
		if r := s.answerTo(m); r.start != "SIP/2.0 200 OK" {
			t.Fatal(r.start)
		}
		want := buttons.Button{
			Key: "2", Light: "hold", Color: "green", Number: "432", Action: "message", Label: "Light is hold",
			Extra: []buttons.Property{{Name: "i", Value: "5"}},
		}
		if got := p.State(); !reflect.DeepEqual(got.Keys, map[string]buttons.Button{"2": want}) || got.KeyChanges != 1 {
			t.Errorf("got %+v", got)
		}
		if got := <-changes; !reflect.DeepEqual(got, want) {
			t.Errorf("told of %+v", got)
		}

		m = s.request("MESSAGE", p.Contact(), "k=2\r\nl=Bare\r\n\r\nk=3\nc=on\n", xButtons+"; charset=utf-8")
		if r := s.answerTo(m); r.start != "SIP/2.0 200 OK" {
			t.Fatal(r.start)
		}
		two := buttons.Button{Key: "2", Light: "off", Action: "invite", Label: "Bare"}
		three := buttons.Button{Key: "3", Light: "on", Action: "invite"}
		err := p.Wait(timeout(t), func(s State) bool {
			return reflect.DeepEqual(s.Keys, map[string]buttons.Button{"2": two, "3": three}) && s.KeyChanges == 3
		})
		if err != nil {
			t.Error(err)
		}
		if a, b := <-changes, <-changes; !reflect.DeepEqual([]buttons.Button{a, b}, []buttons.Button{two, three}) {
			t.Errorf("told of %+v and %+v", a, b)
		}

		// A State is a copy.
		p.State().Keys["2"] = full2
		if !reflect.DeepEqual(p.State().Keys["2"], two) {
			t.Error("a State leads into the phone")
		}
	})
}

var full2 = buttons.Button{Key: "2", Light: "error"}

func TestKeysRefused(t *testing.T) {
	s := listen(t, "udp", "127.0.0.1")
	texts := make(chan string, 1)
	p := s.start(Config{OnText: func(from, text string) { texts <- from + ": " + text }})
	s.register(p)
	for _, tc := range []struct{ name, contentType, body, status, header, value string }{
		{"wrong type", "Content-Type: application/json", "{}", "415", "Accept", `application/x-buttons`},
		{"no type", "Content-Length: 3", "k=2", "415", "Accept", `text/plain`},
		{"malformed", xButtons, "k=2\r\nc=on\r\nc=off", "400", "Warning", `^399 127\.0\.0\.1 ".*line 3: c a second time"$`},
		{"nothing", xButtons, "", "400", "Warning", `no button described`},
		{"text", "Content-Type: text/plain", "hello", "200", "", ""},
		{"no such key", xButtons, "k=13\r\nc=on", "200", "", ""},
		{"no such key, either", xButtons, "k=0\r\nc=on", "200", "", ""},
	} {
		header := []string{tc.contentType}
		if tc.name == "no type" {
			header = nil
		}
		r := s.answerTo(s.request("MESSAGE", p.Contact(), tc.body, header...))
		if !strings.HasPrefix(r.start, "SIP/2.0 "+tc.status+" ") || !regexp.MustCompile(tc.value).MatchString(r.get(tc.header)) {
			t.Errorf("%s: %+v", tc.name, r)
		}
	}
	if got := p.State(); len(got.Keys) != 0 || got.KeyChanges != 0 {
		t.Errorf("keys were set: %+v", got)
	}
	if text := <-texts; text != "server: hello" {
		t.Error(text)
	}
	// The name of a key needs not be its number.
	if r := s.answerTo(s.request("MESSAGE", p.Contact(), "k=Door", xButtons)); r.start != "SIP/2.0 200 OK" || p.State().Keys["Door"].Light != "off" {
		t.Errorf("%s, %+v", r.start, p.State())
	}
}

func TestPress(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		s := listen(t, transport, "127.0.0.1")
		p := s.start(Config{Transport: transport, Password: "secret"})
		s.register(p)
		doc := "k=1\r\nc=on\r\nn=432\r\na=invite\r\n\r\nk=Door\r\nn=**\r\na=message\r\n\r\nk=3\r\nc=on"
		s.answerTo(s.request("MESSAGE", p.Contact(), doc, xButtons))

		// invite
		c, err := p.Press(timeout(t), "1")
		if err != nil {
			t.Fatal(err)
		}
		invite := s.next("INVITE")
		if invite.start != "INVITE sip:432@127.0.0.1 SIP/2.0" {
			t.Error(invite.start)
		}
		s.respond(invite, "404 Not a call", "x", "")
		if r, err := c.Final(timeout(t)); r.Status != 404 || err != nil {
			t.Error(r, err)
		}

		// message, challenged
		done := async(func() error {
			c, err := p.Press(timeout(t), "Door")
			if c != nil {
				t.Error("a message is no call")
			}
			return err
		})
		first := s.next("MESSAGE")
		s.respond(first, "407 Proxy Authentication Required", "x", "", `Proxy-Authenticate: Digest realm="r", nonce="1"`)
		second := s.next("MESSAGE")
		for _, m := range []message{first, second} {
			if m.start != "MESSAGE sip:**@127.0.0.1 SIP/2.0" || m.body != "k=Door" || m.get("Content-Type") != "application/x-buttons" ||
				m.get("To") != "<sip:**@127.0.0.1>" || !strings.HasPrefix(m.get("From"), "<sip:101@127.0.0.1>;tag=") || m.get("Contact") != "" {
				t.Errorf("%+v", m)
			}
		}
		if second.get("CSeq") != "2 MESSAGE" || !strings.HasPrefix(second.get("Proxy-Authorization"), "Digest ") {
			t.Errorf("%+v", second)
		}
		s.respond(second, "200 OK", "x", "")
		if err := <-done; err != nil {
			t.Error(err)
		}

		// message, refused
		done = async(func() error { _, err := p.Press(timeout(t), "Door"); return err })
		s.respond(s.next("MESSAGE"), "404 Not Found", "x", "")
		var status *StatusError
		if err := <-done; !errors.As(err, &status) || status.Status != 404 {
			t.Error(err)
		}

		// nothing to dial: nothing is sent
		for _, key := range []string{"3", "4", ""} {
			if c, err := p.Press(timeout(t), key); c != nil || !errors.Is(err, ErrNoNumber) {
				t.Error(c, err)
			}
		}
		s.answerTo(s.request("OPTIONS", p.Contact(), ""))
		s.none("INVITE")
		s.none("MESSAGE")
	})
}

// TestOtherRequests are those that need no more than an answer.
func TestOtherRequests(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		s := listen(t, transport, "127.0.0.1")
		rec := new(Recorder)
		p := s.start(Config{Transport: transport, Trace: rec.Record})
		s.register(p)
		other := strings.Replace(p.Contact(), "line=", "line=x", 1)
		without, _, _ := strings.Cut(p.Contact(), ";")
		for _, tc := range []struct{ method, uri, status, header, value string }{
			{"OPTIONS", p.Contact(), "200 OK", "Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, MESSAGE"},
			{"NOTIFY", p.Contact(), "200 OK", "User-Agent", "snom370/8.7.5.48"},
			{"INFO", p.Contact(), "405 Method Not Allowed", "Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, MESSAGE"},
			{"BYE", p.Contact(), "481 Call/Transaction Does Not Exist", "", ""},
			// Not this phone's line, RFC 3261 §8.2.2.1
			{"OPTIONS", other, "404 Not Found", "", ""},
			{"OPTIONS", without, "404 Not Found", "", ""},
			{"MESSAGE", without, "404 Not Found", "", ""},
			{"INVITE", other, "404 Not Found", "", ""},
			{"NOTIFY", other, "404 Not Found", "", ""},
		} {
			m := s.request(tc.method, tc.uri, "")
			r := s.answerTo(m)
			if r.start != "SIP/2.0 "+tc.status || r.get(tc.header) != tc.value {
				t.Errorf("%s %s: %+v", tc.method, tc.uri, r)
			}
			if tc.method == "INVITE" {
				s.request("ACK", tc.uri, "", "Via: "+m.get("Via"), "To: "+r.get("To"), "Call-ID: "+m.get("Call-ID"))
			}
		}
		if r := s.answerTo(s.request("OPTIONS", p.Contact(), "", "Require: 100rel")); r.start != "SIP/2.0 420 Bad Extension" || r.get("Unsupported") != "100rel" {
			t.Errorf("%+v", r)
		}
		if len(p.Calls()) != 0 {
			t.Error("somebody got through to another line")
		}

		// All of that has been recorded, byte for byte.
		if n := len(rec.Received("OPTIONS sip:", "Max-Forwards: 70\r\n")); n != 4 {
			t.Errorf("%d OPTIONS recorded", n)
		}
		if n := len(rec.Sent("SIP/2.0 404 Not Found\r\n", "\r\nContent-Length: 0\r\n")); n < 5 {
			t.Errorf("%d 404s recorded", n)
		}
		if _, err := rec.WaitSent(timeout(t), "REGISTER sip:127.0.0.1 SIP/2.0\r\n"); err != nil {
			t.Error(err)
		}
		if m, err := rec.WaitReceived(timeout(t), "SIP/2.0 200 OK", "CSeq: 1 REGISTER"); err != nil || !strings.HasPrefix(m, "SIP/2.0 200 OK\r\n") {
			t.Error(m, err)
		}
	})
}

func TestNoLine(t *testing.T) {
	s := listen(t, "udp", "127.0.0.1")
	p := s.start(Config{NoLine: true})
	if m := s.register(p); strings.Contains(m.get("Contact"), "line=") {
		t.Error(m.get("Contact"))
	}
	if r := s.answerTo(s.request("OPTIONS", "sip:anybody@127.0.0.1", "")); r.start != "SIP/2.0 200 OK" {
		t.Error(r.start)
	}
}
