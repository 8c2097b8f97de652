package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddysip/caddysip/internal/phone"
	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
)

// server answers a phone as the tutorial's does: an INVITE with a 404, and
// then a MESSAGE that sets key 2.
type server struct {
	addr     string
	register string      // what a REGISTER is answered
	push     atomic.Bool // a registered phone gets key 2, a while later

	mu       sync.Mutex
	received []string // method, URI and how the body begins; no retransmissions
}

func listen(t *testing.T, register string) *server {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &server{addr: conn.LocalAddr().String(), register: register}
	go s.serve(conn)
	return s
}

func (s *server) serve(conn net.PacketConn) {
	buf := make([]byte, 65536)
	seen := make(map[string]bool)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		head, body, _ := strings.Cut(string(buf[:n]), "\r\n\r\n")
		lines := strings.Split(head, "\r\n")
		field := make(map[string]string)
		for _, l := range lines[1:] {
			name, value, _ := strings.Cut(l, ": ")
			field[name] = value
		}
		method, rest, _ := strings.Cut(lines[0], " ")
		if method == "SIP/2.0" || method == "ACK" || seen[field["Via"]] {
			continue
		}
		seen[field["Via"]] = true
		s.mu.Lock()
		s.received = append(s.received, strings.TrimSpace(method+" "+strings.TrimSuffix(rest, " SIP/2.0")+" "+body[:min(len(body), 3)]))
		s.mu.Unlock()

		status := "200 OK"
		switch method {
		case "REGISTER":
			status = s.register
		case "INVITE":
			status = "404 Not a\x1bcall"
		}
		reply := "SIP/2.0 " + status + "\r\n"
		for _, name := range []string{"Via", "From", "Call-ID", "CSeq"} {
			reply += name + ": " + field[name] + "\r\n"
		}
		_, _ = conn.WriteTo([]byte(reply+"To: "+field["To"]+";tag=t\r\nContent-Length: 0\r\n\r\n"), from)
		set := func() {
			uri := strings.Trim(field["Contact"], "<>")
			doc := "k=2\r\nc=hold\r\nn=432\r\na=message\r\nl=Light is hold"
			_, _ = conn.WriteTo(fmt.Appendf(nil, "MESSAGE %[1]s SIP/2.0\r\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bK%[3]d\r\nFrom: <sip:s@s>;tag=s\r\nTo: <%[1]s>\r\n"+
				"Call-ID: m%[3]d\r\nCSeq: 1 MESSAGE\r\nContent-Type: application/x-buttons\r\nContent-Length: %[4]d\r\n\r\n%[5]s",
				uri, s.addr, len(head), len(doc), doc), from)
		}
		switch {
		case method == "INVITE":
			set()
		case method == "REGISTER" && s.push.Load():
			time.AfterFunc(100*time.Millisecond, set)
		}
	}
}

func (s *server) requests() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.received, "\n")
}

// output collects what the command writes, and lets a test wait for it.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{}
}

func newOutput() *output { return &output{written: make(chan struct{}, 1)} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.written <- struct{}{}:
	default:
	}
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) await(t *testing.T, part string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for !strings.Contains(o.String(), part) {
		select {
		case <-o.written:
		case <-deadline:
			t.Fatalf("%q was not written; instead:\n%s", part, o)
		}
	}
}

func TestExit(t *testing.T) {
	s := listen(t, "200 OK")
	out := newOutput()
	o := options{phone: phone.Config{Server: s.addr, User: "101", Password: "secret", Model: "370"}, dial: "433", press: "2", exit: true}
	// The MESSAGE that a press sends is no call, and no key changes after it:
	// the command waits for one, and goes on.
	if err := run(t.Context(), o, strings.NewReader("dial 999\n"), out); err != nil {
		t.Fatal(err)
	}
	host, _, _ := net.SplitHostPort(s.addr)
	want := strings.Join([]string{
		"REGISTER sip:" + host, "INVITE sip:433@" + host + " v=0", "MESSAGE sip:432@" + host + " k=2", "REGISTER sip:" + host,
	}, "\n")
	if got := s.requests(); got != want {
		t.Errorf("sent\n%s\nwant\n%s", got, want)
	}
	key := `key P2  ● hold    orange  "Light is hold"  → 432 (message)` + "\n"
	text := out.String()
	for _, part := range []string{"registered as 101\n", "call with 433: 404 Not a\uFFFDcall\n", key, "key 2 pressed\n", "unregistered\n"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in\n%s", part, text)
		}
	}
	if n := strings.Count(text, key); n != 2 {
		t.Errorf("the key is shown %d times", n)
	}
	if strings.Contains(text, "secret") || strings.Contains(text, "\x1b") || strings.Contains(text, "> ") {
		t.Errorf("what must not be is in\n%q", text)
	}
}

// TestRegistrationRefused still dials, but fails.
func TestRegistrationRefused(t *testing.T) {
	s := listen(t, "405 Method Not Allowed")
	out := newOutput()
	o := options{phone: phone.Config{Server: s.addr, User: "101"}, dial: "433", exit: true}
	err := run(t.Context(), o, strings.NewReader(""), out)
	if err == nil || !strings.Contains(err.Error(), "REGISTER was answered 405 Method Not Allowed") {
		t.Error(err)
	}
	if got := s.requests(); !strings.Contains(got, "INVITE sip:433@") || strings.Count(got, "REGISTER") != 1 {
		t.Errorf("sent\n%s", got)
	}
	for _, part := range []string{"not registered: REGISTER was answered 405", "key P2 "} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("%q is missing in\n%s", part, out)
		}
	}
}

func TestNoKeyToPress(t *testing.T) {
	s := listen(t, "200 OK")
	out := newOutput()
	o := options{phone: phone.Config{Server: s.addr, User: "101"}, press: "5", exit: true}
	if err := run(t.Context(), o, strings.NewReader(""), out); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "key 5: the key has no number\nno key is set\n") {
		t.Error(out)
	}
}

// TestPressFirst presses a key that is set a while after the phone has registered.
func TestPressFirst(t *testing.T) {
	s := listen(t, "200 OK")
	s.push.Store(true)
	out := newOutput()
	o := options{phone: phone.Config{Server: s.addr, User: "101"}, press: "2", exit: true, push: 10 * time.Second}
	if err := run(t.Context(), o, strings.NewReader(""), out); err != nil {
		t.Error(err)
	}
	if got := s.requests(); !strings.Contains(got, "MESSAGE sip:432@127.0.0.1 k=2") ||
		!strings.Contains(out.String(), "key 2 pressed\n") {
		t.Errorf("sent\n%s\n%s", got, out)
	}
	// A key that does not come is not waited for longer than that.
	out = newOutput()
	o.press, o.push = "5", time.Millisecond
	if err := run(t.Context(), o, strings.NewReader(""), out); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "the server has sent no key 5 within 1ms\nkey 5: the key has no number\n") {
		t.Error(out)
	}
}

func TestUserOf(t *testing.T) {
	for _, tc := range [][4]string{
		{"101", "", "101", ""}, {"101@example.com", "", "101", "example.com"},
		{"SIP:101@example.com", "", "101", "example.com"},
		{"101", "example.com", "101", "example.com"}, {"101@a.example", "example.com", "101@a.example", "example.com"},
	} {
		if user, domain := userOf(tc[0], tc[1]); user != tc[2] || domain != tc[3] {
			t.Errorf("%s, %s: %s, %s", tc[0], tc[1], user, domain)
		}
	}
}

func TestInteractive(t *testing.T) {
	s := listen(t, "200 OK")
	out := newOutput()
	in, keyboard := io.Pipe()
	o := options{phone: phone.Config{Server: s.addr, User: "101", Model: "D785"}, color: true, prompt: true}
	done := make(chan error, 1)
	go func() { done <- run(t.Context(), o, in, out) }()
	for _, step := range [][2]string{
		{"help", "quit            unregister and end\n> "},
		{"dance", `"dance" is not a command`},
		{"keys", "no key is set"},
		{"answer", "nothing rings"},
		{"hangup", "there is no call"},
		{"press 2", "key 2: the key has no number"},
		{"dial", `"" is not a number to dial`},
		{" dial  433 ", "key P2  \x1b[31;5m●\x1b[0m hold    red     \"Light is hold\"  → 432 (message)\n> "},
		{"press 2", "key 2 pressed"},
	} {
		fmt.Fprintln(keyboard, step[0])
		out.await(t, step[1])
	}
	fmt.Fprintln(keyboard, "quit")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "unregistered\n") || !strings.Contains(s.requests(), "MESSAGE sip:432@127.0.0.1 k=2") {
		t.Errorf("%s\n%s", out, s.requests())
	}
}

// TestEndOfInput goes on until it is interrupted.
func TestEndOfInput(t *testing.T) {
	s := listen(t, "200 OK")
	out := newOutput()
	ctx, interrupt := context.WithCancel(t.Context())
	o := options{phone: phone.Config{Server: s.addr, User: "101"}}
	done := make(chan error, 1)
	go func() { done <- run(ctx, o, strings.NewReader("dial 433"), out) }()
	out.await(t, "key P2")
	select {
	case err := <-done:
		t.Fatal("ended with its input: ", err)
	default:
	}
	interrupt()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !strings.HasSuffix(out.String(), "unregistered\n") {
		t.Error(out)
	}
}

func TestConfigError(t *testing.T) {
	err := run(t.Context(), options{phone: phone.Config{Server: "127.0.0.1", User: "101", Transport: "pigeon"}}, strings.NewReader(""), newOutput())
	if err == nil || !strings.Contains(err.Error(), "pigeon") {
		t.Error(err)
	}
}

func TestDescribe(t *testing.T) {
	for _, tc := range []struct {
		model string
		color bool
		b     buttons.Button
		want  string
	}{
		{"370", false, buttons.Button{Key: "2", Light: "off", Action: "invite"}, "key P2  ○ off"},
		{"370", true, buttons.Button{Key: "2", Light: "off", Color: "red"}, "key P2  ○ off"},
		{"370", true, buttons.Button{Key: "12", Light: "on"}, "key P12  \x1b[33m●\x1b[0m on      orange"},
		{"D785", true, buttons.Button{Key: "Door", Light: "pickup"}, "key Door  \x1b[31;5m●\x1b[0m pickup  red"},
		{"D999", true, buttons.Button{Key: "1", Light: "seized", Color: "local"}, "key P1  \x1b[32m●\x1b[0m seized  green"},
		{"D785", false, buttons.Button{Key: "1", Light: "record", Color: "remote"}, "key P1  ● record  red"},
		{"D785", true, buttons.Button{Key: "1", Light: "disco", Color: "red"}, "key P1  ○ disco"},
		{"D785", true, buttons.Button{Key: "1", Light: "on", Color: "mauve"}, "key P1  ● on      mauve"},
		{
			"D785", false, buttons.Button{Key: "1", Light: "on", Color: "green", Label: "Tür \"A\"\u202e", Number: "432", Action: "invite"},
			`key P1  ● on      green   "Tür \"A\"\u202e"  → 432 (invite)`,
		},
		{"D785", false, buttons.Button{Key: "1\x1b[2J", Light: "on"}, "key 1\uFFFD[2J  ● on      red"},
	} {
		s := newScreen(io.Discard, options{color: tc.color, phone: phone.Config{Model: tc.model}})
		if got := s.describe(tc.b, 0); got != tc.want {
			t.Errorf("got\n%q, want\n%q", got, tc.want)
		}
	}
}

func TestKeysInOrder(t *testing.T) {
	out := newOutput()
	s := newScreen(out, options{})
	s.keys(map[string]buttons.Button{
		"10": {Key: "10", Light: "on", Color: "red"}, "Door": {Key: "Door", Light: "off"}, "2": {Key: "2", Light: "off"}, "Bell": {Key: "Bell", Light: "off"},
	})
	want := "key P2    ○ off\nkey P10   ● on      red\nkey Bell  ○ off\nkey Door  ○ off\n"
	if out.String() != want {
		t.Errorf("got\n%s, want\n%s", out, want)
	}
}

func TestRegistered(t *testing.T) {
	cmd, ok := caddycmd.Commands()["snom"]
	if !ok || cmd.Short == "" || cmd.CobraFunc == nil {
		t.Errorf("%+v", cmd)
	}
}
