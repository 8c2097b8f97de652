package engine

import (
	"testing"

	"github.com/caddysip/caddysip/wire"
)

// TestSheddable asks which requests an overloaded server may refuse.
func TestSheddable(t *testing.T) {
	for _, test := range []struct {
		method, to string
		want       bool
	}{
		{"INVITE", "<sip:b@x>", true}, {"MESSAGE", "<sip:b@x>", true}, {"SUBSCRIBE", "<sip:b@x>", true}, {"X", "<sip:b@x>", true},
		{"INVITE", "<sip:b@x>;tag=b", false}, {"MESSAGE", "<sip:b@x>;tag=b", false}, {"SUBSCRIBE", "<sip:b@x>;tag=b", false},
		{"REGISTER", "<sip:b@x>", false}, {"OPTIONS", "<sip:b@x>", false}, {"CANCEL", "<sip:b@x>", false}, {"ACK", "<sip:b@x>", false},
		{"BYE", "<sip:b@x>", false}, {"PRACK", "<sip:b@x>", false},
	} {
		var m wire.Message
		if err := m.Parse([]byte(test.method + " sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=a\r\nTo: " + test.to +
			"\r\nCall-ID: c\r\nCSeq: 1 " + test.method + "\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if got := sheddable(&m); got != test.want {
			t.Errorf("%s to %s: %t", test.method, test.to, got)
		}
	}
}
