package proxy

import (
	"fmt"
	"strings"
	"testing"
)

// controlRequests are ways to have a phone do something. {crlf} ends a line of a body.
var controlRequests = []struct {
	method  string
	headers []string
	body    string
}{
	{"NOTIFY", []string{"Event: check-sync;reboot=true"}, ""},
	{"NOTIFY", []string{"o: check-sync"}, ""},
	{"NOTIFY", []string{"O : Check-Sync ; reboot=true"}, ""},
	{"NOTIFY", []string{"EVENT:\n check-sync"}, ""},
	{"NOTIFY", []string{"Event: message-summary", "o: check-sync"}, ""},
	{"NOTIFY", []string{"Event: message-summary, check-sync"}, ""},
	{"NOTIFY", []string{"Event: message-summary, talk"}, ""},
	{"NOTIFY", []string{`Event: "check-sync"`}, ""},
	{"NOTIFY", []string{"Event: xml", "Content-Type: application/snomxml"}, "<SnomIPPhoneText/>"},
	{"NOTIFY", []string{"Event: snom-settings", "Content-Type: text/plain"}, "x"},
	{"NOTIFY", []string{"Event: Yealink-xml", "Content-Type: application/xml"}, "<YealinkIPPhoneExecute/>"},
	{"NOTIFY", []string{"Event: ACTION-URI", "Content-Type: message/sipfrag"}, "key=OK"},
	{"NOTIFY", []string{"Event: talk"}, ""},
	{"NOTIFY", []string{"Event: hold"}, ""},
	{"NOTIFY", []string{"Event: resync"}, ""},
	{"NOTIFY", []string{"Event: ua-profile", "Content-Type: application/url"}, "http://x"},
	{"BENOTIFY", []string{"Event: check-sync"}, ""},
	{"Notify", []string{"Event: check-sync"}, ""},
	{"NOTIFY", []string{"Event: dialog", "c: application/x-buttons"}, "k=1"},
	{"NOTIFY", []string{"Event: x", "Content-Type: message/sip"}, "Content-Type: application/x-buttons{crlf}{crlf}k=1"},
	{"MESSAGE", []string{"Content-Type: application/x-buttons"}, "k=1"},
	{"MESSAGE", []string{"c: APPLICATION/X-BUTTONS;charset=utf-8"}, "k=1"},
	{"MESSAGE", []string{"Content-Type: application / x-buttons"}, "k=1"},
	{"MESSAGE", []string{"Content-Type: application/\n x-buttons"}, "k=1"},
	{"MESSAGE", []string{"c: text/plain", "Content-Type: application/x-buttons"}, "k=1"},
	{"MESSAGE", []string{"Content-Type: text/plain", "c: application/x-buttons"}, "k=1"},
	{"MESSAGE", []string{"Content-Type: text/plain, application/x-buttons"}, "k=1"},
	{"MESSAGE", []string{"Content-Type: text/plain;a=b, application/x-buttons"}, "k=1"},
	{"MESSAGE", []string{"Content-Type: application/x-buttons", "Content-Encoding: gzip"}, "k=1"},
	{"MESSAGE", []string{"Content-Type: multipart/mixed;boundary=b", "e: gzip"}, "xxx"},
	{"MESSAGE", []string{"Content-Type: message/sip", "Content-Transfer-Encoding: base64"}, "xxx"},
	{"MESSAGE", []string{"Content-Type: multipart/mixed;boundary=b"}, "--b{crlf}Content-Type: text/plain{crlf}{crlf}x{crlf}--b{crlf}c:{crlf} application/x-buttons{crlf}{crlf}k=1{crlf}--b--"},
	{"MESSAGE", []string{"Content-Type: multipart/mixed;boundary=b"}, "--b\nCONTENT-TYPE : Application/X-Buttons\n\nk=1\n--b--"},
	{"MESSAGE", []string{"Content-Type: multipart/mixed;boundary=b"}, "--b{crlf}Content-Type: message/sip{crlf}Content-Transfer-Encoding: base64{crlf}{crlf}Q29u{crlf}--b--"},
	{"MESSAGE", []string{"Content-Type: multipart/a;boundary=b"}, "--b{crlf}Content-Type: multipart/b;boundary=c{crlf}{crlf}--c{crlf}Content-Type: application/snomxml{crlf}{crlf}--c--{crlf}--b--"},
	{"MESSAGE", []string{"Content-Type: message/sipfrag"}, "NOTIFY sip:x SIP/2.0{crlf}Event: check-sync"},
	{"MESSAGE", []string{"Content-Type: message/sipfrag"}, "NOTIFY sip:x SIP/2.0{crlf}o: check-sync"},
	{"MESSAGE", []string{"Event: snom-settings", "Content-Type: application/xml"}, "<settings/>"},
	{"MESSAGE", []string{"o: snom-action", "Content-Type: text/plain"}, "x"},
	{"MESSAGE", []string{"Content-Type: application/xml"}, "<settings/>"},
	{"MESSAGE", []string{"Content-Type: application/xml", "c: text/plain"}, "<settings/>"},
	{"MESSAGE", []string{"Content-Type: text/plain, text/XML;charset=utf-8"}, "<settings/>"},
	{"INFO", []string{"Content-Type: application/csta+xml"}, "<MakeCall/>"},
	{"INVITE", []string{"Content-Type: application/csta+xml"}, "<RequestSystemStatus/>"},
	{"INVITE", []string{"Content-Type: application/x-buttons"}, "k=1"},
	{"OPTIONS", []string{"Event: check-sync"}, ""},
	{"FOO", []string{"Content-Type: application/x-buttons"}, "k=1"},
	{"REFER", []string{"Refer-To: <sip:+900123@127.0.0.1>"}, ""},
	{"REFER", []string{"r: <sip:+900123@127.0.0.1>"}, ""},
	{"refer", []string{"Refer-To: <sip:+900123@127.0.0.1>"}, ""},
	{"REFER", []string{"Content-Type: application/x-cisco-remotecc-request+xml"}, "<x/>"},
}

// harmlessRequests pass. Those that need it come from somebody who is known.
var harmlessRequests = []struct {
	known   bool
	method  string
	headers []string
	body    string
}{
	{true, "NOTIFY", []string{"Event: message-summary"}, ""},
	{true, "NOTIFY", []string{"o: Message-Summary", "c: application/simple-message-summary;charset=utf-8"}, "Messages-Waiting: yes"},
	{true, "NOTIFY", []string{"Event: dialog;id=1", "Content-Type: application/dialog-info+xml"}, "<dialog-info/>"},
	{false, "MESSAGE", []string{"Content-Type: text/plain"}, "Event: check-sync{crlf}Content-Type: application/x-buttons{crlf}{crlf}snom x-buttons"},
	{false, "MESSAGE", []string{"Content-Type: text/plain;x=\"x-buttons\""}, "x"},
	{false, "MESSAGE", []string{"Content-Type: message/cpim"}, "From: <im:a@b>{crlf}{crlf}Content-Type: text/plain{crlf}{crlf}snom x-buttons"},
	{false, "MESSAGE", []string{"Content-Type: multipart/mixed;boundary=snom"}, "--snom{crlf}Content-Type: image/png{crlf}Content-Transfer-Encoding: base64{crlf}{crlf}xbuttons{crlf}--snom--"},
	{false, "MESSAGE", []string{"Content-Type: application/im-iscomposing+xml"}, "<isComposing/>"},
	{false, "SUBSCRIBE", []string{"Event: dialog"}, ""},
	{false, "PUBLISH", []string{"Event: presence"}, ""},
	{false, "INFO", []string{"Content-Type: application/dtmf-relay"}, "Signal=1"},
	{false, "OPTIONS", nil, ""},
}

func (p *phone) requestWith(method, uri, body string, headers ...string) string {
	body = strings.ReplaceAll(body, "{crlf}", "\r\n")
	p.request(method, uri, append(headers, fmt.Sprintf("Content-Length: %d", len(strings.ReplaceAll(strings.ReplaceAll(body, "\r\n", "\n"), "\n", "\r\n"))), "X-End: 1\n\n"+body)...)
	return body
}

// TestControl has everybody try to control a phone: only the route that allows it lets them.
func TestControl(t *testing.T) {
	s := start(t, "trust 127.0.0.2\ntest_trust\nregister\n@allowed header X-Allow yes\nproxy @allowed {\nallow_control\n}\nproxy")
	bob, alice := registered(t, s, "bob"), registered(t, s, "alice")
	trunk := newPhone(t, s, s.UDPFrom("127.0.0.2"), "trunk")
	for _, from := range []*phone{alice, trunk} {
		for _, test := range controlRequests {
			for _, to := range []string{"", ";tag=made-up"} {
				headers := append([]string{"X-User: alice", "To: <" + s.URI("bob") + ">" + to}, test.headers...)
				// It is not for the server either, whose keys no phone may press: From has to be
				// who is registered here.
				headers = append(headers, "From: <sip:mallory@example.org>;tag=1")
				from.requestWith(test.method, s.URI("bob"), test.body, headers...)
				res := from.Receive()
				if res.Line() != "SIP/2.0 403 Remote Control Not Allowed" {
					t.Fatalf("%s %q %q to a phone%s: %s", test.method, test.headers, test.body, to, res.Line())
				}
			}
		}
	}
	// What is no state of theirs may be told only within a call.
	for _, method := range []string{"NOTIFY", "BENOTIFY"} {
		alice.request(method, s.URI("bob"), "X-User: alice", "Event: anything")
		alice.Expect("SIP/2.0 403 Remote Control Not Allowed\r\n")
	}
	// A state has its own type, and no other that a phone may read in its place.
	alice.requestWith("NOTIFY", s.URI("bob"), "x", "X-User: alice", "Event: dialog",
		"Content-Type: application/dialog-info+xml", "c: text/plain")
	alice.Expect("SIP/2.0 403 Remote Control Not Allowed\r\n")
	bob.Nothing()
	for _, test := range controlRequests {
		alice.requestWith(test.method, s.URI("bob"), test.body, append(test.headers, "X-Allow: yes")...)
		if test.method == "INVITE" {
			alice.Expect("SIP/2.0 100")
		}
		m := bob.Expect(test.method)
		bob.Answer(m, "480 No", "b")
		alice.Expect("SIP/2.0 480")
		if test.method == "INVITE" {
			bob.Expect("ACK")
		}
	}
}

// TestNoControl has what is none reach the phone.
func TestNoControl(t *testing.T) {
	s := start(t, "trust 127.0.0.2\ntest_trust\nregister\nproxy")
	bob, alice := registered(t, s, "bob"), udp(t, s, "alice")
	trunk := newPhone(t, s, s.UDPFrom("127.0.0.2"), "trunk")
	for _, test := range harmlessRequests {
		for _, from := range []*phone{alice, trunk} {
			headers := test.headers
			if from == alice {
				from.requestWith(test.method, s.URI("bob"), test.body, headers...)
				if test.known {
					from.Expect("SIP/2.0 403")
					from.requestWith(test.method, s.URI("bob"), test.body, append(headers, "X-User: alice")...)
				}
			} else {
				from.requestWith(test.method, s.URI("bob"), test.body, headers...)
			}
			m := bob.Expect(test.method)
			bob.Answer(m, "480 No", "b")
			from.Expect("SIP/2.0 480")
		}
	}
	bob.Nothing()
}

// TestControlWithinCall lets a call have its transfer, and no more.
func TestControlWithinCall(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := registered(t, s, "alice"), registered(t, s, "bob")
	alice.invite(s.URI("bob"))
	invite := bob.Expect("INVITE")
	bob.pickUp(invite)
	call := alice.caller(alice.Expect("SIP/2.0 200"))
	call.send("ACK")
	bob.Expect("ACK")
	called := bob.callee(invite)
	for _, test := range []struct {
		method  string
		headers []string
	}{
		{"REFER", []string{"Refer-To: <sip:carol@127.0.0.1>"}},
		{"NOTIFY", []string{"Event: refer", "Subscription-State: active", "Content-Type: message/sipfrag"}},
		{"NOTIFY", []string{"Event: dialog"}},
		{"NOTIFY", []string{"Event: message-summary"}},
		{"INFO", nil},
		{"UPDATE", nil},
	} {
		call.send(test.method, test.headers...)
		m := bob.Expect(test.method)
		bob.Answer(m, "200 OK", "")
		alice.Expect("SIP/2.0 200")
		called.send(test.method, test.headers...)
		m = alice.Expect(test.method)
		alice.Answer(m, "200 OK", "")
		bob.Expect("SIP/2.0 200")
	}
	for _, test := range controlRequests {
		if test.method == "INVITE" || strings.EqualFold(test.method, "REFER") && len(test.headers) == 1 {
			continue
		}
		if test.method == "NOTIFY" && strings.Contains(strings.Join(test.headers, " "), "dialog") && test.body == "" {
			continue
		}
		body := strings.ReplaceAll(test.body, "{crlf}", "\r\n")
		n := len(strings.ReplaceAll(strings.ReplaceAll(body, "\r\n", "\n"), "\n", "\r\n"))
		call.send(test.method, append(test.headers, fmt.Sprintf("Content-Length: %d", n), "X-End: 1\n\n"+body)...)
		if res := alice.Receive(); res.Line() != "SIP/2.0 403 Remote Control Not Allowed" {
			t.Fatalf("%s %q in a call: %s", test.method, test.headers, res.Line())
		}
	}
	bob.Nothing()
}

// TestAutoAnswer has calls ask the phone to answer by itself: they ring.
func TestAutoAnswer(t *testing.T) {
	s := start(t, "trust 127.0.0.2\ntest_trust\nregister\n@allowed header X-Allow yes\nproxy @allowed {\nallow_control\n}\nproxy")
	bob, alice := registered(t, s, "bob"), udp(t, s, "alice")
	call := func(uri string, headers ...string) string {
		t.Helper()
		branch := alice.request("INVITE", uri, headers...)
		alice.Expect("SIP/2.0 100")
		m := bob.Expect("INVITE")
		bob.Answer(m, "486 Busy", "b")
		res := alice.Expect("SIP/2.0 486")
		bob.Expect("ACK")
		alice.ack(branch, uri, res)
		return m.Text
	}
	for _, line := range []string{
		"Alert-Info: <http://127.0.0.1/auto>;info=alert-autoanswer", "Alert-Info: info=alert-autoanswer;delay=0", "ALERT-INFO : <http://x>;INFO = \"Alert-AutoAnswer\"",
		"Alert-Info:\n Auto Answer", "Alert-Info: Ring Answer", "Alert-Info: auto_answer", "Alert-Info: <x>;delay=0", "Alert-Info: intercom", "Alert-Info: <sip:x>;info=%61lert-%61uto%61nswer",
		`Alert-Info: <x>;info="alert-auto\answer"`, "Call-Info: <sip:x>;answer-after=0", "call-info:<sip:x>;purpose=icon, <sip:y>; Answer-After = 1", `Call-Info: <sip:x>\;answer-after=0`,
		"Answer-Mode: Auto", "answer-mode:Auto;require", "Priv-Answer-Mode: Auto", "P-Auto-Answer: normal", "X-AutoAnswer: 1", "X-Auto-Answer: yes", "X-Intercom: true",
	} {
		name := strings.TrimSpace(strings.Split(line, ":")[0])
		if text := call(s.URI("bob"), "User-Agent: x", line, "Subject: answer me"); strings.Contains(strings.ToLower(text), "\r\n"+strings.ToLower(name)) ||
			!strings.Contains(text, "Subject: answer me") {
			t.Errorf("%q rings with\n%s", line, text)
		}
		if text := call(s.URI("bob"), line, "X-Allow: yes"); !strings.Contains(strings.ToLower(text), "\r\n"+strings.ToLower(name)) {
			t.Errorf("%q is allowed, and rings with\n%s", line, text)
		}
	}
	for _, line := range []string{"Alert-Info: <urn:alert:source:internal>", "Alert-Info: <http://x/ring.wav>", "Alert-Info: <x>;info=alert-external", "Alert-Info: Bellcore-dr2",
		"Call-Info: <http://x/y.png>;purpose=icon", "X-Other: answer-after", "Subject: intercom"} {
		if text := call(s.URI("bob"), line); !strings.Contains(text, line) {
			t.Errorf("%q is lost:\n%s", line, text)
		}
	}
	for _, to := range []string{"To: <sip:bob@127.0.0.1;intercom=true>", "To: \"Bob, B\" <sip:bob@127.0.0.1;user=phone;InterCom=true>;x=y", "To: sip:bob@127.0.0.1;intercom=true",
		"To: <sip:bob@127.0.0.1;%69ntercom=true>", "From: <sip:alice@127.0.0.1;intercom=true>;tag=1", "From: <sip:alice@127.0.0.1;auto-answer=1?X=Y>;tag=1;x"} {
		text := call(s.URI("bob"), to)
		if low := strings.ToLower(text); strings.Contains(low, "ntercom") || strings.Contains(low, "auto-answer") {
			t.Errorf("%q rings with\n%s", to, text)
		}
		for _, kept := range []string{"\"Bob, B\"", ";user=phone", ";x=y", ";tag=1", "?X=Y"} {
			if strings.Contains(to, kept) && !strings.Contains(text, kept) {
				t.Errorf("%q has lost %s:\n%s", to, kept, text)
			}
		}
	}
}

// TestAutoAnswerURI has it in a Request-URI that is kept, of somebody who may name any.
func TestAutoAnswerURI(t *testing.T) {
	s := start(t, "test_trust\nproxy {\nallow_private\n}")
	alice, bob := udp(t, s, "alice"), udp(t, s, "bob")
	for uri, want := range map[string]string{
		";intercom=true": "", ";user=phone;intercom=true;x=y": ";user=phone;x=y", ";INTERCOM": "", ";%69ntercom=true": "", ";x=y": ";x=y",
	} {
		alice.request("INVITE", bob.contact()+uri, "X-User: alice", "To: <sip:bob@127.0.0.1>")
		alice.Expect("SIP/2.0 100")
		m := bob.Expect("INVITE")
		same(t, "Request-URI", m.URI(), bob.contact()+want)
		bob.Answer(m, "486 Busy", "b")
		alice.Expect("SIP/2.0 486")
		bob.Expect("ACK")
	}
	// A strict router behind us, or before us, makes a Route the Request-URI (RFC 3261 §16.4, §16.6
	// step 6).
	us := "sip:" + s.Addr.String()
	alice.request("INVITE", us+";lr", "X-User: alice", "Route: <"+bob.contact()+";intercom=true>")
	alice.Expect("SIP/2.0 403 Remote Control Not Allowed")
	bob.Nothing()
	// A MESSAGE lets nobody hear the room.
	alice.request("MESSAGE", us+";lr", "X-User: alice", "Route: <"+bob.contact()+";intercom=true>")
	bob.Answer(bob.Expect("MESSAGE "+bob.contact()+";intercom=true SIP/2.0\r\n"), "200 OK", "b")
	alice.Expect("SIP/2.0 200")
	// A loose router leaves the Request-URI as it is.
	alice.invite("sip:bob@far.example", "X-User: alice", "Route: <"+bob.contact()+";lr;intercom=true>")
	m := bob.Expect("INVITE sip:bob@far.example SIP/2.0\r\n")
	bob.Answer(m, "486 Busy", "b")
	alice.Expect("SIP/2.0 486")
	bob.Expect("ACK")
}
