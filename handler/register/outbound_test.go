package register

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/internal/inside"
)

const phone = `Contact: <sip:a@h>;+sip.instance="<urn:uuid:1>";reg-id=`

// TestFlows registers one phone over two connections, with one URI (RFC 5626 §6).
func TestFlows(t *testing.T) {
	const aor = "alice@example.com"
	s := start(t, "register")
	one, two := s.TCP(), s.TCP()
	m := ask(one, request("alice", 1, "Supported: path, outbound", phone+"1"), "200 OK")
	if m.Header("Require") != "outbound" {
		t.Errorf("got\n%s", m.Text)
	}
	m = ask(two, request("alice", 2, "Supported: outbound", "Require: outbound", phone+"2"), "200 OK")
	want := []string{`<sip:a@h>;expires;+sip.instance="<urn:uuid:1>";reg-id=1`, `<sip:a@h>;expires;+sip.instance="<urn:uuid:1>";reg-id=2`}
	got := answered(m.Headers("Contact"))
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("contacts %q", got)
	}
	flows := func() string {
		var all []string
		for _, b := range inside.AppOf(s.App()).Location().Lookup([]byte(aor), nil) {
			all = append(all, fmt.Sprintf("%d %s", b.RegID(), b.Source()))
		}
		slices.Sort(all)
		return strings.Join(all, ", ")
	}
	if want := fmt.Sprintf("1 %s, 2 %s", one.Addr, two.Addr); flows() != want {
		t.Errorf("flows %s, want %s", flows(), want)
	}

	// A new connection takes the place of the one with its number, quotes or no quotes.
	three := s.TCP()
	m = ask(three, request("alice", 3, `Contact: <sip:moved@h>;reg-id=1;+sip.instance=<urn:uuid:1>`), "200 OK")
	if m.Header("Require") != "" {
		t.Errorf("the client has not said that it supports outbound, and gets\n%s", m.Text)
	}
	if want := fmt.Sprintf("1 %s, 2 %s", three.Addr, two.Addr); flows() != want {
		t.Errorf("flows %s, want %s", flows(), want)
	}
	ask(two, request("alice", 4, "Supported: outbound", phone+"2;expires=0"), "200 OK")
	if want := fmt.Sprintf("1 %s", three.Addr); flows() != want {
		t.Errorf("flows %s, want %s", flows(), want)
	}
}

func TestOutbound(t *testing.T) {
	const (
		via         = "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKedge"
		sup         = "Supported: outbound"
		edge, plain = "Path: <sip:edge@192.0.2.9;lr;ob>", "Path: <sip:edge@192.0.2.9;lr>"
	)
	s := start(t, "register {\npath from 127.0.0.1 192.0.2.8/31\n}")
	for i, tc := range []struct {
		name    string
		network string
		lines   []string
		status  string
		require string
		kept    bool // what it says is kept
	}{
		{"on a connection", "TCP", []string{sup, phone + "1"}, "200 OK", "outbound", true},
		{"over UDP", "UDP", []string{sup, phone + "1"}, "200 OK", "", true},
		{"required over UDP", "UDP", []string{"Require: outbound", sup, phone + "1"}, "420 Bad Extension", "", false},
		{"behind a proxy that keeps the flow", "UDP", []string{via, edge, "Require: outbound", sup, phone + "1"}, "200 OK", "outbound", true},
		{"behind two of them", "UDP", []string{via, "Path: <sip:core@192.0.2.8;lr>", edge, sup, phone + "1"}, "200 OK", "outbound", true},
		{"behind a proxy that doesn't", "TCP", []string{via, plain, sup, phone + "1"}, "439 First Hop Lacks Outbound Support", "", false},
		{"behind a proxy that is not in the path", "TCP", []string{via, sup, phone + "1"}, "439 First Hop Lacks Outbound Support", "", false},
		{"there without support", "TCP", []string{via, plain, phone + "1"}, "200 OK", "", true},
		{"without instance", "TCP", []string{sup, "Contact: <sip:a@h>;reg-id=1"}, "200 OK", "", false},
		{"without number", "TCP", []string{sup, `Contact: <sip:a@h>;+sip.instance="<urn:uuid:1>"`}, "200 OK", "", false},
		{"with a number that is none", "TCP", []string{sup, phone + "x"}, "200 OK", "", false},
		{"with an instance that is none", "TCP", []string{sup, `Contact: <sip:a@h>;reg-id=1;+sip.instance=a\b`}, "200 OK", "", false},
		{"0", "TCP", []string{sup, phone + "0"}, "200 OK", "", false},
		{"two contacts", "TCP", []string{sup, phone + "1", "Contact: <sip:b@h>"}, "400 Contact With reg-id Must Be Alone", "", false},
		{"two flows", "TCP", []string{sup, phone + "1", phone + "2"}, "400 Contact With reg-id Must Be Alone", "", false},
		{"another is removed", "TCP", []string{sup, phone + "1", "Contact: <sip:b@h>;expires=0"}, "200 OK", "outbound", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := s.UDP()
			if tc.network == "TCP" {
				p = s.TCP()
			}
			user := fmt.Sprintf("user%d", i)
			m := ask(p, request(user, 1, tc.lines...), tc.status)
			if got := m.Header("Require"); got != tc.require {
				t.Errorf("Require: %q, want %q", got, tc.require)
			}
			if tc.status == "420 Bad Extension" && m.Header("Unsupported") != "outbound" {
				t.Errorf("got\n%s", m.Text)
			}
			bindings := inside.AppOf(s.App()).Location().Lookup([]byte(user+"@example.com"), nil)
			if tc.status != "200 OK" {
				if len(bindings) != 0 {
					t.Errorf("%d bindings", len(bindings))
				}
				return
			}
			if len(bindings) != 1 || (bindings[0].RegID() == 1) != tc.kept {
				t.Errorf("bindings %q", stored(s, user+"@example.com"))
			}
		})
	}
}

// TestRelayed registers phones behind a proxy that cannot be told apart: all of them are called. Of
// a phone that registers directly only the latest Contact is.
func TestRelayed(t *testing.T) {
	const via = "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKedge"
	for name, tc := range map[string]struct {
		path  string // whose Path is followed
		lines []string
		want  int
	}{
		"by itself":       {path: "192.0.2.8", want: 1},
		"by a proxy":      {path: "192.0.2.8", lines: []string{via}, want: 2},
		"with a Path":     {path: "192.0.2.8", lines: []string{"Path: <sip:192.0.2.9;lr>"}, want: 2},
		"from an address": {path: "127.0.0.1", want: 2}, // of an edge proxy
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, "register {\npath from "+tc.path+"\n}")
			p := s.UDP()
			for _, line := range []string{"1", "2"} {
				text := request("alice", 1, append(tc.lines, "Contact: <sip:a@h;line="+line+">")...)
				ask(p, strings.Replace(text, "call-alice", "call-"+line, 1), "200 OK")
			}
			if got := stored(s, "alice@example.com"); len(got) != tc.want {
				t.Errorf("called are %q", got)
			}
		})
	}
}
