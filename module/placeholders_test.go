package module_test

import (
	"os"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/module/moduletest"
	"github.com/caddysip/caddysip/wire"
)

const placed = `INVITE sip:%34%331;x=y:pw@Example.com:5062;user=phone SIP/2.0
Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1;rport
Max-Forwards: 70
f: "Alice" <sip:al%69ce@one.example:5063;a=b>;tag=f1
To: <tel:+49301234;phone-context=x>
Call-ID: call1@192.0.2.7
CSeq: 4711 INVITE
m: <sip:alice@[2001:db8::7]:5064;line=x?y=z>;expires=5, <sip:second@h>
User-Agent: snomD785/10.1.159.12
Subject: {sip.method} $1 \{x}
X-List: one
x-list: two
s: compact
Content-Length: 0

`

func TestPlaceholders(t *testing.T) {
	t.Setenv("CADDYSIP_TEST", "from the environment")
	r := moduletest.Request(t, placed, moduletest.From("192.0.2.9:5999"))
	r.SetVar("zone", "nine")
	r.SetVar("number", 9)
	r.SetVar("regexp.n.1", "captured")
	r.SetAuthUser("alice")
	for text, want := range map[string]string{
		"{sip.method}":                    "INVITE",
		"{sip.uri}":                       "sip:%34%331;x=y:pw@Example.com:5062;user=phone",
		"{sip.uri.user}":                  "431;x=y",
		"{sip.uri.host}":                  "Example.com",
		"{sip.uri.port}":                  "5062",
		"{sip.from.user}":                 "alice",
		"{sip.from.host}":                 "one.example",
		"{sip.from.uri}":                  "sip:al%69ce@one.example:5063;a=b",
		"{sip.to.user}":                   "+49301234",
		"{sip.to.host}":                   "",
		"{sip.to.uri}":                    "tel:+49301234;phone-context=x",
		"{sip.contact.uri}":               "sip:alice@[2001:db8::7]:5064;line=x?y=z",
		"{sip.contact.host}":              "[2001:db8::7]",
		"{sip.header.Call-ID}":            "call1@192.0.2.7",
		"{sip.header.i}":                  "call1@192.0.2.7",
		"{sip.header.x-LIST}":             "one",
		"{sip.header.From}":               `"Alice" <sip:al%69ce@one.example:5063;a=b>;tag=f1`,
		"{sip.header.None}":               "",
		"{sip.call_id}":                   "call1@192.0.2.7",
		"{sip.cseq}":                      "4711",
		"{sip.user_agent}":                "snomD785/10.1.159.12",
		"{sip.source}":                    "192.0.2.9:5999",
		"{sip.source.ip}":                 "192.0.2.9",
		"{sip.source.port}":               "5999",
		"{sip.local.host}":                "192.0.2.10",
		"{sip.local.port}":                "5060",
		"{sip.transport}":                 "udp",
		"{sip.auth.user}":                 "alice",
		"{sip.vars.zone}":                 "nine",
		"{sip.vars.number}":               "9",
		"{sip.vars.none}":                 "",
		"{sip.regexp.n.1}":                "captured",
		"{sip.regexp.n.2}":                "",
		"{sip.response.status}":           "0",
		"{sip.snom.model}":                "D785",
		"{sip.snom.firmware}":             "10.1.159.12",
		"{sip.error.status}":              "",
		"{env.CADDYSIP_TEST}":             "from the environment",
		"{no.such}":                       "",
		"{sip.no_such}":                   "",
		"{sip.uri.no_such}":               "",
		"a {sip.cseq}{sip.cseq} b":        "a 47114711 b",
		"{env.CADDYSIP_TEST}, {sip.cseq}": "from the environment, 4711",
		"nothing":                         "nothing",
		"":                                "",
		"{sip.cseq":                       "{sip.cseq",
		"sip.cseq}":                       "sip.cseq}",
		"\\{sip.cseq}":                    "{sip.cseq}",
		// What a request brings is not looked at again.
		"{sip.header.Subject}":                              `{sip.method} $1 \{x}`,
		"{sip.header.Subject}{sip.cseq}{env.CADDYSIP_TEST}": `{sip.method} $1 \{x}4711from the environment`,
	} {
		if got := r.Replace(text); got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
	if host, err := os.Hostname(); err == nil && r.Replace("{system.hostname}") != host {
		t.Errorf("{system.hostname} is %q", r.Replace("{system.hostname}"))
	}
}

func TestPlaceholdersOfWhatIsNotThere(t *testing.T) {
	r := moduletest.Request(t, strings.NewReplacer("m: ", "X: ", "User-Agent", "X", "al%69ce@one.example:5063;a=b>", "one.example:x>").Replace(placed))
	for _, name := range strings.Fields("contact.uri contact.user contact.host from.uri from.user from.host user_agent snom.model snom.firmware auth.user") {
		if got := r.Replace("[{sip." + name + "}]"); got != "[]" {
			t.Errorf("{sip.%s} is %q", name, got)
		}
	}
}

// TestPlaceholdersAfter asks for what is known only when the request has gone through.
func TestPlaceholdersAfter(t *testing.T) {
	app := moduletest.App(t, `{"domains": ["example.com"], "servers": {"s": {"listen": ["udp/192.0.2.10:5060"],
		"routes": [{"handle": [{"handler": "step", "name": "a", "fail": 480}]}],
		"errors": {"routes": [{"handle": [{"handler": "act", "what": ["tell", "{sip.error.status} {sip.error.reason}: {sip.error.message}"]}]}]}}}}`)
	r := moduletest.Request(t, moduletest.Invite, moduletest.To(app.Servers["s"]))
	var w moduletest.Recorder
	app.Servers["s"].Serve(&w, r)
	if len(w.Responses) != 1 || w.Responses[0].Reason != "480 Temporarily Unavailable: 480 Temporarily Unavailable: a" {
		t.Errorf("got %+v", w.Responses)
	}
	if e := r.Error(); e == nil || e.Status != 480 || e.Unwrap() == nil {
		t.Errorf("the error is %v", e)
	}
}

func TestEdit(t *testing.T) {
	r := moduletest.Request(t, placed)
	if r.URI().Port != 5062 || r.Replace("{sip.uri.host}") != "Example.com" {
		t.Fatal(r.URI())
	}
	if _, err := r.SIP(); err != nil {
		t.Fatal(err)
	}
	change := func(f func(e *wire.Edits, m *wire.Message)) {
		t.Helper()
		if err := r.Edit(f); err != nil {
			t.Fatal(err)
		}
	}
	change(func(e *wire.Edits, m *wire.Message) { e.SetRequestURI(m, []byte("sip:x@h")) })
	change(func(e *wire.Edits, m *wire.Message) { e.DeleteHeader(m, "subject"); e.AddHeader(m, "X-New", "1") })
	change(func(e *wire.Edits, m *wire.Message) {})
	want := strings.NewReplacer("\n", "\r\n", "sip:%34%331;x=y:pw@Example.com:5062;user=phone", "sip:x@h", "Subject: {sip.method} $1 \\{x}\n", "",
		"s: compact\n", "", "Content-Length: 0\n", "Content-Length: 0\r\nX-New: 1\r\n").Replace(placed)
	if got := string(r.Message().Raw); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if req, err := r.SIP(); err != nil || req.Recipient.Host != "h" || string(r.URI().Raw) != "sip:x@h" || r.Replace("{sip.uri.host}") != "h" {
		t.Errorf("the request still is for %s, %v", r.URI().Raw, err)
	}
	// What would break the request is not done.
	err := r.Edit(func(e *wire.Edits, m *wire.Message) { e.DeleteHeader(m, "Call-ID") })
	if err == nil || string(r.Message().Raw) != want || string(r.Header("Call-ID")) != "call1@192.0.2.7" || r.Message().CSeq != 4711 {
		t.Errorf("%v, and then\n%s", err, r.Message().Raw)
	}
	// Keeping changes nothing.
	r.Keep()
	r.Keep()
	if string(r.Message().Raw) != want || string(r.URI().Raw) != "sip:x@h" {
		t.Errorf("kept\n%s", r.Message().Raw)
	}
}

func TestSIP(t *testing.T) {
	r := moduletest.Request(t, moduletest.Invite)
	req, err := r.SIP()
	if err != nil {
		t.Fatal(err)
	}
	again, _ := r.SIP()
	if req != again || req.Method != "INVITE" || req.Source() != "192.0.2.7:5060" || req.Transport() != "UDP" || req.Contact().Address.User != "alice" {
		t.Errorf("got %v from %s", req, req.Source())
	}
}
