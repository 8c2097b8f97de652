package location

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/wire"
)

// TestFindByContact finds bindings by their Contacts.
func TestFindByContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		at := func(text string) string {
			t.Helper()
			u, err := wire.ParseURI([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			b := d.s.FindByContact(&u, []byte("nobody@example.com"), []byte(alice))
			if b == nil {
				return ""
			}
			return b.Contact()
		}
		want := func(uri, contact string) {
			t.Helper()
			if got := at(uri); got != contact {
				t.Errorf("at %s is %q, want %q", uri, got, contact)
			}
		}
		d.mustRegister("sip:alice@192.168.7.7:5060;line=1 i=x call=1")
		d.mustRegister("sip:alice@192.168.7.7:5060;line=2 i=y call=2")
		d.mustRegister("sip:q7%5Fx@192.168.7.8:1024;transport=tcp i=z call=3")
		want("sip:alice@192.168.7.7:5060;line=1", "sip:alice@192.168.7.7:5060;line=1")
		want("sip:alice@192.168.7.7:5060;line=2", "sip:alice@192.168.7.7:5060;line=2")
		want("sip:%61lice@192.168.7.7:5060;Line=1;ob", "sip:alice@192.168.7.7:5060;line=1")
		want("sip:alice@192.168.7.7:5060;line=3", "sip:alice@192.168.7.7:5060;line=2") // one of them
		want("sip:alice@192.168.7.7", "")
		want("sip:alice@192.168.7.6:5060", "")
		want("sip:bob@192.168.7.7:5060", "")

		// Another user than that of the address-of-record.
		want("sip:q7_x@192.168.7.8:1024", "sip:q7%5Fx@192.168.7.8:1024;transport=tcp")
		want("sip:q7_x@192.168.7.8:1025", "")
		d.mustRegister("sip:q7%5Fx@192.168.7.8:1024;transport=tcp i=z call=3 from=203.0.113.7:9")
		want("sip:q7_x@192.168.7.8:1024", "sip:q7%5Fx@192.168.7.8:1024;transport=tcp")
		d.mustRegister("sip:q8@192.168.7.8:1024 i=z call=3")
		want("sip:q7_x@192.168.7.8:1024", "")
		want("sip:q8@192.168.7.8:1024", "sip:q8@192.168.7.8:1024")
		d.mustRegister("sip:q9@192.168.7.8:1024 i=z call=4 expires=60")
		want("sip:q8@192.168.7.8:1024", "sip:q8@192.168.7.8:1024") // superseded
		pass(61 * time.Second)
		want("sip:q9@192.168.7.8:1024", "")
		d.s.Remove([]byte(alice), nil)
		want("sip:q8@192.168.7.8:1024", "")
		if d.s.contacts.bindings != nil {
			t.Errorf("left are %v", d.s.contacts.bindings)
		}
	})
}
