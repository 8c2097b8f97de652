package delivery_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/icholy/digest"

	_ "github.com/caddysip/caddysip"
	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/events"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/phone"
	"github.com/caddysip/caddysip/internal/snomkeys/delivery"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
)

// house is a server with simulated phones.
type house struct {
	t    *testing.T
	s    *handlertest.Server
	ctx  context.Context
	text string
	n    int
}

const profile = `keys {
			profile all {
				users 1*
				key 1 {
					label "Front desk"
					number 9
					light on
					color green
				}
				key 2 {
					label Door
					number 77
					action message
				}
			}
		}`

func newHouse(t *testing.T, routes string) *house {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	addr := handlertest.FreeAddr(t)
	text := "{\n\tadmin off\n\tsip {\n\t\tdomain example.com\n\t\t" + profile + "\n\t\t" + addr.String() + " {\n" + routes + "\n\t\t}\n\t}\n}\n"
	return &house{t: t, s: handlertest.StartCaddyfile(t, addr, text), ctx: ctx, text: text}
}

func (h *house) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// phone returns a phone that has registered.
func (h *house) phone(c phone.Config) (*phone.Phone, *phone.Recorder) {
	h.t.Helper()
	rec := new(phone.Recorder)
	c.Server, c.Domain, c.Trace = h.s.Addr.String(), "example.com", rec.Record
	p, err := phone.New(c)
	h.check(err)
	h.check(p.Start(h.ctx))
	h.t.Cleanup(func() { p.Close() })
	h.check(p.Register(h.ctx))
	return p, rec
}

func (h *house) delivery() *delivery.Delivery { return inside.AppOf(h.s.App()).Engine.Delivery }

// set sets a key in the admin layer; nil takes it away.
func (h *house) set(aor string, key int, r *keys.Record) {
	h.t.Helper()
	h.check(inside.AppOf(h.s.App()).Engine.Keys.Apply(h.ctx, []keys.Change{{AOR: aor, Layer: keys.Admin, Key: key, Record: r}}))
}

// settle waits until nothing is to be sent to the phones of an address-of-record any more: it gives
// them another key, and waits for all.
func (h *house) settle(aor string) {
	h.t.Helper()
	h.n++
	h.set(aor, 12, &keys.Record{Key: 12, Light: "on", Label: fmt.Sprint(h.n)})
	for _, o := range h.delivery().Wait(h.ctx, aor, 12) {
		if !o.Acknowledged {
			h.t.Fatalf("%+v", o)
		}
	}
	for _, s := range h.delivery().Status(aor) {
		for _, k := range s.Keys {
			h.delivery().Wait(h.ctx, aor, k.Key)
		}
	}
	for _, s := range h.delivery().Status(aor) {
		if s.State != delivery.StateCurrent && s.State != delivery.StateOther {
			h.t.Fatalf("%+v", s)
		}
	}
}

func bodies(rec *phone.Recorder) []string {
	var list []string
	for _, m := range rec.Received("MESSAGE sip:") {
		_, body, _ := strings.Cut(m, "\r\n\r\n")
		if !strings.HasPrefix(body, "k=12\r\n") {
			list = append(list, strings.ReplaceAll(body, "\r\n", " "))
		}
	}
	return list
}

func (h *house) got(rec *phone.Recorder, want ...string) {
	h.t.Helper()
	if got := bodies(rec); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		h.t.Errorf("the phone got %q, not %q", got, want)
	}
}

var first = []string{"k=1 c=on o=green n=9 l=Front desk", "k=2 n=77 a=message l=Door"}

func TestPhones(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			h := newHouse(t, "register\nproxy")
			p, rec := h.phone(phone.Config{User: "101", Transport: transport})
			const aor = "101@example.com"
			h.check(p.Wait(h.ctx, func(s phone.State) bool { return s.Keys["1"].Light == "on" && s.Keys["2"].Number == "77" }))
			h.settle(aor)
			h.got(rec, first...)
			m := rec.Received("MESSAGE sip:")[0]
			for _, part := range []string{"MESSAGE " + p.Contact() + " SIP/2.0\r\n", "\r\nFrom: <sip:server@example.com>;tag=", "\r\nTo: <sip:101@example.com>\r\n"} {
				if !strings.Contains(m, part) {
					t.Errorf("%q is not in:\n%s", part, m)
				}
			}

			// Refreshes and reloads bring nothing.
			for range 3 {
				h.check(p.Register(h.ctx))
				h.s.Load(h.text)
			}
			h.settle(aor)
			h.got(rec, first...)

			// A change brings one key, and taking it away what lay below.
			h.set(aor, 2, &keys.Record{Key: 2, Light: "message", Label: "Tür"})
			h.settle(aor)
			h.set(aor, 2, nil)
			h.settle(aor)
			h.set(aor, 5, &keys.Record{Key: 5, Light: "on"})
			h.delivery().Wait(h.ctx, aor, 5) // settle's key, which the phone shows already, would go before it
			h.settle(aor)
			h.set(aor, 5, nil)
			h.settle(aor)
			changes := append(first[:2:2], "k=2 c=message l=Tür", "k=2 n=77 a=message l=Door", "k=5 c=on", "k=5 c=off")
			h.got(rec, changes...)

			// A profile that changes with the configuration, too.
			h.s.Load(strings.Replace(h.text, "Front desk", "Reception", 1))
			h.settle(aor)
			changes = append(changes, "k=1 c=on o=green n=9 l=Reception")
			h.got(rec, changes...)

			if transport == "udp" {
				// The server starts again, with an older profile: a phone that was up to date gets
				// the difference, and nothing else.
				h.s.Load(h.text)
				h.settle(aor)
				h.s.Restart()
				h.settle(aor)
				h.got(rec, append(changes, "k=1 c=on o=green n=9 l=Front desk")...)
			}
		})
	}
}

func TestConnectionGone(t *testing.T) {
	h := newHouse(t, "register\nproxy")
	const aor = "101@example.com"
	p, _ := h.phone(phone.Config{User: "101", Transport: "tcp"})
	h.settle(aor)
	h.check(p.Close())
	h.set(aor, 3, &keys.Record{Key: 3, Light: "on"})
	o := h.delivery().Wait(h.ctx, aor, 3)
	if len(o) != 1 || o[0].Acknowledged || o[0].Error == "" {
		t.Errorf("%+v", o)
	}
	again, rec := h.phone(phone.Config{User: "101", Transport: "tcp"})
	h.check(again.Wait(h.ctx, func(s phone.State) bool {
		return s.Keys["1"].Label != "" && s.Keys["2"].Label != "" && s.Keys["3"].Light == "on" &&
			s.Keys["12"].Light == "on"
	}))
	h.got(rec, append(first[:2:2], "k=3 c=on")...)
}

func TestOthersGetNothing(t *testing.T) {
	h := newHouse(t, "register\nproxy")
	const aor = "101@example.com"
	_, other := h.phone(phone.Config{User: "101", UserAgent: "Yealink SIP-T46S 66.84.0.15"})
	_, rec := h.phone(phone.Config{User: "101"})
	h.settle(aor)
	h.got(rec, first...)
	if m := other.Received("MESSAGE"); len(m) > 0 {
		t.Errorf("another phone got:\n%s", m[0])
	}
}

// A phone with another name gets its keys once the configuration names it, and when it wants a
// password, with that.
func TestNamedPhoneWithPassword(t *testing.T) {
	t.Setenv("KEYS_PASSWORD", "secret")
	h := newHouse(t, "register\nproxy")
	peer := h.s.UDP()
	register := func(callID string) {
		peer.Send("REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/{transport} {me};branch={branch};rport\nMax-Forwards: 70\nFrom: <sip:101@example.com>;tag=1\n" +
			"To: <sip:101@example.com>\nCall-ID: " + callID + "\nCSeq: 1 REGISTER\nContact: <sip:101@{me}>\nUser-Agent: OfficePhone/1\n\n")
		peer.Expect("SIP/2.0 200")
	}
	register("1")
	register("2")
	peer.Nothing()
	h.s.Load(strings.Replace(h.text, "keys {", "keys {\nphones officephone/*\ncredentials {\nrealm phone\nusername server\npassword {env.KEYS_PASSWORD}-{user}\n}", 1))
	for _, body := range []string{"k=1\r\nc=on\r\no=green\r\nn=9\r\nl=Front desk", "k=2\r\nn=77\r\na=message\r\nl=Door"} {
		first := peer.Expect("MESSAGE sip:101@" + peer.Addr.String() + " SIP/2.0\r\n")
		peer.Ignore(first)
		const challenge = `Digest realm="phone", nonce="n", algorithm=SHA-256, qop="auth"`
		peer.Answer(first, "401 Unauthorized", "p", "WWW-Authenticate: "+challenge, "Content-Length: 0")
		second := peer.Expect(first.Line())
		peer.Ignore(second)
		if first.Body() != body || second.Body() != body || first.Header("Authorization") != "" || second.Header("Call-ID") != first.Header("Call-ID") ||
			second.Header("From") != first.Header("From") || second.Header("CSeq") != "2 MESSAGE" || second.Header("Via") == first.Header("Via") {
			t.Errorf("got\n%s\n%s", first.Text, second.Text)
		}
		got, err := digest.ParseCredentials(second.Header("Authorization"))
		h.check(err)
		c, err := digest.ParseChallenge(challenge)
		h.check(err)
		want, err := digest.Digest(c, digest.Options{Method: "MESSAGE", URI: first.URI(), Username: "server", Password: "secret-101", Cnonce: got.Cnonce, Count: got.Nc})
		h.check(err)
		if *got != *want {
			t.Errorf("the credentials are %v, not %v", got, want)
		}
		peer.Answer(second, "200 OK", "p", "Content-Length: 0")
	}
	for _, o := range h.delivery().Wait(h.ctx, "101@example.com", 2) {
		if !o.Acknowledged {
			t.Errorf("%+v", o)
		}
	}
	peer.Nothing()
}

// pressed collects presses of keys.
func (h *house) pressed() func(n int) []string {
	sub := inside.AppOf(h.s.App()).Engine.Events.Subscribe(inside.AppOf(h.s.App()).Engine.Events.Last())
	h.t.Cleanup(sub.Close)
	return func(n int) []string {
		h.t.Helper()
		list := []string{}
		for len(list) < n {
			e, err := sub.Next(h.ctx)
			h.check(err)
			if e.Type == events.KeyPressed {
				m := e.Map()
				list = append(list, fmt.Sprint(m["aor"], " ", m["key"], " ", m["number"]))
			}
		}
		return list
	}
}

func TestPress(t *testing.T) {
	h := newHouse(t, "@door key_pressed 2 7\nhandle @door {\nrespond 202 \"Opened\"\n}\nregister\nproxy")
	p, rec := h.phone(phone.Config{User: "101"})
	h.set("101@example.com", 3, &keys.Record{Key: 3, Number: "78", Action: "message"})
	h.settle("101@example.com")
	pressed := h.pressed()
	for _, key := range []string{"2", "3"} {
		if _, err := p.Press(h.ctx, key); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(pressed(2)); got != "[101@example.com 2 77 101@example.com 3 78]" {
		t.Errorf("pressed: %s", got)
	}
	if len(rec.Received("SIP/2.0 202 Opened")) != 1 || len(rec.Received("SIP/2.0 200", "MESSAGE")) != 1 {
		t.Errorf("the answers are not 202 and 200")
	}

	const message = "MESSAGE sip:%s SIP/2.0\nVia: SIP/2.0/{transport} {me};branch=%s;rport\nMax-Forwards: 70\nFrom: <sip:%s@example.com>;tag=1\n" +
		"To: <sip:77@example.com>\nCall-ID: c\nCSeq: 1 MESSAGE\nContent-Type: %s\n\n%s"
	peer := h.s.UDP()
	for _, tc := range []struct{ name, branch, uri, from, contentType, body, status string }{
		{"a stranger's", "z9hG4bK1", "77@example.com", "101", "application/x-buttons", "k=2", "404"},
		{"a stranger's to the server", "z9hG4bK2", "example.com", "101", "application/x-buttons", "k=2", "405"},
		{"nobody's", "z9hG4bK3", "77@example.com", "nobody", "application/x-buttons", "k=2", "404"},
		{"somewhere else's", "z9hG4bK4", "77@example.org", "101", "application/x-buttons", "k=2", "403"},
	} {
		peer.Send(fmt.Sprintf(message, tc.uri, tc.branch, tc.from, tc.contentType, tc.body))
		if m := peer.Receive(); !strings.HasPrefix(m.Text, "SIP/2.0 "+tc.status) {
			t.Errorf("%s: %s", tc.name, m.Line())
		}
	}
	// The same of one who is registered there, twice as on the network, and what is none.
	peer.Send("REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/{transport} {me};branch={branch};rport\nMax-Forwards: 70\nFrom: <sip:201@example.com>;tag=1\n" +
		"To: <sip:201@example.com>\nCall-ID: r\nCSeq: 1 REGISTER\nContact: <sip:201@{me}>\nUser-Agent: snom370/8.7.5.48\n\n")
	peer.Expect("SIP/2.0 200")
	for _, tc := range []struct{ name, branch, uri, from, contentType, body, status string }{
		{"the door", "z9hG4bKa", "77@example.com", "201", "application/x-buttons", "k=2\r\n", "202"},
		{"the door, repeated", "z9hG4bKa", "77@example.com", "201", "application/x-buttons", "k=2\r\n", "200"},
		{"another's", "z9hG4bKb", "77@example.com", "101", "application/x-buttons", "k=2", "404"},
		{"two keys", "z9hG4bKc", "77@example.com", "201", "application/x-buttons", "k=2\n\nk=3", "404"},
		{"no key", "z9hG4bKd", "77@example.com", "201", "application/x-buttons", "c=on", "404"},
		{"text", "z9hG4bKe", "77@example.com", "201", "text/plain", "k=2", "404"},
		{"a name, to the server", "z9hG4bKf", "example.com", "201", "Application/X-Buttons ;charset=utf-8", "k=Door", "200"},
	} {
		peer.Send(fmt.Sprintf(message, tc.uri, tc.branch, tc.from, tc.contentType, tc.body))
		if m := peer.Receive(); !strings.HasPrefix(m.Text, "SIP/2.0 "+tc.status) {
			t.Errorf("%s: %s", tc.name, m.Line())
		}
	}
	if got := fmt.Sprintf("%q", pressed(2)); got != `["201@example.com 2 77" "201@example.com Door "]` {
		t.Errorf("pressed: %s", got)
	}
}
