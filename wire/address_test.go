package wire

import (
	"reflect"
	"testing"
)

// TestAddressRead has From and To, which are read with the message, be what reading them anew gives.
func TestAddressRead(t *testing.T) {
	for _, value := range []string{
		`<sip:a@b>;tag=x`, `<sip:a@b>`, `sip:a@b`, `sip:a@b;tag=x`, `"A, \"B\" <x>" <sip:a@b;p=1?h=v>;tag=x;q="a;b"`,
		"A\tB  <  sip:a@b >  ;x ;tag=x", `<tel:1>;y`, `"" <sip:a@b>`,
	} {
		m := mustParse(t, request("OPTIONS sip:a SIP/2.0", "From: "+value, "To:   "+value+"  "))
		copied := new(Message)
		m.Clone(copied)
		for _, id := range []HeaderID{From, To} {
			want, err := ParseNameAddr(m.Header(id))
			if err != nil {
				t.Fatal(value, err)
			}
			for _, m := range []*Message{m, copied} {
				if got, err := m.Address(id); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%v %q: got %q, %v, want %q", id, value, got, err, want)
				}
			}
		}
		// The next message has nothing of this one.
		if err := m.Parse([]byte("OPTIONS sip:a SIP/2.0\r\n\r\n")); err == nil {
			t.Fatal("a request without From")
		}
		if got, err := m.Address(From); err == nil {
			t.Errorf("got %q of a message without From", got)
		}
	}
}
