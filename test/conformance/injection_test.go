package conformance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// placeholders brings text that came with the request into everything that a configuration can
// write into a message.
const placeholders = `
	vars {
		subject "{sip.header.Subject}"
		number 7
	}
	header {
		X-User "u={sip.uri.user}."
		X-From "f={sip.from.user} {sip.from.uri}."
		X-To "t={sip.to.user}."
		X-Contact "c={sip.contact.uri}."
		X-Subject "s={sip.header.Subject}."
		X-Var "v={sip.vars.subject} {env.CONFORMANCE_PUBLIC}."
		X-Agent "a={sip.user_agent} {sip.call_id} {sip.method}."
	}`

// userParts are user parts of URIs, and the texts they stand for.
var userParts = []struct{ escaped, text string }{
	{"%0d%0aX-Evil%3a%20yes", "\r\nX-Evil: yes"},
	{"%0D%0A%0D%0AX-Evil%3A%20yes", "\r\n\r\nX-Evil: yes"},
	{"%0aX-Evil%3a%20yes%0a", "\nX-Evil: yes\n"},
	{"%0dX-Evil%3a%20yes%0d", "\rX-Evil: yes\r"},
	{"%00X-Evil%3a%20yes", "\x00X-Evil: yes"},
	{"a%22%3e,%3csip%3aevil%40x%3e;%22", "a\">,<sip:evil@x>;\""},
	{"%7benv.CONFORMANCE_SECRET%7d", "{env.CONFORMANCE_SECRET}"},
	{"%7Bsip.call_id%7D", "{sip.call_id}"},
	{"%7bfile.%2fetc%2fhostname%7d", "{file./etc/hostname}"},
	{"%ff%fe%c2%85", "\xff\xfe\u0085"},
	{strings.Repeat("%0a", 500), strings.Repeat("\n", 500)},
}

// clean is what is left of a text in a header field's value.
func clean(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			b[i] = ' '
		}
	}
	return string(b)
}

func secrets(t *testing.T) (file string) {
	t.Helper()
	t.Setenv("CONFORMANCE_SECRET", "leaked")
	t.Setenv("CONFORMANCE_PUBLIC", "public")
	file = filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("leaked"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestInjectionInHeader brings text of the request into header fields that go on to a phone.
func TestInjectionInHeader(t *testing.T) {
	file := secrets(t)
	s := handlertest.Start(t, "register")
	phone := s.UDP()
	s.Load(handlertest.Caddyfile(s.Addr, placeholders+"\n@message method MESSAGE\nproxy @message sip:"+phone.Addr.String()+";lr"))
	for _, p := range peers(s) {
		for _, u := range userParts {
			uri := "sip:" + u.escaped + "@127.0.0.1"
			subject := `" {env.CONFORMANCE_SECRET} {file.` + file + `} {sip.vars.number} {sip.call_id} %0d%0aX-Evil: yes \r\nX-Evil: yes`
			p.Send(request("MESSAGE", uri, "From: \""+`\`+"\rx\" <"+uri+">;tag=1"))
			p.Expect("SIP/2.0 400 ")
			p.Send(request("MESSAGE", uri, "From: <"+uri+">;tag=1", "To: <"+uri+">", "Contact: <"+uri+">", "Call-ID: c", "Subject: "+subject, "User-Agent: "+subject))
			got := phone.Expect("MESSAGE " + uri + " SIP/2.0\r\n")
			wantNoField(t, got.Text, "x-evil")
			if strings.Contains(got.Text, "leaked") {
				t.Fatalf("a placeholder that came with the request was replaced:\n%s", got.Text)
			}
			text := clean(u.text)
			for name, want := range map[string]string{
				"X-User":    "u=" + text + ".",
				"X-From":    "f=" + text + " " + uri + ".",
				"X-To":      "t=" + text + ".",
				"X-Contact": "c=" + uri + ".",
				"X-Subject": "s=" + subject + ".",
				"X-Var":     "v=" + subject + " public.",
				"X-Agent":   "a=" + subject + " c MESSAGE.",
			} {
				if v := got.Headers(name); len(v) != 1 || v[0] != want {
					t.Errorf("%s is %q, want %q", name, v, want)
				}
			}
			if len(parse(t, got.Text).Body()) != 0 {
				t.Errorf("there is a body in\n%q", got.Text)
			}
			accept(t, s, phone, got)
			p.Expect("SIP/2.0 200 OK\r\n")
		}
		// What grows too large, or gets too many parameters when it is unescaped, is not sent on,
		// and is the client's own fault.
		p.Send(request("MESSAGE", "sip:"+strings.Repeat("%0a", 100)+"@127.0.0.1", "Subject: "+strings.Repeat("x", 30000)))
		p.Expect("SIP/2.0 413 Message Too Large\r\n")
		p.Send(request("MESSAGE", "sip:"+strings.Repeat("%3b", 65)+"@127.0.0.1"))
		p.Expect("SIP/2.0 400 Too Many Parameters\r\n")
		p.Nothing()
	}
	phone.Nothing()
}

// TestInjectionInResponse brings it into the reason phrase and the header fields of answers, and
// into the Contact of a redirection.
func TestInjectionInResponse(t *testing.T) {
	file := secrets(t)
	s := handlertest.Start(t, `
		@redirect method REFER
		redirect @redirect "sip:{sip.uri.user}@gw.example.com;x=y"
		@error method INFO
		error @error 480 "{sip.uri.user}"
		respond 404 "No {sip.uri.user} {sip.header.Subject}" {
			header X-User "u={sip.uri.user}."
			header Warning "{sip.header.Subject}"
		}
		handle_errors {
			respond {sip.error.status} "E {sip.error.message}"
		}`)
	for _, p := range peers(s) {
		for _, u := range userParts {
			uri := "sip:" + u.escaped + "@127.0.0.1"
			subject := `{env.CONFORMANCE_SECRET} {file.` + file + `} {sip.call_id}`
			text := clean(u.text)
			p.Send(request("MESSAGE", uri, "Subject: "+subject))
			got := p.Expect("SIP/2.0 404 No " + text + " " + subject + "\r\n")
			if got.Header("X-User") != strings.TrimSpace("u="+text+".") || got.Header("Warning") != subject {
				t.Errorf("X-User %q, Warning %q", got.Header("X-User"), got.Header("Warning"))
			}
			wantAnswer(t, got)

			p.Send(request("INFO", uri, "Subject: "+subject))
			got = p.Expect("SIP/2.0 480 E 480 Temporarily Unavailable: " + text + "\r\n")
			wantAnswer(t, got)

			p.Send(request("REFER", uri, "Subject: "+subject))
			got = p.Expect("SIP/2.0 302 Moved Temporarily\r\n")
			contacts := got.Headers("Contact")
			if len(contacts) != 1 || !strings.HasPrefix(contacts[0], "<sip:") || !strings.HasSuffix(contacts[0], "@gw.example.com;x=y>") ||
				strings.Count(contacts[0], "<") != 1 || strings.Count(contacts[0], ">") != 1 || strings.Count(contacts[0], "@") != 1 {
				t.Errorf("Contact %q", contacts)
			}
			wantAnswer(t, got)
		}
		p.Nothing()
	}
}

// wantAnswer wants an answer to be one message without a body and without a header field or an
// expansion that came with the request.
func wantAnswer(t *testing.T, got handlertest.Message) {
	t.Helper()
	wantNoField(t, got.Text, "x-evil")
	if strings.Contains(got.Text, "leaked") {
		t.Errorf("a placeholder that came with the request was replaced:\n%s", got.Text)
	}
	if m := parse(t, got.Text); len(m.Body()) != 0 || len(values(m, 1)) != 1 {
		t.Errorf("this is not one answer:\n%s", got.Text)
	}
}

// TestInjectionInURI brings it into Request-URIs, which decide where a request goes.
func TestInjectionInURI(t *testing.T) {
	file := secrets(t)
	s := handlertest.Start(t, "register")
	phone := s.UDP()
	s.Load(handlertest.Caddyfile(s.Addr, "@message method MESSAGE\nrewrite @message \"sip:pre-{sip.uri.user}@"+phone.Addr.String()+"\"\nproxy @message sip:"+phone.Addr.String()+";lr"))
	p := s.UDP()
	for _, u := range append(userParts, struct{ escaped, text string }{"%7bfile." + strings.ReplaceAll(file, "/", "%2f") + "%7d", ""}) {
		p.Send(request("MESSAGE", "sip:"+u.escaped+"@127.0.0.1"))
		got := phone.Expect("MESSAGE sip:pre-")
		user, host, ok := strings.Cut(strings.TrimPrefix(got.URI(), "sip:"), "@")
		if !ok || host != phone.Addr.String() || strings.ContainsAny(user, "\r\n\x00<>\"{}@ ") || strings.Contains(got.Text, "leaked") {
			t.Errorf("%q became %q", u.escaped, got.Line())
		}
		wantNoField(t, got.Text, "x-evil")
		accept(t, s, phone, got)
		p.Expect("SIP/2.0 200 OK\r\n")
	}
	p.Nothing()
	phone.Nothing()
}

// TestInjectionInButtons brings it into the label and the number of a key: a line of its own would
// dial another number.
func TestInjectionInButtons(t *testing.T) {
	file := secrets(t)
	s := handlertest.Start(t, `snom_lrc {
		key "{sip.header.X-Key}"
		press "{sip.to.user}"
		label "{light} by {sip.from.user} {sip.header.Subject}"
		from "sip:{sip.from.user}@{sip.local.host}"
	}`)
	for _, p := range peers(s) {
		for i, u := range userParts {
			uri := "sip:" + u.escaped + "@127.0.0.1"
			subject := `{env.CONFORMANCE_SECRET} {file.` + file + `} {light} {sip.call_id}`
			p.Send(request("INVITE", "sip:433@127.0.0.1", "From: <"+uri+">;tag=1", "To: <"+uri+">", "Contact: <sip:phone@{me}?X-Evil=yes>", "Subject: "+subject,
				"User-Agent: snomD785/10", "X-Key: 2", "Call-ID: call-"+string(rune('a'+i))))
			p.Expect("SIP/2.0 404 Not a call\r\n")
			got := p.Expect("MESSAGE sip:phone@" + p.Addr.String() + " SIP/2.0\r\n")
			p.Ignore(got)
			wantNoField(t, strings.Split(got.Text, "\r\n\r\n")[0]+"\r\n\r\n", "x-evil")
			lines := strings.Split(got.Body(), "\r\n")
			names := ""
			for _, l := range lines {
				names += strings.Split(l, "=")[0]
				if strings.ContainsAny(l, "\r\n\x00\u0085") {
					t.Errorf("a control character in %q", l)
				}
			}
			// A number of nothing but spaces is none.
			if names != "kcnal" && names != "kcal" || lines[0] != "k=2" || !strings.Contains(got.Body(), subject) || strings.Contains(got.Text, "leaked") {
				t.Errorf("%q became\n%s", u.escaped, got.Text)
			}
			if m := parse(t, got.Text); len(m.Body()) != bodyLength(m) {
				t.Errorf("Content-Length %d of %d", bodyLength(m), len(m.Body()))
			}
			accept(t, s, p, got)
		}
		p.Nothing()
	}
}

// TestInjectionInLog brings it into fields of the access log.
func TestInjectionInLog(t *testing.T) {
	file := secrets(t)
	s, logged := withLog(t, "INFO", `
		log_append user "{sip.uri.user}"
		log_append subject "{sip.header.Subject}"
		respond 404`)
	p := s.UDP()
	subject := `","level":"forged {env.CONFORMANCE_SECRET} {file.` + file + `} {sip.call_id}`
	for _, u := range userParts {
		p.Send(request("MESSAGE", "sip:"+u.escaped+"@127.0.0.1", "Subject: "+subject))
		p.Expect("SIP/2.0 404 Not Found\r\n")
	}
	n := 0
	for _, line := range strings.Split(strings.TrimSpace(logged()), "\n") {
		var entry struct{ Level, Msg, User, Subject string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		if entry.Msg != "handled request" {
			continue
		}
		// What cannot be printed is shown as a question mark, and what is long is cut.
		want := ""
		for _, c := range userParts[n].text {
			if c == utf8.RuneError || unicode.IsControl(c) {
				c = '?'
			}
			want += string(c)
		}
		user, cut := strings.CutSuffix(entry.User, "…")
		if entry.Level != "info" || entry.Subject != subject || user != want && !(cut && strings.HasPrefix(want, user)) || strings.Contains(line, "leaked") {
			t.Errorf("got %q, want user %q and subject %q", line, want, subject)
		}
		n++
	}
	if n != len(userParts) {
		t.Errorf("%d entries", n)
	}
}

// TestInjectionInExpression brings it into a condition.
func TestInjectionInExpression(t *testing.T) {
	s := handlertest.Start(t, "@open expression `{sip.header.Subject} == \"open\"`\nrespond @open 200\nrespond 403")
	for _, p := range peers(s) {
		for _, subject := range []string{`x" == "x" || "open`, `"open"`, `open" || true || "`, `{sip.vars.x}`, "x\\\" || true", `true`} {
			p.Send(request("MESSAGE", "sip:bob@127.0.0.1", "Subject: "+subject))
			p.Expect("SIP/2.0 403 Forbidden\r\n")
		}
		p.Send(request("MESSAGE", "sip:bob@127.0.0.1", "Subject: open"))
		p.Expect("SIP/2.0 200 OK\r\n")
	}
}
