package snomlrc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
)

// office is a server with keys, and one phone.
type office struct {
	t     *testing.T
	s     *handlertest.Server
	phone *handlertest.Peer
}

func newOffice(t *testing.T, keys, options string) *office {
	addr := handlertest.FreeAddr(t)
	s := handlertest.StartCaddyfile(t, addr, "{\n\tadmin off\n\tsip {\n\t\tdomain example.com\n"+keys+"\n"+
		addr.String()+" {\nsnom_lrc "+options+"\nregister\n}\n}\n}\n")
	return &office{t, s, s.UDP()}
}

// register registers the phone as a user, who gets keys with these bodies.
func (o *office) register(user, callID string, bodies ...string) {
	o.t.Helper()
	o.phone.Send("REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/{transport} {me};branch={branch};rport\n" +
		"Max-Forwards: 70\nFrom: <sip:" + user + "@example.com>;tag=1\n" +
		"To: <sip:" + user + "@example.com>\nCall-ID: " + callID + "\nCSeq: 1 REGISTER\nContact: <sip:" + user +
		"@{me}>\nUser-Agent: snomD785/10.1.159.12\n\n")
	o.phone.Expect("SIP/2.0 200")
	o.shown(bodies...)
}

// shown has the phone get keys with these bodies, and nothing else.
func (o *office) shown(bodies ...string) {
	o.t.Helper()
	for _, want := range bodies {
		m := message(o.phone, "")
		if body := strings.ReplaceAll(m.Body(), "\r\n", " "); body != want {
			o.t.Errorf("the phone gets %q, not %q", body, want)
		}
		o.phone.Answer(m, "200 OK", "t")
	}
	o.phone.Nothing()
}

// dial has a user call a number.
func (o *office) dial(user, number, id string) {
	o.t.Helper()
	o.phone.Send(invite(number, id, "<sip:alice@example.com>", "<sip:"+user+"@example.com>",
		"192.0.2.77:5071;line=ab12;transport=udp", "{me}"))
	o.phone.Expect("SIP/2.0 404")
}

func (o *office) api() *inside.App { return inside.AppOf(o.s.App()) }

// current waits for the phone of a user to have answered, and says what is known of a key.
func (o *office) current(user string, key int) string {
	o.t.Helper()
	aor := user + "@example.com"
	o.api().Engine.Delivery.Wait(o.t.Context(), aor, key)
	for _, e := range o.api().Engine.Keys.Effective(aor, keys.PhoneOf("snomD785/10.1.159.12")) {
		if e.Key == key {
			s := o.api().Engine.Delivery.Status(aor)[0]
			return fmt.Sprint(e.Layer, " ", e.Light, " ", e.Label, " ", s.State)
		}
	}
	return "nothing"
}

const emergency = `keys {
	profile reception {
		users 1*
		key 2 {
			label Emergency; number 112; locked
		}
		key 3 {
			label Three
		}
	}
}`

// TestLockedKey dials a light for a locked key: it stays as it is.
func TestLockedKey(t *testing.T) {
	o := newOffice(t, emergency, "")
	counted := pushes(o.s)
	o.register("101", "a", "k=2 n=112 l=Emergency", "k=3 l=Three")
	o.dial("101", "433", "1")
	o.shown()
	if got := o.current("101", 2); got != "profile  Emergency current" {
		t.Error(got)
	}
	if got := counted(); got != "1 refused" {
		t.Errorf("counted %q", got)
	}
	// Nor does another user of the same phone change it, who has no keys himself.
	o.register("201", "b")
	o.dial("201", "433", "2")
	o.shown()
	// A stranger gets what he asks for, where he is.
	other := o.s.UDP()
	other.Send(invite("433", "3", "<sip:alice@example.com>", "<sip:101@example.com>"))
	other.Expect("SIP/2.0 404")
	message(other, "")
	o.phone.Nothing()
}

// TestManagedKeys dials lights on a phone with managed keys: they become records like all others.
func TestManagedKeys(t *testing.T) {
	o := newOffice(t, emergency, "{\nkey 3\n}")
	counted := pushes(o.s)
	o.register("101", "a", "k=2 n=112 l=Emergency", "k=3 l=Three")
	o.dial("101", "433", "1")
	o.shown("k=3 c=hold n=432 a=invite l=Light is hold")
	if got := o.current("101", 3); got != "event hold Light is hold current" {
		t.Error(got)
	}
	// Who dials it again does not see it.
	o.dial("101", "433", "2")
	o.shown("k=3 c=hold n=432 a=invite l=Light is hold")
	o.dial("101", "432", "3")
	o.shown("k=3 c=off n=432 a=invite l=Light is off")
	// The phone has its lamp when it starts anew, and what is below shows when the record goes.
	o.dial("101", "431", "4")
	o.shown("k=3 c=on n=432 a=invite l=Light is on")
	o.register("101", "b", "k=2 n=112 l=Emergency", "k=3 c=on n=432 a=invite l=Light is on")
	if err := o.api().Engine.Keys.Apply(t.Context(),
		[]keys.Change{{AOR: "101@example.com", Layer: keys.Event, Key: 3}}); err != nil {
		t.Fatal(err)
	}
	o.shown("k=3 l=Three")
	if got := counted(); got != "" {
		t.Errorf("counted %q", got)
	}
	// Of many the last one counts.
	for i := range 20 {
		o.phone.Send(invite(fmt.Sprint(431+i%10), fmt.Sprint("many", i), "<sip:alice@example.com>",
			"<sip:101@example.com>", "192.0.2.77:5071;line=ab12;transport=udp", "{me}"))
	}
	answers, last := 0, ""
	for answers < 20 || !strings.Contains(last, "c=error") {
		m := o.phone.Receive()
		if strings.HasPrefix(m.Text, "SIP/2.0 404") {
			answers++
			continue
		}
		last = m.Body()
		o.phone.Ignore(m)
		o.phone.Answer(m, "200 OK", "t")
	}
	if got := o.current("101", 3); got != "event error Light is error current" {
		t.Error(got)
	}
}

// TestNotManaged checks that phones get their MESSAGE as before when the user has no keys, or the
// key has a name.
func TestNotManaged(t *testing.T) {
	o := newOffice(t, emergency, "{\nkey Lamp\n}")
	counted := pushes(o.s)
	o.register("201", "a")
	o.dial("201", "431", "1")
	o.shown("k=Lamp c=on n=432 a=invite l=Light is on")
	o.register("101", "b", "k=2 n=112 l=Emergency", "k=3 l=Three")
	o.dial("101", "431", "2")
	o.shown("k=Lamp c=on n=432 a=invite l=Light is on")
	o.s.Await(0, "caddy_sip_lrc_pushes_total", "outcome=acknowledged")
	if got := counted(); got != "2 acknowledged" {
		t.Errorf("counted %q", got)
	}
	if list := o.api().Engine.Keys.Layer("101@example.com", keys.Event); len(list) != 0 {
		t.Errorf("there are records: %v", list)
	}
}
