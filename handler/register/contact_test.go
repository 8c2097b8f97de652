package register

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// age takes a second or two from the times in an answer for granted.
var age = regexp.MustCompile(`expires=(\d+)`)

// answered returns the Contacts of an answer, their times left out.
func answered(contacts []string) (out []string) {
	for _, c := range contacts {
		out = append(out, age.ReplaceAllString(c, "expires"))
	}
	return out
}

func TestContacts(t *testing.T) {
	s := start(t, "register {\npath from 127.0.0.1\n}\nwitness")
	p := s.UDP()
	for i, tc := range []struct {
		name   string
		lines  string
		status string   // 200 OK if there is none
		header string   // a line that the answer has
		want   []string // what is stored
		answer []string // the Contacts of the answer; <…>;expires of what is stored if there are none
		time   int      // seconds that the first binding lasts
	}{
		{name: "one", lines: "Contact: <sip:a@h>", want: []string{"sip:a@h"}, time: 600},
		{name: "without brackets", lines: "Contact: sip:a@h;q=0.1", want: []string{"sip:a@h q=100"}, answer: []string{"<sip:a@h>;expires;q=0.100"}},
		{name: "compact", lines: "m: <sip:a@h;x=y>", want: []string{"sip:a@h;x=y"}},
		{name: "folded", lines: "Contact:\n <sip:a@h>\n\t;q=0.2,\n <sip:b@h>", want: []string{"sip:b@h", "sip:a@h q=200"}, answer: []string{"<sip:b@h>;expires", "<sip:a@h>;expires;q=0.200"}},
		{
			name:  "several in lines and on one line, the best first",
			lines: "Contact: <sip:a@h>;q=0.1, <sip:b@h>;q=0.375\nContact: \"x, <y>\" <sip:c@h>",
			want:  []string{"sip:c@h", "sip:b@h q=375", "sip:a@h q=100"},
			answer: []string{
				"<sip:c@h>;expires", "<sip:b@h>;expires;q=0.375", "<sip:a@h>;expires;q=0.100",
			},
		},
		{name: "q of nonsense", lines: "Contact: <sip:a@h>;q=high, <sip:b@h>;q=1.0, <sip:c@h>;q=0.0", want: []string{"sip:b@h", "sip:a@h", "sip:c@h q=0"}, answer: []string{"<sip:b@h>;expires", "<sip:a@h>;expires", "<sip:c@h>;expires;q=0.000"}},
		{name: "all of a URI is kept", lines: "Contact: <sip:a:pw@[2001:db8::1]:5070;transport=tcp;line=a%20b?Subject=x&y=z>", want: []string{"sip:a:pw@[2001:db8::1]:5070;transport=tcp;line=a%20b?Subject=x&y=z"}},
		{name: "another scheme", lines: "Contact: <sips:a@h>, <tel:+49301234>, <mailto:a@h>", want: []string{"mailto:a@h", "tel:+49301234", "sips:a@h"}},
		{name: "equal URIs are one", lines: "Contact: <sip:a@h;x=1>, <sip:%61@H;y=2>", want: []string{"sip:%61@H;y=2"}},
		{name: "unknown parameters", lines: "Contact: <sip:a@h>;methods=\"INVITE, ACK\";audio;+sip.rendering=\"no\"", want: []string{"sip:a@h"}},

		{name: "the header field's time", lines: "Contact: <sip:a@h>\nExpires: 100", want: []string{"sip:a@h"}, time: 100},
		{name: "the parameter goes before it", lines: "Expires: 100\nContact: <sip:a@h>;expires=200", want: []string{"sip:a@h"}, time: 200},
		{name: "even with 0", lines: "Expires: 0\nContact: <sip:a@h>;expires=200, <sip:b@h>", want: []string{"sip:a@h"}, time: 200},
		{name: "one is removed", lines: "Expires: 100\nContact: <sip:a@h>;expires=0, <sip:b@h>", want: []string{"sip:b@h"}, time: 100},
		{name: "too long", lines: "Contact: <sip:a@h>;expires=7201", want: []string{"sip:a@h"}, time: 7200},
		{name: "far too long", lines: "Contact: <sip:a@h>;expires=99999999999999999999999", want: []string{"sip:a@h"}, time: 7200},
		{name: "far too long in the field", lines: "Contact: <sip:a@h>\nExpires: 4294967296", want: []string{"sip:a@h"}, time: 7200},
		{name: "the shortest", lines: "Contact: <sip:a@h>;expires=60", want: []string{"sip:a@h"}, time: 60},
		{name: "no number", lines: "Contact: <sip:a@h>;expires=\"Thu, 01 Jan 2099 00:00:00 GMT\"", want: []string{"sip:a@h"}, time: 3600},
		{name: "negative", lines: "Contact: <sip:a@h>;expires=-5", want: []string{"sip:a@h"}, time: 3600},
		{name: "no number in the field", lines: "Contact: <sip:a@h>\nExpires: soon", want: []string{"sip:a@h"}, time: 600},
		{name: "too short", lines: "Contact: <sip:a@h>;expires=59", status: "423 Interval Too Brief", header: "Min-Expires: 60"},
		{name: "too short in the field", lines: "Contact: <sip:a@h>\nExpires: 1", status: "423 Interval Too Brief", header: "Min-Expires: 60"},
		{name: "one of two is too short", lines: "Contact: <sip:a@h>\nContact: <sip:b@h>;expires=1", status: "423 Interval Too Brief", header: "Min-Expires: 60"},

		{name: "no URI", lines: "Contact: <nonsense>", status: "400 Malformed Contact"},
		{name: "no host", lines: "Contact: <sip:a@>", status: "400 Malformed Contact"},
		{name: "port and parameter in one", lines: "Contact: <sip:a@h:5060transport=udp>", status: "400 Malformed Contact"},
		{name: "a quote in the URI", lines: "Contact: <sip:a\"@h>", status: "400 Malformed Contact"},
		{name: "headers without brackets", lines: "Contact: sip:a@h?Subject=x", status: "400 Malformed Contact"},
		{name: "one of two is malformed", lines: "Contact: <sip:a@h>, <sip:b@h:0>", status: "400 Malformed Contact"},
		{name: "no end of the brackets", lines: "Contact: <sip:a@h", status: "400 Malformed Contact"},
		{name: "star with a parameter", lines: "Contact: *;expires=0\nExpires: 0", status: "400 Malformed Contact"},

		{name: "instance", lines: `Contact: <sip:a@h>;+sip.instance="<urn:uuid:1>"`, want: []string{`sip:a@h instance="<urn:uuid:1>"`}, answer: []string{`<sip:a@h>;expires;+sip.instance="<urn:uuid:1>"`}},
		{name: "instance without quotes", lines: `Contact: <sip:a@h>;+SIP.INSTANCE=<urn:uuid:1>`, want: []string{`sip:a@h instance="<urn:uuid:1>"`}, answer: []string{`<sip:a@h>;expires;+sip.instance="<urn:uuid:1>"`}},
		{name: "empty instance", lines: `Contact: <sip:a@h>;+sip.instance="", <sip:b@h>;+sip.instance`, want: []string{"sip:b@h", "sip:a@h"}},

		{name: "unknown extensions", lines: "Require: path, foo\nRequire: bar\nContact: <sip:a@h>", status: "420 Bad Extension", header: "Unsupported: foo, bar"},
		{name: "Proxy-Require is for proxies", lines: "Proxy-Require: foo\nContact: <sip:a@h>", want: []string{"sip:a@h"}},
		{name: "path", lines: "Require: path\nSupported: path\nPath: <sip:p2@h;lr>\nPath: <sip:p1@h;lr>\nContact: <sip:a@h>", want: []string{"sip:a@h path=<sip:p2@h;lr>,<sip:p1@h;lr>"}, header: "Path: <sip:p2@h;lr>"},
		{name: "path on one line", lines: "Path: <sip:p2@h;lr>, <sip:p1@h;lr>\nContact: <sip:a@h>", want: []string{"sip:a@h path=<sip:p2@h;lr>,<sip:p1@h;lr>"}, header: "Path: <sip:p1@h;lr>"},
		{name: "path that is too long", lines: "Path: <sip:p1@h;lr>" + strings.Repeat(",<sip:"+strings.Repeat("p", 100)+"@h;lr>", 10) + "\nContact: <sip:a@h>", status: "400 Path Too Long"},
		{name: "path that leads elsewhere", lines: "Path: <sip:p1@127.0.0.2;lr>\nContact: <sip:a@h>", status: "403 Path Not Allowed"},
		{name: "maddr that leads elsewhere", lines: "Path: <sip:p1@127.0.0.1;maddr=127.0.0.2;lr>\nContact: <sip:a@h>", status: "403 Path Not Allowed"},
		{name: "the longest contact", lines: "Contact: <sip:a@h;x=" + strings.Repeat("x", 1014) + ">", want: []string{"sip:a@h;x=" + strings.Repeat("x", 1014)}},
		{name: "a longer one", lines: "Contact: <sip:a@h;x=" + strings.Repeat("x", 1015) + ">", status: "400 Contact Too Long"},
		{name: "one of two is longer", lines: "Contact: <sip:b@h>, <sip:a@h;x=" + strings.Repeat("x", 1015) + ">", status: "400 Contact Too Long"},
		{name: "instance that is too long", lines: `Contact: <sip:a@h>;+sip.instance="<urn:` + strings.Repeat("x", 1018) + `>"`, status: "400 Instance ID Too Long"},
		{name: "malformed path", lines: "Path: <sip:p2@h;lr>, <nonsense>\nContact: <sip:a@h>", status: "400 Malformed Path"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.status == "" {
				tc.status = "200 OK"
			}
			user := fmt.Sprintf("user%d", i)
			aor := user + "@example.com"
			m := ask(p, request(user, 1, tc.lines), tc.status)
			if name, value, _ := strings.Cut(tc.header, ": "); name != "" && !slices.Contains(m.Headers(name), value) {
				t.Errorf("no %s in\n%s", tc.header, m.Text)
			}
			wantStored(t, s, aor, tc.want...)
			answer := tc.answer
			for _, text := range tc.want {
				if tc.answer == nil {
					uri, _, _ := strings.Cut(text, " ")
					answer = append(answer, "<"+uri+">;expires")
				}
			}
			if got := answered(m.Headers("Contact")); !slices.Equal(got, answer) {
				t.Errorf("the answer has %q, want %q", got, answer)
			}
			if got := lifetime(s, aor); tc.time != 0 && got != tc.time && got != tc.time+1 {
				t.Errorf("the binding lasts %d s, want %d", got, tc.time)
			}
			// What was refused is nothing to act on.
			if tc.status == "200 OK" {
				wantSeen(t, "REGISTER sip:example.com 200")
			} else {
				wantSeen(t)
			}
		})
	}
}

func TestWildcard(t *testing.T) {
	s := start(t, "register")
	p := s.UDP()
	for i, tc := range []struct{ lines, status string }{
		{"Contact: *", "400 Invalid Wildcard Contact"},
		{"Contact: *\nExpires: 1", "400 Invalid Wildcard Contact"},
		{"Contact: *\nExpires: never", "400 Invalid Wildcard Contact"},
		{"Contact: *, <sip:c@h>\nExpires: 0", "400 Invalid Wildcard Contact"},
		{"Contact: <sip:a@h>\nContact: *\nExpires: 0", "400 Invalid Wildcard Contact"},
		{"Contact: *, *\nExpires: 0", "400 Invalid Wildcard Contact"},
		{"Contact: *\nExpires: 0", "200 OK"},
		{"m:*\nExpires:00", "200 OK"},
	} {
		user := fmt.Sprintf("user%d", i)
		aor := user + "@example.com"
		ask(p, request(user, 1, "Contact: <sip:a@h>, <sip:b@h>"), "200 OK")
		// By another phone: it removes what others have set, too.
		m := ask(p, strings.Replace(request(user, 1, tc.lines), "call-", "other-", 1), tc.status)
		if tc.status != "200 OK" {
			wantStored(t, s, aor, "sip:b@h", "sip:a@h")
			continue
		}
		wantStored(t, s, aor)
		if m.Headers("Contact") != nil {
			t.Errorf("%s: contacts %q", tc.lines, m.Headers("Contact"))
		}
	}
}

func TestLimits(t *testing.T) {
	s := start(t, "register {\n expires 2h 3h 4h\n}")
	p := s.UDP()
	for i, tc := range []struct {
		line, status string
		time         int
	}{
		{"Contact: <sip:a@h>", "200 OK", 3 * 3600},
		{"Contact: <sip:a@h>;expires=86400", "200 OK", 4 * 3600},
		// RFC 3261 §10.3 step 7 lets nobody refuse an hour.
		{"Contact: <sip:a@h>;expires=3600", "200 OK", 3600},
		{"Contact: <sip:a@h>;expires=3599", "423", 0},
		{"Contact: <sip:a@h>;expires=0", "200 OK", 0},
	} {
		user := fmt.Sprintf("user%d", i)
		m := ask(p, request(user, 1, tc.line), tc.status)
		if got := lifetime(s, user+"@example.com"); got != tc.time && got != tc.time+1 {
			t.Errorf("%s: the binding lasts %d s, want %d", tc.line, got, tc.time)
		}
		if tc.status == "423" && m.Header("Min-Expires") != "7200" {
			t.Errorf("got\n%s", m.Text)
		}
	}
}

// TestLift has a time that is too short made the shortest there is.
func TestLift(t *testing.T) {
	s := start(t, "register {\n expires 2h 3h 4h lift\n}")
	p := s.UDP()
	for i, tc := range []struct {
		line string
		time int
	}{
		{"Contact: <sip:a@h>;expires=1", 2 * 3600},
		{"Contact: <sip:a@h>\nExpires: 3599", 2 * 3600},
		{"Contact: <sip:a@h>;expires=3600", 3600},
		{"Contact: <sip:a@h>;expires=86400", 4 * 3600},
		{"Contact: <sip:a@h>;expires=0", 0},
	} {
		user := fmt.Sprintf("user%d", i)
		m := ask(p, request(user, 1, tc.line), "200 OK")
		if got := lifetime(s, user+"@example.com"); got != tc.time && got != tc.time+1 {
			t.Errorf("%s: the binding lasts %d s, want %d", tc.line, got, tc.time)
		}
		if tc.time > 0 && !strings.Contains(m.Header("Contact"), fmt.Sprintf(";expires=%d", tc.time)) {
			t.Errorf("the phone is told\n%s", m.Text)
		}
	}
}

// TestForgedSource has many contacts, of which somebody who may not be where he says gets as many as fit
// into an answer that is not many times as long as his request.
func TestForgedSource(t *testing.T) {
	s := start(t, "register")
	for _, p := range peers(s) {
		user := "user-" + p.Transport()
		contact := func(i int) string { return fmt.Sprintf("Contact: <sip:%d@h;x=%s>", i, strings.Repeat("x", 400)) }
		for i := range 4 {
			ask(p, request(user, i+1, contact(i)), "200")
		}
		want := map[string]int{"UDP": 2, "TCP": 4}[p.Transport()]
		if got := len(ask(p, request(user, 9), "200").Headers("Contact")); got != want {
			t.Errorf("by %s %d contacts are listed, want %d", p.Transport(), got, want)
		}
		// What is in the request may be in the answer.
		if got := len(ask(p, request(user, 10, "X-Padding: "+strings.Repeat("x", 2000)), "200").Headers("Contact")); got != 4 {
			t.Errorf("by %s %d contacts are listed for a long request, want 4", p.Transport(), got)
		}
	}
}
