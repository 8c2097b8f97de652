package module_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/register"
	"github.com/caddysip/caddysip/internal/inside"
)

// TestKeyPress asks who may press a key, and how often it counts.
func TestKeyPress(t *testing.T) {
	s := handlertest.Start(t, `
		register
		@key key_pressed 2
		handle @key {
			act answer pressed
		}
		@message method MESSAGE
		handle @message {
			act answer other
		}`)
	sub := inside.AppOf(s.App()).Engine.Events.Subscribe(0)
	defer sub.Close()
	phone, other := s.UDP(), s.UDPFrom("127.0.0.9")
	headers := func(method, id, user string) string {
		return "Via: SIP/2.0/UDP {me};branch=z9hG4bK" + id + ";rport\nMax-Forwards: 70\nFrom: <sip:" + user + "@127.0.0.1>;tag=f\n" +
			"Call-ID: " + id + "\nCSeq: 1 " + method + "\nContact: <sip:" + user + "@{me}>\n"
	}
	phone.Send("REGISTER sip:127.0.0.1 SIP/2.0\n" + headers("REGISTER", "register", "101") + "To: <sip:101@127.0.0.1>\n\n")
	phone.Expect("SIP/2.0 200")
	press := func(id, user string, edits ...string) string {
		return strings.NewReplacer(edits...).Replace("MESSAGE sip:90%200@127.0.0.1 SIP/2.0\n" + headers("MESSAGE", id, user) +
			"To: <sip:900@127.0.0.1>\nContent-Type: application/x-buttons; charset=utf-8\n\nk=2")
	}
	for i, tc := range []struct {
		p       *handlertest.Peer
		user    string
		edits   []string
		pressed bool
	}{
		{phone, "101", nil, true},
		{other, "101", nil, false},
		{phone, "102", nil, false},
		{phone, "101", []string{"k=2", "k=3"}, false},
		{phone, "101", []string{"k=2", "k=2\n\nk=2"}, false},
		{phone, "101", []string{"k=2", "c=2"}, false},
		{phone, "101", []string{"x-buttons;", "x-button;"}, false},
		{phone, "101", []string{"To: <sip:900@127.0.0.1>", "To: <sip:900@127.0.0.1>;tag=t"}, false},
		{phone, "101", []string{"sip:90%200@127.0.0.1 ", "sip:900@elsewhere.example "}, false},
	} {
		for again := range 2 {
			tc.p.Send(press(fmt.Sprint("press", i), tc.user, tc.edits...))
			want := "SIP/2.0 202 other"
			if tc.pressed && again == 0 {
				want = "SIP/2.0 202 pressed"
			}
			tc.p.Expect(want)
		}
	}
	// Each press is told once, also that of a key that no route is for.
	for _, want := range []string{"2 of 101@localhost, for 90 0", "3 of 101@localhost, for 90 0"} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for {
			e, err := sub.Next(ctx)
			if err != nil {
				t.Fatalf("%v, want %s", err, want)
			}
			if e.Type == "key_pressed" {
				m := e.Map()
				if got := fmt.Sprintf("%v of %v, for %v", m["key"], m["aor"], m["number"]); got != want {
					t.Errorf("%s is pressed, want %s", got, want)
				}
				break
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if e, err := sub.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v is told, too", e.Map())
	}
}
