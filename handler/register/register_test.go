package register

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/location"
)

func peers(s *handlertest.Server) []*handlertest.Peer {
	return []*handlertest.Peer{s.UDP(), s.TCP()}
}

// TestBytes holds the whole answer, and all that is kept.
func TestBytes(t *testing.T) {
	s := start(t, "register")
	for _, p := range peers(s) {
		user := "alice-" + strings.ToLower(p.Transport())
		before := time.Now().Truncate(time.Second)
		p.Send("REGISTER sip:EXAMPLE.com SIP/2.0\n" +
			"v: SIP/2.0/{transport} 192.0.2.77:5071;rport;branch=z9hG4bKfixed\n" +
			"f: \"Alice, \\\"A\\\"\" <sip:" + user + "@example.com>;tag=f1\n" +
			"t: <sip:" + user + "@Example.COM;user=phone>\n" +
			"i: 1@192.0.2.77\n" +
			"CSeq: 7 REGISTER\n" +
			"Max-Forwards: 70\n" +
			"m: \"A, B\" <sip:alice@192.0.2.77:5071;line=ab12>;q=0.5;expires=120, <sip:alice@192.0.2.78>\n" +
			"User-Agent: snomD785/10.1.159.12\n\n")
		m := p.Receive()
		to := m.Tag("To")
		if !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(to) {
			t.Errorf("To tag %q", to)
		}
		date := m.Header("Date")
		when, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", date)
		if err != nil || when.Before(before) || when.After(time.Now()) {
			t.Errorf("Date %q: %v", date, err)
		}
		want := strings.ReplaceAll("SIP/2.0 200 OK\n"+
			"Via: SIP/2.0/"+p.Transport()+" 192.0.2.77:5071;branch=z9hG4bKfixed;rport="+fmt.Sprint(p.Addr.Port())+";received=127.0.0.1\n"+
			"From: \"Alice, \\\"A\\\"\" <sip:"+user+"@example.com>;tag=f1\n"+
			"To: <sip:"+user+"@Example.COM;user=phone>;tag="+to+"\n"+
			"Call-ID: 1@192.0.2.77\n"+
			"CSeq: 7 REGISTER\n"+
			"Contact: <sip:alice@192.0.2.78>;expires=600\n"+
			"Contact: <sip:alice@192.0.2.77:5071;line=ab12>;expires=120;q=0.500\n"+
			"Date: "+date+"\n"+
			"Content-Length: 0\n\n", "\n", "\r\n")
		if m.Text != want {
			t.Errorf("got\n%s\nwant\n%s", m.Text, want)
		}
		bindings := inside.AppOf(s.App()).Location().Lookup([]byte(user+"@example.com"), nil)
		if len(bindings) != 2 {
			t.Fatalf("%d bindings", len(bindings))
		}
		for i, b := range bindings {
			rec := b.Record()
			rec.Expires, rec.Registered, rec.Updated = time.Time{}, time.Time{}, time.Time{}
			want := location.Record{
				AOR: user + "@example.com", Contact: "sip:alice@192.0.2.78", CallID: "1@192.0.2.77", CSeq: 7, Q: 1000,
				UserAgent: "snomD785/10.1.159.12", Network: strings.ToLower(p.Transport()), Source: p.Addr, Local: s.Addr,
			}
			if i == 1 {
				want.Contact, want.Q = "sip:alice@192.0.2.77:5071;line=ab12", 500
			}
			if rec != want {
				t.Errorf("stored %+v\nwant %+v", rec, want)
			}
			if f := b.Flow(); f.Network.Reliable() != (f.Conn != nil) || f.Listener == nil {
				t.Errorf("the flow is %+v", f)
			}
		}
	}
}

func TestWhichRequests(t *testing.T) {
	s := start(t, "register\nwitness")
	p := s.UDP()
	contact := "Contact: <sip:a@192.0.2.1>"
	edit := func(user, old, new string) string {
		text := request(user, 1, contact)
		if !strings.Contains(text, old) {
			t.Fatalf("no %q in %s", old, text)
		}
		return strings.Replace(text, old, new, 1)
	}
	for _, tc := range []struct {
		name, text, status string
		aor                string // has a binding then
		seen               string // by the next handler
	}{
		{"of ours", request("u1", 1, contact), "200 OK", "u1@example.com", "REGISTER sip:example.com 200"},
		{"the other domain", edit("u2", "To: <sip:u2@example.com", "To: <sip:u2@example.org"), "200 OK", "u2@example.org", "REGISTER sip:example.com 200"},
		{"at an address", edit("u3", "To: <sip:u3@example.com", "To: <sip:u3@"+s.Addr.String()), "200 OK", "u3@example.com", "REGISTER sip:example.com 200"},
		{"escapes and capitals", edit("u4", "To: <sip:u4@example.com", "To: <sip:%754@EXAMPLE.COM:5060;x=y"), "200 OK", "u4@example.com", "REGISTER sip:example.com 200"},
		{"sips", edit("u5", "To: <sip:", "To: <sips:"), "200 OK", "u5@example.com", "REGISTER sip:example.com 200"},
		{"a telephone number", edit("u6", "To: <sip:u6@example.com>", "To: <tel:+49301234>"), "200 OK", "+49301234@example.com", "REGISTER sip:example.com 200"},
		{"by somebody else", edit("u7", "From: <sip:u7@example.com>", "From: <sip:boss@elsewhere.example>"), "200 OK", "u7@example.com", "REGISTER sip:example.com 200"},
		{"To of another domain", edit("u8", "To: <sip:u8@example.com", "To: <sip:u8@elsewhere.example"), "404 Not Found", "", ""},
		{"To without user", edit("u9", "To: <sip:u9@example.com", "To: <sip:example.com"), "404 Not Found", "", ""},
		{"To that is malformed", edit("u9", "To: <sip:u9@example.com", "To: <sip:u9@example.com:x"), "400 To Is Not a SIP URI", "", ""},
		{"To with another scheme", edit("u9", "To: <sip:u9@example.com", "To: <mailto:u9@example.com"), "400 To Is Not a SIP URI", "", ""},
		{"for another registrar", edit("u10", "REGISTER sip:example.com ", "REGISTER sip:elsewhere.example "), "405 Method Not Allowed", "", "REGISTER sip:elsewhere.example 0"},
		{"another method", strings.ReplaceAll(request("u11", 1, contact), "REGISTER", "MESSAGE"), "405 Method Not Allowed", "", "MESSAGE sip:example.com 0"},
		{"a method that looks like it", strings.ReplaceAll(request("u12", 1, contact), "REGISTER", "register"), "501 Not Implemented", "", "register sip:example.com 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, before := inside.AppOf(s.App()).Location().Len()
			ask(p, tc.text, tc.status)
			if tc.seen != "" {
				wantSeen(t, tc.seen)
			} else {
				wantSeen(t)
			}
			if tc.aor != "" {
				wantStored(t, s, tc.aor, "sip:a@192.0.2.1")
				before++
			}
			if _, n := inside.AppOf(s.App()).Location().Len(); n != before {
				t.Errorf("%d bindings, want %d", n, before)
			}
		})
	}
}

func TestNothingAnswersTwice(t *testing.T) {
	s := start(t, "register\nrespond 403\nwitness")
	for _, p := range peers(s) {
		ask(p, request("alice", 1, "Contact: <sip:a@192.0.2.1>"), "200 OK")
		wantSeen(t, "REGISTER sip:example.com 200")
		p.Nothing()
	}
}

func TestAnsweredBefore(t *testing.T) {
	s := start(t, "register\nregister\nwitness")
	p := s.UDP()
	ask(p, request("alice", 1, "Contact: <sip:a@192.0.2.1>"), "200 OK")
	wantSeen(t, "REGISTER sip:example.com 200")
}

func TestSequence(t *testing.T) {
	const aor = "alice@example.com"
	s := start(t, "register")
	p := s.UDP()
	one, two := "Contact: <sip:a@192.0.2.1>;expires=100", "Contact: <sip:a@192.0.2.2>;expires=100"
	ask(p, request("alice", 5, one), "200 OK")
	first := inside.AppOf(s.App()).Location().Lookup([]byte(aor), nil)[0]

	// A retransmission gets the same answer and changes nothing.
	m := ask(p, request("alice", 5, one), "200 OK")
	if got := m.Headers("Contact"); len(got) != 1 || !regexp.MustCompile(`^<sip:a@192\.0\.2\.1>;expires=(100|9\d)$`).MatchString(got[0]) {
		t.Errorf("contacts %q", got)
	}
	if again := inside.AppOf(s.App()).Location().Lookup([]byte(aor), nil); len(again) != 1 || again[0] != first {
		t.Errorf("a retransmission made another binding")
	}

	m = ask(p, request("alice", 4, "Contact: <sip:a@192.0.2.1>;expires=0"), "500 Out of Order")
	if m.Header("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", m.Header("Retry-After"))
	}
	ask(p, request("alice", 4, "Contact: *", "Expires: 0"), "500 Out of Order")
	// All or nothing: the second Contact is new, and is not set either.
	ask(p, request("alice", 4, one, two), "500 Out of Order")
	wantStored(t, s, aor, "sip:a@192.0.2.1")
	// A phone that has restarted counts anew, with another Call-ID.
	ask(p, strings.Replace(request("alice", 1, one), "call-alice", "another", 1), "200 OK")
	if b := inside.AppOf(s.App()).Location().Lookup([]byte(aor), nil); len(b) != 1 || b[0].CSeq() != 1 || b[0].CallID() != "another" {
		t.Errorf("the binding is %+v", b)
	}
	// Removing twice is as good as once.
	gone := strings.Replace(request("alice", 2, "Contact: <sip:a@192.0.2.1>;expires=0"), "call-alice", "another", 1)
	for range 2 {
		if m := ask(p, gone, "200 OK"); m.Headers("Contact") != nil {
			t.Errorf("contacts %q", m.Headers("Contact"))
		}
		wantStored(t, s, aor)
	}
}

func TestFetch(t *testing.T) {
	s := start(t, "register")
	p := s.UDP()
	if m := ask(p, request("alice", 1), "200 OK"); m.Headers("Contact") != nil || m.Header("Date") == "" {
		t.Errorf("got\n%s", m.Text)
	}
	now := time.Now()
	err := inside.AppOf(s.App()).Location().Restore(location.Record{
		AOR: "alice@example.com", Contact: "sip:a@192.0.2.1;transport=tcp", CallID: "c", CSeq: 1, Q: 300, Instance: `"<urn:x>"`, RegID: 2,
		Network: "udp", Source: netip.MustParseAddrPort("192.0.2.1:5060"), Local: s.Addr,
		Registered: now.Add(-time.Hour), Updated: now.Add(-time.Hour), Expires: now.Add(1000 * time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	// What is left is told, not what was given once.
	m := ask(p, request("alice", 2, "Expires: 60"), "200 OK")
	want := regexp.MustCompile(`^<sip:a@192\.0\.2\.1;transport=tcp>;expires=(1000|9\d\d);q=0\.300;\+sip\.instance="<urn:x>";reg-id=2$`)
	if got := m.Headers("Contact"); len(got) != 1 || !want.MatchString(got[0]) {
		t.Errorf("contacts %q", got)
	}
}

// TestMove registers one Contact over and over from different places: it is reached where it was last.
func TestMove(t *testing.T) {
	s := start(t, "register")
	for i, p := range []*handlertest.Peer{s.UDP(), s.UDP(), s.TCP(), s.TCP(), s.UDP()} {
		ask(p, request("alice", i+1, "Contact: <sip:a@192.0.2.1>"), "200 OK")
		b := inside.AppOf(s.App()).Location().Lookup([]byte("alice@example.com"), nil)
		if len(b) != 1 || b[0].Source() != p.Addr || !strings.EqualFold(b[0].Network().String(), p.Transport()) {
			t.Errorf("%d: %d bindings, from %s %s", i, len(b), b[0].Network(), b[0].Source())
		}
	}
}

func TestMaxContacts(t *testing.T) {
	s := start(t, "register {\n max_contacts 2 refuse\n}\nwitness")
	p := s.TCP()
	line := func(from, to int) string {
		var all []string
		for i := from; i <= to; i++ {
			all = append(all, fmt.Sprintf("<sip:a%d@192.0.2.1>", i))
		}
		return "Contact: " + strings.Join(all, ", ")
	}
	m := ask(p, request("alice", 1, line(1, 3)), "503 Too Many Contacts")
	if m.Header("Retry-After") != "60" || m.Headers("Contact") != nil {
		t.Errorf("got\n%s", m.Text)
	}
	wantStored(t, s, "alice@example.com")
	wantSeen(t)
	ask(p, request("alice", 2, line(1, 2)), "200 OK")
	ask(p, request("alice", 3, line(3, 3)), "503")
	ask(p, request("alice", 4, line(1, 1)), "200 OK")
	wantStored(t, s, "alice@example.com", "sip:a1@192.0.2.1", "sip:a2@192.0.2.1")
	ask(p, request("alice", 5, strings.ReplaceAll(line(1, 2), ">", ">;expires=0")+", "+strings.TrimPrefix(line(3, 4), "Contact: ")), "200 OK")
	wantStored(t, s, "alice@example.com", "sip:a4@192.0.2.1", "sip:a3@192.0.2.1")
	ask(p, request("alice", 6, strings.ReplaceAll(line(3, 7), ">", ">;expires=0")), "503")
	// Thousands are refused before they make work.
	var many strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&many, "<sip:%d@h>,", i)
	}
	ask(p, request("alice", 7, "Contact: "+strings.TrimSuffix(many.String(), ",")), "503")
	wantStored(t, s, "alice@example.com", "sip:a4@192.0.2.1", "sip:a3@192.0.2.1")
}

// TestMakeRoom checks that one contact too many replaces a superseded one, or else the oldest.
func TestMakeRoom(t *testing.T) {
	s := start(t, "register {\n max_contacts 2\n}")
	register := func(instance, contact string) {
		t.Helper()
		p := s.UDP()
		m := ask(p, request("alice", 1, `Contact: <`+contact+`>;+sip.instance="<`+instance+`>"`), "200 OK")
		if got := m.Headers("Contact"); len(got) == 0 || !strings.HasPrefix(got[0], "<"+contact+">") {
			t.Errorf("the answer lists %q", got)
		}
	}
	register("urn:a", "sip:alice@192.0.2.1")
	register("urn:b", "sip:alice@192.0.2.2")
	register("urn:a", "sip:alice@192.0.2.3")
	wantStored(t, s, "alice@example.com", `sip:alice@192.0.2.3 instance="<urn:a>"`,
		`sip:alice@192.0.2.2 instance="<urn:b>"`)
	register("urn:c", "sip:alice@192.0.2.4")
	wantStored(t, s, "alice@example.com", `sip:alice@192.0.2.4 instance="<urn:c>"`,
		`sip:alice@192.0.2.3 instance="<urn:a>"`)
}

// TestLengths registers with texts that are as long as they may be, and longer.
func TestLengths(t *testing.T) {
	s := start(t, "register")
	p := s.UDP()
	const contact = "Contact: <sip:a@192.0.2.1>"
	for _, tc := range []struct {
		user, callID, agent string
		status              string
		kept                string // of the User-Agent
	}{
		{"u1", strings.Repeat("c", 1024), "phone", "200 OK", "phone"},
		{"u2", strings.Repeat("c", 1025), "phone", "400 Call-ID Too Long", ""},
		{"u3", strings.Repeat("c", 60000), "phone", "400 Call-ID Too Long", ""},
		{strings.Repeat("u", 1024-len("@example.com")), "c", "phone", "200 OK", "phone"},
		{strings.Repeat("u", 1025-len("@example.com")), "c", "phone", "400 Address-of-Record Too Long", ""},
		{"u4", "c", strings.Repeat("a", 50000), "200 OK", strings.Repeat("a", 256)},
	} {
		text := strings.Replace(request(tc.user, 1, contact, "User-Agent: "+tc.agent), "Call-ID: call-"+tc.user, "Call-ID: "+tc.callID, 1)
		ask(p, text, tc.status)
		b := inside.AppOf(s.App()).Location().Lookup([]byte(tc.user+"@example.com"), nil)
		switch {
		case tc.status != "200 OK" && len(b) != 0:
			t.Errorf("%.20s: %d bindings", tc.user, len(b))
		case tc.status == "200 OK" && (len(b) != 1 || b[0].UserAgent() != tc.kept):
			t.Errorf("%.20s: %v", tc.user, b)
		}
		// What is longer than it may be is no obstacle to others.
		ask(p, request("other", 1, contact), "200 OK")
	}
}
