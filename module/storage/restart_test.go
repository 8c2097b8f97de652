package storage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/proxy"
	_ "github.com/caddysip/caddysip/handler/register"
)

// message sends a request of a user to another.
func message(p *handlertest.Peer, method, from, to string, cseq int, headers string) {
	if method == "REGISTER" {
		to = from
	}
	uri := "sip:" + to + "@example.com"
	if method == "REGISTER" {
		uri = "sip:example.com"
	}
	p.Send(fmt.Sprintf("%s %s SIP/2.0\nVia: SIP/2.0/{transport} {me};branch={branch};rport\nMax-Forwards: 70\nFrom: <sip:%s@example.com>;tag=1\n"+
		"To: <sip:%s@example.com>\nCall-ID: %s-%s\nCSeq: %d %s\nContact: <sip:%s@{me};line=7>%s\n\n",
		method, uri, from, to, method, from, cseq, method, from, headers))
}

func register(p *handlertest.Peer, user string, cseq, expires int) handlertest.Message {
	message(p, "REGISTER", user, "", cseq, fmt.Sprintf("\nExpires: %d", expires))
	return p.Expect("SIP/2.0 200 ")
}

// wantCall calls a user; the phone must ring, by the socket that it registered with.
func wantCall(t *testing.T, caller, phone *handlertest.Peer, user, socket string) {
	t.Helper()
	message(caller, "INVITE", "caller", user, 1, "")
	invite := phone.Expect("INVITE sip:" + user + "@" + phone.Addr.String() + ";line=7 SIP/2.0")
	if invite.From.String() != socket {
		t.Errorf("the INVITE comes from %s, want %s", invite.From, socket)
	}
	phone.Answer(invite, "486 Busy Here", "x")
	phone.Expect("ACK ")
	m := caller.Receive()
	if strings.HasPrefix(m.Text, "SIP/2.0 100 ") {
		m = caller.Receive()
	}
	if !strings.HasPrefix(m.Text, "SIP/2.0 486 ") {
		t.Fatalf("the caller gets\n%s", m.Text)
	}
	caller.Send("ACK sip:" + user + "@example.com SIP/2.0\nVia: " + m.Header("Via") + "\nMax-Forwards: 70\nFrom: " + m.Header("From") +
		"\nTo: " + m.Header("To") + "\nCall-ID: " + m.Header("Call-ID") + "\nCSeq: 1 ACK\n\n")
}

func TestRegistrationsSurviveARestart(t *testing.T) {
	first, second := handlertest.FreeAddr(t), handlertest.FreeAddr(t)
	path := filepath.Join(t.TempDir(), "sip.db")
	config := func(storage string) string {
		text := "{\n\tadmin off\n\tsip {\n\t\tstorage " + storage + "\n\t\tdomain example.com\n"
		for _, addr := range []any{first, second} {
			text += fmt.Sprintf("\t\t%s {\n\t\t\tregister\n\t\t\tproxy\n\t\t}\n", addr)
		}
		return text + "\t}\n}\n"
	}
	s := handlertest.StartCaddyfile(t, first, config("bolt "+path))
	atSecond := *s
	atSecond.Addr = second
	caller, bob, carol, absent := s.UDP(), s.UDP(), atSecond.UDP(), s.UDP()
	register(bob, "bob", 1, 3600)
	register(carol, "carol", 1, 3600)
	register(absent, "absent", 1, 3600)
	register(absent, "absent", 2, 0)

	restart := func(text string) {
		t.Helper()
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		s.Load(text)
	}
	wantNobody := func(user string) {
		t.Helper()
		message(caller, "INVITE", "caller", user, 1, "")
		caller.Expect("SIP/2.0 404 ")
	}
	for range 2 {
		restart(config("bolt " + path))
		wantCall(t, caller, bob, "bob", first.String())
		wantCall(t, caller, carol, "carol", second.String())
		wantNobody("absent")
	}
	// The phone goes on as if nothing had been, with a higher number; a lower one is still out of order.
	if m := register(bob, "bob", 2, 3600); len(m.Headers("Contact")) != 1 {
		t.Errorf("bob has\n%s", m.Text)
	}
	restart(config("bolt " + path))
	message(bob, "REGISTER", "bob", "", 1, "\nExpires: 3600")
	bob.Expect("SIP/2.0 500 ")

	// A storage that is changed by a reload takes over what is registered.
	other := filepath.Join(t.TempDir(), "new", "sip.db")
	s.Load(config("bolt " + other))
	wantCall(t, caller, bob, "bob", first.String())
	restart(config("bolt " + other))
	wantCall(t, caller, carol, "carol", second.String())

	// Memory keeps what is registered over a reload, and not over a restart.
	s.Load(config("memory"))
	wantCall(t, caller, bob, "bob", first.String())
	restart(config("memory"))
	wantNobody("bob")

	// A file that cannot be used stops the start, and says so.
	if err := os.WriteFile(other, []byte("this is no database, whatever its name says"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := s.TryLoad(config("bolt " + other))
	if err == nil || !strings.Contains(err.Error(), other) || !strings.Contains(err.Error(), "damaged") {
		t.Fatalf("error is %v", err)
	}
	register(bob, "bob", 3, 3600)
	wantCall(t, caller, bob, "bob", first.String())
}
