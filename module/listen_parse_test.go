package module

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/internal/engine"
)

func TestParseListenAddress(t *testing.T) {
	for text, want := range map[string]string{
		":5060":                     "udp/[::]:5060 tcp/[::]:5060",
		"":                          "udp/[::]:5060 tcp/[::]:5060",
		"udp/:5070":                 "udp/[::]:5070",
		"tcp/192.0.2.10":            "tcp/192.0.2.10:5060",
		"192.0.2.10:5060-5062":      "udp/192.0.2.10:5060 udp/192.0.2.10:5061 udp/192.0.2.10:5062 tcp/192.0.2.10:5060 tcp/192.0.2.10:5061 tcp/192.0.2.10:5062",
		"udp/[2001:db8::1]:5060":    "udp/[2001:db8::1]:5060",
		"udp/[::ffff:192.0.2.1]:60": "udp/192.0.2.1:60",
		"udp/0.0.0.0:5060":          "udp/0.0.0.0:5060",
		"udp/[::]:5060":             "udp/[::]:5060",
	} {
		list, err := parseListenAddress(text)
		var got []string
		for _, a := range list {
			got = append(got, a.String())
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	}
	list, err := parseListenAddress("udp/localhost:5060")
	if err != nil || !slices.ContainsFunc(list, func(a engine.Address) bool { return a.Addr.Addr().IsLoopback() && a.Addr.Port() == 5060 }) {
		t.Errorf("localhost: %v, %v", list, err)
	}
	for text, want := range map[string]string{
		"sctp/:5060":               `listener address "sctp/:5060": unknown network "sctp"; use udp/, tcp/, or no prefix for both`,
		"unix//run/sip.sock":       `unknown network "unix"`,
		"udp/:99999":               `listener address "udp/:99999"`,
		"udp/:x":                   `listener address "udp/:x"`,
		"udp/:5062-5060":           `listener address "udp/:5062-5060"`,
		"udp/no.such.invalid:5060": `listener address "udp/no.such.invalid:5060": looking up no.such.invalid`,
	} {
		if _, err := parseListenAddress(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
