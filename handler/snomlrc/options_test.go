package snomlrc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/module/moduletest"
)

const everything = `snom_lrc {
	user_agent "Acme *" other?
	key P5
	press 999
	action message
	label "Büro: {light}"
	respond 603 "Not today"
	from sip:lamps@example.com;x=y
	light 801 on green
	light 802 seized remote
	light *9 off
}`

func TestOptions(t *testing.T) {
	s := handlertest.Start(t, everything+"\nrespond 488")
	p := s.UDP()
	for i, tc := range []struct{ agent, number, body string }{
		{"acme phone", "801", "k=P5\r\nc=on\r\no=green\r\nn=999\r\na=message\r\nl=Büro: on"},
		{"OTHER1", "802", "k=P5\r\nc=seized\r\no=remote\r\nn=999\r\na=message\r\nl=Büro: seized"},
		{"other2", "*9", "k=P5\r\nc=off\r\nn=999\r\na=message\r\nl=Büro: off"},
		{"other", "801", ""},
		{"snomD785/10.1.159.12", "801", ""},
		{"acme phone", "431", ""},
		{"acme phone", "89", ""},
	} {
		p.Send(invite(tc.number, fmt.Sprint("options", i), "snomD785/10.1.159.12", tc.agent))
		if tc.body == "" {
			p.Expect("SIP/2.0 488")
			p.Nothing()
			continue
		}
		p.Expect("SIP/2.0 603 Not today\r\n")
		m := message(p, "")
		if m.Body() != tc.body || !strings.HasPrefix(m.Header("From"), "<sip:lamps@example.com;x=y>;tag=") {
			t.Errorf("got\n%s\nwant\n%s", m.Text, tc.body)
		}
		p.Answer(m, "200 OK", "p")
		p.Nothing()
	}
}

func TestPlaceholders(t *testing.T) {
	s := handlertest.Start(t, `
		vars zone "nine {sip.uri.user}"
		snom_lrc {
			key "{sip.from.user}"
			press "*{sip.uri.user}{sip.vars.none}"
			label "{light} {sip.header.X-Name} {sip.snom.model} {sip.vars.zone}"
			from sip:{sip.to.user}@{sip.local.host}:{sip.local.port}
		}`)
	p := s.UDP()
	for i, tc := range []struct {
		name  string // X-Name
		edits []string
		body  string
		from  string
	}{
		{"plain", nil, "k=alice\r\nc=on\r\nn=*431\r\na=invite\r\nl=on plain D785 nine 431", "sip:431@" + s.Addr.String()},
		{"é😀", nil, "k=alice\r\nc=on\r\nn=*431\r\na=invite\r\nl=on é😀 D785 nine 431", ""},
		{"", nil, "k=alice\r\nc=on\r\nn=*431\r\na=invite\r\nl=on  D785 nine 431", ""},

		// What comes with the call is text and nothing else.
		{"{sip.call_id} {env.HOME} {light}", nil, "l=on {sip.call_id} {env.HOME} {light} D785 nine 431", ""},
		{"a\tb\tc=off", nil, "l=on a b c=off D785 nine 431", ""},
		{"a\n c=off\n\tk=9", nil, "l=on a   c=off   k=9 D785 nine 431", ""},
		{"a\u0085\u2028\xffb", nil, "l=on a \u2028\uFFFDb D785 nine 431", ""},
		{"x", []string{"<sip:alice@", "<sip:al%0d%0ac%3doff%09@"}, "k=al  c=off\r\nc=on\r\nn=*431\r\na=invite\r\nl=on x D785 nine 431", ""},
		{
			"x",
			[]string{`To: "Lamp" <sip:431@example.com;user=phone>`, "To: <sip:a%0d%0aX%3a1%3e%40b%20%22@h>"},
			"l=on x D785 nine 431", "sip:a%0D%0AX%3A1%3E%40b%20%22@" + s.Addr.String(),
		},
		{strings.Repeat("long ", 100), nil, "l=on " + strings.Repeat("long ", 100) + "D785 nine 431", ""},

		// More than a packet is fragmented: there is no other way to the phone.
		{strings.Repeat("long ", 300), nil, "l=on " + strings.Repeat("long ", 300) + "D785 nine 431", ""},
		// A key without a name is none.
		{"x", []string{"<sip:alice@", "<sip:%0a%09@"}, "", ""},
		{"x", []string{"From: \"Alice\" <sip:alice@example.com>", "From: <sip:example.com>"}, "", ""},
		// Nor is a From without a user.
		{"x", []string{`To: "Lamp" <sip:431@example.com;user=phone>`, "To: <sip:example.com>"}, "", ""},
	} {
		counted := pushes(s)
		text := invite("431", fmt.Sprint("placeholders", i), append(tc.edits, "User-Agent:", "X-Name: "+tc.name+"\nUser-Agent:")...)
		p.Send(text)
		p.Expect("SIP/2.0 404 Not a call")
		if tc.body == "" {
			p.Nothing()
			if got := counted(); got != "1 failed" {
				t.Errorf("%d: counted %q", i, got)
			}
			continue
		}
		m := message(p, "")
		p.Answer(m, "200 OK", "p")
		p.Nothing()
		if !strings.HasSuffix(m.Body(), tc.body) || strings.Count(m.Body(), "\r\n") != 4 || strings.Count(m.Body(), "\n") != 4 {
			t.Errorf("%d: got\n%q\nwant\n%q", i, m.Body(), tc.body)
		}
		if n := len(m.Body()); m.Header("Content-Length") != fmt.Sprint(n) {
			t.Errorf("%d: Content-Length is %s, the body has %d", i, m.Header("Content-Length"), n)
		}
		if from, _, _ := strings.Cut(m.Header("From"), ";tag="); tc.from != "" && from != "<"+tc.from+">" {
			t.Errorf("%d: From is %s, want <%s>", i, from, tc.from)
		}
	}
}

// TestOnePlaceholder has one in each of the values: what is dialled decides what is sent.
func TestOnePlaceholder(t *testing.T) {
	for option, body := range map[string]string{
		"key {sip.uri.user}":   "k=431\r\nc=on\r\nn=432\r\na=invite\r\nl=Light is on",
		"press {sip.uri.user}": "k=2\r\nc=on\r\nn=431\r\na=invite\r\nl=Light is on",
		"label {sip.uri.user}": "k=2\r\nc=on\r\nn=432\r\na=invite\r\nl=431",
	} {
		p := handlertest.Start(t, "snom_lrc {\n"+option+"\n}").UDP()
		p.Send(invite("431", strings.Fields(option)[0]))
		p.Expect("SIP/2.0 404")
		m := message(p, "")
		if m.Body() != body {
			t.Errorf("%s: got\n%s\nwant\n%s", option, m.Body(), body)
		}
		p.Answer(m, "200 OK", "p")
		p.Nothing()
	}
}

func TestUnmarshalCaddyfile(t *testing.T) {
	for text, want := range map[string]string{
		"snom_lrc":                                       "",
		"snom_lrc {\n}":                                  "",
		everything:                                       "",
		"snom_lrc x":                                     "snom_lrc takes no arguments, only a block",
		"snom_lrc {\n colour red\n}":                     "unrecognized option 'colour' of snom_lrc: known are action, from, key",
		"snom_lrc {\n user_agent\n}":                     "user_agent of snom_lrc needs at least one value",
		"snom_lrc {\n key\n}":                            "key of snom_lrc needs a value",
		"snom_lrc {\n key 1 2\n}":                        "key of snom_lrc takes one value",
		"snom_lrc {\n label \"a\tb\"\n}":                 "label of snom_lrc must be one line without tabs",
		"snom_lrc {\n label \"a\nb\"\n}":                 "label of snom_lrc must be one line without tabs",
		"snom_lrc {\n action dial\n}":                    "action of snom_lrc is invite or message, not 'dial'",
		"snom_lrc {\n respond\n}":                        "respond of snom_lrc takes a status",
		"snom_lrc {\n respond 404 Not a call\n}":         "respond of snom_lrc takes a status",
		"snom_lrc {\n respond 200\n}":                    "respond of snom_lrc is '200', but the caller must get a status of 300 to 699",
		"snom_lrc {\n respond 700\n}":                    "respond of snom_lrc is '700'",
		"snom_lrc {\n respond no\n}":                     "respond of snom_lrc is 'no'",
		"snom_lrc {\n light 1\n}":                        "light of snom_lrc takes a number, a light, and perhaps a colour",
		"snom_lrc {\n light 1 on red x\n}":               "light of snom_lrc takes a number, a light, and perhaps a colour",
		"snom_lrc {\n light 1 blinking\n}":               `light "blinking" is unknown; it is one of on off hold park pickup message offline seized record error`,
		"snom_lrc {\n light 1 on blue\n}":                `colour "blue" is unknown; it is one of red green orange local remote`,
		"snom_lrc {\n light 1 on\n light 1 off\n}":       "light 1 is given twice",
		"snom_lrc {\n from sip:a@h\n key 1\n press 1\n}": "",
	} {
		var h SnomLRC
		err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestProvision(t *testing.T) {
	for options, want := range map[string]string{
		``:              "",
		`"status": 486`: "",
		`"lights": [{"number": "1", "light": "on", "color": "red"}]`: "",
		`"status": 200`:               "respond 200: the caller must get a final response other than 2xx",
		`"status": 99`:                "respond 99",
		`"status": 700`:               "respond 700",
		`"reason": "a\r\nb"`:          "the reason must be one line",
		`"from": "nonsense"`:          `from: "nonsense" is not a SIP URI`,
		`"from": "http://h/"`:         "the scheme is not sip, sips or tel",
		`"from": "sip:{x}@h"`:         "",
		`"key": "a\tb"`:               "key: must not contain the control character U+0009",
		`"label": "a\r\nb {sip.uri}"`: "label: must not contain the control character U+000D",
		`"action": "dial"`:            "action: must be one of invite message",
		`"lights": [{"number": "1", "light": "blinking"}]`:                            "light 1: light: must be one of on off",
		`"lights": [{"number": "1", "light": "on", "color": "blue"}]`:                 "light 1: color: must be one of red",
		`"lights": [{"number": "1"}]`:                                                 "each of the lights needs a number and a light",
		`"lights": [{"light": "on"}]`:                                                 "each of the lights needs a number and a light",
		`"lights": [{"number": "1", "light": "on"}, {"number": "1", "light": "off"}]`: "light 1 is given twice",
	} {
		if options != "" {
			options = ", " + options
		}
		_, err := moduletest.Load(t, `{"servers": {"s": {"listen": ["udp/127.0.0.1:5060"], "routes": [{"handle": [{"handler": "snom_lrc"`+options+`}]}]}}}`)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", options, err, want)
		}
	}
}
