//go:build !race

package uac

import (
	"testing"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// TestAllocations sends with nothing allocated, to those too who have to be treated with caution.
func TestAllocations(t *testing.T) {
	for _, validated := range []bool{false, true} {
		c := &Client{new(sink), func(transport.Flow) bool { return validated }}
		var x Exchange
		r := Request{
			SentBy: wire.HostPort{Addr: serverAddr}, Method: "MESSAGE", URI: []byte("sip:101@192.0.2.7"), Contact: true,
			Path: []byte("<sip:192.0.2.8;lr>"), ContentType: "t/t", Body: make([]byte, 500),
		}
		if n := testing.AllocsPerRun(100, func() {
			r.SetAOR("101@example.com")
			if err := c.Send(&x, &r, nil, nil); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}
