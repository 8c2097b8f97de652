package register

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/moduletest"
)

// answer is a ResponseWriter that drops what is written.
type answer struct{ status int }

func (a *answer) WriteResponse(res *module.Response) error { a.status = res.Status; return nil }
func (a *answer) Status() int                              { return a.status }

// BenchmarkRefresh is what registering costs, without reading and writing the messages.
func BenchmarkRefresh(b *testing.B) {
	app := moduletest.App(b, `{"domains": ["example.com"], "servers": {"s": {"listen": ["udp/127.0.0.1:5060"]}}}`)
	h := &Register{app: app, in: inside.AppOf(app), min: 60, normal: 600, max: 7200, MaxContacts: 10}
	r := moduletest.Request(b, `REGISTER sip:example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1;rport
Max-Forwards: 70
From: "Alice" <sip:alice@example.com>;tag=f1
To: <sip:alice@example.com>
Call-ID: call1@192.0.2.7
CSeq: 1 REGISTER
Contact: <sip:alice@192.0.2.7:5060;line=x>;q=1.0;+sip.instance="<urn:uuid:2fd80d1e-5f25-4b54-a3e2-5f25>";reg-id=1
User-Agent: snomD785/10.1.159.12
Expires: 3600
Content-Length: 0

`)
	var w answer
	var next moduletest.Next
	b.ReportAllocs()
	for b.Loop() {
		w.status = 0
		r.Message().CSeq++
		if err := h.ServeSIP(&w, r, next.Serve); err != nil || w.status != 200 {
			b.Fatal(err, w.status)
		}
	}
}

// hostile is a request with n Contacts that are equal in all but one parameter, the last to be compared, and as long as they may be.
func hostile(n, base int, expires string) string {
	var params strings.Builder
	for i := range 60 {
		fmt.Fprintf(&params, ";%s%02d=1", strings.Repeat("a", 11), i)
	}
	text := "REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1;rport\nMax-Forwards: 70\n" +
		"From: <sip:alice@example.com>;tag=f1\nTo: <sip:alice@example.com>\nCall-ID: call1@192.0.2.7\nCSeq: 1 REGISTER\nExpires: " + expires + "\n"
	for i := range n {
		text += fmt.Sprintf("Contact: <sip:u@h%s;z=%d>\n", params.String(), base+i)
	}
	return text + "Content-Length: 0\n\n"
}

// BenchmarkHostile is what it costs to compare as many Contacts as possible with as many as possible.
func BenchmarkHostile(b *testing.B) {
	app := moduletest.App(b, `{"domains": ["example.com"], "servers": {"s": {"listen": ["udp/127.0.0.1:5060"]}}}`)
	h := &Register{app: app, in: inside.AppOf(app), min: 60, normal: 600, max: 7200, MaxContacts: 10}
	var w answer
	var next moduletest.Next
	if err := h.ServeSIP(&w, moduletest.Request(b, hostile(10, 0, "600")), next.Serve); err != nil || w.status != 200 {
		b.Fatal(err, w.status)
	}
	r := moduletest.Request(b, hostile(20, 100, "0"))
	b.ReportAllocs()
	for b.Loop() {
		w.status = 0
		r.Message().CSeq++
		if err := h.ServeSIP(&w, r, next.Serve); err != nil || w.status != 200 {
			b.Fatal(err, w.status)
		}
	}
}
