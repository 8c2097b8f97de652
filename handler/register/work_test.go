package register

import (
	"testing"
	"time"

	"github.com/caddysip/caddysip/module/moduletest"
)

const plainRefresh = `REGISTER sip:example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1;rport
Max-Forwards: 70
From: <sip:bob@example.com>;tag=f1
To: <sip:bob@example.com>
Call-ID: call2@192.0.2.7
CSeq: 1 REGISTER
Contact: <sip:bob@192.0.2.7:5060;line=x>
Expires: 600
Content-Length: 0

`

// TestWork holds what the most expensive requests take against a plain refresh, parsing, sockets and system calls left out. With them
// it is twenty times as much at the most.
func TestWork(t *testing.T) {
	app := moduletest.App(t, `{"domains": ["example.com"], "servers": {"s": {"listen": ["udp/127.0.0.1:5060"]}}}`)
	h := &Register{app: app, min: 60, normal: 600, max: 7200, MaxContacts: 10}
	var next moduletest.Next
	cseq := uint32(1)
	// least is the time that a request takes when nothing comes between.
	least := func(text string) time.Duration {
		r := moduletest.Request(t, text)
		best := time.Hour
		for range 20 {
			var w answer
			cseq++
			r.Message().CSeq = cseq
			start := time.Now()
			if err := h.ServeSIP(&w, r, next.Serve); err != nil || w.status != 200 {
				t.Fatal(err, w.status)
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	plain := least(plainRefresh)
	least(hostile(10, 0, "600"))
	for name, text := range map[string]string{"others removed": hostile(20, 100, "0"), "all refreshed": hostile(10, 0, "600")} {
		got := least(text)
		t.Logf("%s: %v, a plain refresh: %v", name, got, plain)
		if got > 400*plain {
			t.Errorf("%s: %d times as long as a plain refresh", name, got/plain)
		}
	}
}
