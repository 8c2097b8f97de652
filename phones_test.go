package caddysip_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	_ "github.com/caddysip/caddysip"
	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/phone"
)

// house is a server with phones.
type house struct {
	t   *testing.T
	s   *handlertest.Server
	ctx context.Context
}

// newHouse starts a server as example.Caddyfile has it.
func newHouse(t *testing.T) *house {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return &house{t: t, s: handlertest.Start(t, "snom_lrc\nregister\nproxy"), ctx: ctx}
}

// phone returns a phone that has registered, and what it sends and receives.
func (h *house) phone(user, transport string) (*phone.Phone, *phone.Recorder) {
	h.t.Helper()
	rec := new(phone.Recorder)
	p, err := phone.New(phone.Config{Server: h.s.Addr.String(), User: user, Transport: transport, Trace: rec.Record})
	h.check(err)
	h.check(p.Start(h.ctx))
	h.t.Cleanup(func() { p.Close() })
	h.check(p.Register(h.ctx))
	return p, rec
}

func (h *house) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// incoming returns the call that a phone rings for.
func (h *house) incoming(p *phone.Phone) *phone.Call {
	h.t.Helper()
	c, err := p.WaitIncoming(h.ctx)
	h.check(err)
	return c
}

func (h *house) ended(calls ...*phone.Call) {
	h.t.Helper()
	for _, c := range calls {
		h.check(c.Wait(h.ctx, phone.Ended))
	}
}

var transports = []string{"udp", "tcp"}

func TestLamps(t *testing.T) {
	h := newHouse(t)
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			p, _ := h.phone("101", transport)
			for i, light := range []string{"on", "off", "hold", "park", "pickup", "message", "offline", "seized", "record", "error"} {
				call, err := p.Dial(h.ctx, fmt.Sprint(431+i))
				h.check(err)
				final, err := call.Final(h.ctx)
				h.check(err)
				if final.Status != 404 || final.Reason != "Not a call" {
					t.Errorf("%d is answered %d %s", 431+i, final.Status, final.Reason)
				}
				h.check(p.Wait(h.ctx, func(s phone.State) bool { return s.Keys["2"].Light == light }))
			}
			// Pressing the key dials 432, which puts it out.
			_, err := p.Press(h.ctx, "2")
			h.check(err)
			h.check(p.Wait(h.ctx, func(s phone.State) bool { return s.Keys["2"].Light == "off" }))
			if n := p.State().KeyChanges; n != 11 {
				t.Errorf("the key was set %d times by 11 calls", n)
			}
		})
	}
}

func TestCalls(t *testing.T) {
	h := newHouse(t)
	for _, from := range transports {
		for _, to := range transports {
			for _, hangup := range []string{"caller", "callee"} {
				t.Run(from+" calls "+to+", "+hangup+" hangs up", func(t *testing.T) {
					caller, _ := h.phone("101", from)
					callee, heard := h.phone("102", to)
					out, err := caller.Dial(h.ctx, "102")
					h.check(err)
					in := h.incoming(callee)
					h.check(out.Wait(h.ctx, phone.Ringing))
					h.check(in.Answer(h.ctx))
					h.check(out.Wait(h.ctx, phone.Answered))
					h.check(in.Wait(h.ctx, phone.Answered))
					// The ACK comes along the route, not from the caller directly.
					ack, err := heard.WaitReceived(h.ctx, "ACK ")
					h.check(err)
					if want := "Via: SIP/2.0/" + map[string]string{"udp": "UDP", "tcp": "TCP"}[to] + " " + h.s.Addr.String(); !strings.Contains(ack, want) {
						t.Errorf("the ACK should have %q on top:\n%s", want, ack)
					}
					if hangup == "caller" {
						h.check(out.Hangup(h.ctx))
					} else {
						h.check(in.Hangup(h.ctx))
					}
					h.ended(out, in)
					h.check(callee.Unregister(h.ctx))
					h.check(caller.Unregister(h.ctx))
				})
			}
		}
	}
}

func TestFork(t *testing.T) {
	h := newHouse(t)
	caller, _ := h.phone("101", "udp")
	desk, atDesk := h.phone("102", "udp")
	door, atDoor := h.phone("102", "tcp")
	out, err := caller.Dial(h.ctx, "102")
	h.check(err)
	first, second := h.incoming(desk), h.incoming(door)
	h.check(second.Answer(h.ctx))
	h.check(out.Wait(h.ctx, phone.Answered))
	// The other one stops ringing.
	h.ended(first)
	_, err = atDesk.WaitReceived(h.ctx, "CANCEL ")
	h.check(err)
	if got := atDoor.Received("CANCEL "); len(got) > 0 {
		t.Errorf("the phone that answered is cancelled:\n%s", got[0])
	}
	h.check(out.Hangup(h.ctx))
	h.ended(out, second)
	if got := atDesk.Received("BYE "); len(got) > 0 {
		t.Errorf("the phone that did not answer gets a BYE:\n%s", got[0])
	}
}

func TestCallerCancels(t *testing.T) {
	h := newHouse(t)
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			caller, heard := h.phone("101", transport)
			callee, _ := h.phone("102", transport)
			out, err := caller.Dial(h.ctx, "102")
			h.check(err)
			in := h.incoming(callee)
			h.check(out.Wait(h.ctx, phone.Ringing))
			h.check(out.Hangup(h.ctx))
			final, err := out.Final(h.ctx)
			h.check(err)
			if final.Status != 487 {
				t.Errorf("the cancelled call ends with %d %s", final.Status, final.Reason)
			}
			h.ended(in)
			if got := heard.Received("SIP/2.0 487", "CSeq: 1 INVITE"); len(got) > 1 {
				t.Errorf("%d times 487", len(got))
			}
			h.check(callee.Unregister(h.ctx))
			h.check(caller.Unregister(h.ctx))
		})
	}
}

func TestAbsentAndUnknown(t *testing.T) {
	h := newHouse(t)
	caller, _ := h.phone("101", "udp")
	absent, _ := h.phone("102", "udp")
	h.check(absent.Unregister(h.ctx))
	for number, want := range map[string]int{"102": 480, "103": 404} {
		call, err := caller.Dial(h.ctx, number)
		h.check(err)
		final, err := call.Final(h.ctx)
		h.check(err)
		if final.Status != want {
			t.Errorf("a call to %s is answered %d %s, not %d", number, final.Status, final.Reason, want)
		}
	}
}
