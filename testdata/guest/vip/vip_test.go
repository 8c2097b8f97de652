package vip

import (
	"strings"
	"testing"

	"github.com/caddysip/caddysip/module/moduletest"
)

func TestMatch(t *testing.T) {
	m := VIP{"alice"}
	for raw, want := range map[string]bool{
		moduletest.Invite: true,
		strings.ReplaceAll(moduletest.Invite, "sip:alice@", "sip:bob@"): false,
		// A stranger's word is not taken.
		strings.ReplaceAll(strings.ReplaceAll(moduletest.Invite, "sip:alice@", "sip:bob@"),
			"User-Agent:", "P-Asserted-Identity: <sip:alice@example.com>\nUser-Agent:"): false,
	} {
		app := moduletest.App(t, `{"servers": {"s": {"listen": ["udp/127.0.0.1:0"]}}}`)
		r := moduletest.Request(t, raw, moduletest.To(app.Servers["s"]))
		if got, err := m.Match(r); err != nil || got != want {
			t.Errorf("%v, %v, want %v\n%s", got, err, want, raw)
		}
	}
}

func TestTrusted(t *testing.T) {
	app := moduletest.App(t, `{"servers": {"s": {"listen": ["udp/127.0.0.1:0"], "trust": ["192.0.2.0/24"]}}}`)
	for identity, want := range map[string]bool{
		"<sip:alice@example.com>": true,
		"<sip:bob@example.com>":   false,
		"<nothing":                false,
	} {
		raw := strings.ReplaceAll(moduletest.Invite, "User-Agent:", "P-Asserted-Identity: "+identity+"\nUser-Agent:")
		r := moduletest.Request(t, raw, moduletest.To(app.Servers["s"]))
		if got, err := (VIP{"alice"}).Match(r); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", identity, got, err, want)
		}
	}
}

func TestValidate(t *testing.T) {
	if VIP(nil).Validate() == nil {
		t.Error("an empty list is taken")
	}
}
