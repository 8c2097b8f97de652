package module

import (
	"strings"
	"testing"
)

func TestParseAdvertise(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.7": "203.0.113.7:0", "203.0.113.7:5070": "203.0.113.7:5070", "2001:db8::7": "[2001:db8::7]:0",
		"[2001:db8::7]":      "[2001:db8::7]:0",
		"[2001:db8::7]:5070": "[2001:db8::7]:5070", "SIP.example.com": "sip.example.com:0",
		"sip.example.com:5070": "sip.example.com:5070",
	} {
		h, err := ParseAdvertise(text)
		if got := string(h.Append(nil)); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"": "is no host", "a b": "is no host", "sip:example.com": "'sip:example.com' is no host",
		"example.com:":  "is no host",
		"example.com:0": "0 is no port", "example.com:65536": "65536 is no port",
		"0.0.0.0": "nobody can reach a server by 0.0.0.0: write the address or name that phones send to, as in " +
			"203.0.113.7", "[::]:5060": "nobody can",
		"224.0.0.1": "nobody can", "a@b": "is no host", "host/path": "is no host",
	} {
		if h, err := ParseAdvertise(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", text, h, err)
		}
	}
}
