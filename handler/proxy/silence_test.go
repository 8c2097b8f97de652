package proxy_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/test/simnet"
	"github.com/caddysip/caddysip/test/simtest"
	"github.com/caddysip/caddysip/wire"
)

// silence is a user's office with phones of which some do not respond.
type silence struct {
	t      *testing.T
	n      *simnet.Net
	s      *simtest.Server
	alice  *simnet.UDPConn
	phones []*simnet.UDPConn
	calls  int
}

// inSilence runs f in an office where bob has three phones, with these values of q.
func inSilence(t *testing.T, directives string, q []string, f func(o *silence)) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		o := &silence{t: t, n: n, s: simtest.Start(t, n.Host("192.0.2.10"), directives),
			alice: listen(t, n, "192.0.2.1:5060")}
		for i := range q {
			o.phones = append(o.phones, listen(t, n, fmt.Sprintf("192.0.2.%d:5060", 20+i)))
		}
		for i := len(q) - 1; i >= 0; i-- { // the last one that registers is the first of its q
			o.register(i, q[i])
			time.Sleep(time.Second)
		}
		f(o)
	})
}

func (o *silence) request(method, user, id, contact string) []byte {
	return []byte(strings.ReplaceAll(fmt.Sprintf("%s sip:bob@192.0.2.10 SIP/2.0\n"+
		"Via: SIP/2.0/UDP phone;branch=z9hG4bK%s;rport\n"+
		"From: <sip:%s@192.0.2.10>;tag=1\nTo: <sip:bob@192.0.2.10>\nCall-ID: %[2]s\nCSeq: 1 %[1]s\n"+
		"Max-Forwards: 70\nContact: %[4]s\n\n",
		method, id, user, contact), "\n", "\r\n"))
}

// register registers a phone.
func (o *silence) register(i int, q string) {
	o.t.Helper()
	o.calls++
	write(o.t, o.phones[i], o.s.Addr, o.request("REGISTER", "bob", fmt.Sprint("r", o.calls),
		fmt.Sprintf("<sip:bob@192.0.2.%d>;q=%s", 20+i, q)))
	for m := ""; !strings.HasPrefix(m, "SIP/2.0 200"); {
		m = expect(o.t, o.phones[i], "")
	}
}

// call sends a request to bob, and returns its start.
func (o *silence) call(method string) time.Time {
	o.t.Helper()
	o.calls++
	write(o.t, o.alice, o.s.Addr, o.request(method, "alice", fmt.Sprint("c", o.calls), "<sip:alice@192.0.2.1>"))
	if method == "INVITE" {
		expect(o.t, o.alice, "SIP/2.0 100")
	}
	return time.Now()
}

// rings waits for the latest request at a phone, and makes sure that it came after so long.
func (o *silence) rings(i int, begin time.Time, want time.Duration) *wire.Message {
	o.t.Helper()
	for {
		m := new(wire.Message)
		if err := m.Parse([]byte(expect(o.t, o.phones[i], ""))); err != nil {
			o.t.Fatal(err)
		}
		if string(m.Header(wire.CallID)) == fmt.Sprint("c", o.calls) && m.Method != wire.ACK && !m.IsResponse {
			o.took(fmt.Sprintf("phone %d rings", i), begin, want)
			return m
		}
	}
}

func (o *silence) took(what string, begin time.Time, want time.Duration) {
	o.t.Helper()
	if got := time.Since(begin).Round(100 * time.Millisecond); got != want {
		o.t.Errorf("call %d: %s after %v, not %v", o.calls, what, got, want)
	}
}

func (o *silence) answer(i int, m *wire.Message, status int) {
	o.t.Helper()
	write(o.t, o.phones[i], o.s.Addr, m.AppendResponse(nil, status, "x", o.s.Addr,
		&wire.ResponseOptions{ToTag: []byte("b")}))
}

// hears waits for the final response to the latest request.
func (o *silence) hears(status int, begin time.Time, want time.Duration) {
	o.t.Helper()
	for {
		m := expect(o.t, o.alice, "SIP/2.0 ")
		if !strings.HasPrefix(m, "SIP/2.0 1") && strings.Contains(m, fmt.Sprintf("Call-ID: c%d\r\n", o.calls)) {
			if !strings.HasPrefix(m, fmt.Sprintf("SIP/2.0 %d ", status)) {
				o.t.Errorf("call %d: she hears\n%s", o.calls, m)
			}
			o.took("the caller hears", begin, want)
			return
		}
	}
}

// TestSilent checks that a phone that does not respond delays the others once, and not again.
func TestSilent(t *testing.T) {
	const none, passed, silent = 0, 500 * time.Millisecond, 5 * time.Second
	for _, tc := range []struct {
		name, directives string
		q                []string         // of phone 0, which says nothing, and 1 and 2, which are busy
		first, next      [3]time.Duration // when phones 1 and 2 ring, and the caller hears: at the first call, and then
	}{
		{"the first", "register\nproxy", []string{"0.9", "0.5", "0.3"}, [3]time.Duration{silent, silent, silent},
			[3]time.Duration{none, passed, passed}},
		{"in the middle", "register\nproxy", []string{"0.5", "0.9", "0.3"}, [3]time.Duration{none, silent, silent},
			[3]time.Duration{none, none, passed}},
		{"the last", "register\nproxy", []string{"0.1", "0.9", "0.3"}, [3]time.Duration{none, none, silent},
			[3]time.Duration{none, none, passed}},
		{"sequential", "register\nproxy {\nfork sequential\n}", []string{"0.5", "0.5", "0.5"},
			[3]time.Duration{silent, silent, silent}, [3]time.Duration{none, passed, passed}},
		{"parallel", "register\nproxy", []string{"0.5", "0.5", "0.5"}, [3]time.Duration{none, none, silent},
			[3]time.Duration{none, none, passed}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inSilence(t, tc.directives, tc.q, func(o *silence) {
				for i := range 3 {
					at := tc.next
					if i == 0 {
						at = tc.first
					}
					begin := o.call("INVITE")
					o.answer(1, o.rings(1, begin, at[0]), 486)
					o.answer(2, o.rings(2, begin, at[1]), 486)
					o.hears(486, begin, at[2])
				}
				// What is no INVITE goes the same way.
				begin := o.call("MESSAGE")
				o.answer(1, o.rings(1, begin, tc.next[0]), 480)
				o.answer(2, o.rings(2, begin, tc.next[1]), 480)
				o.hears(480, begin, tc.next[2])
				// A refresh is a sign of life.
				o.register(0, tc.q[0])
				begin = o.call("INVITE")
				o.answer(1, o.rings(1, begin, tc.first[0]), 486)
				o.answer(2, o.rings(2, begin, tc.first[1]), 486)
				o.hears(486, begin, tc.first[2])
			})
		})
	}
}

// TestSilentBack has a silent phone respond while others ring: it rings as well, and the next call
// is as before.
func TestSilentBack(t *testing.T) {
	for _, after := range []time.Duration{0, 400 * time.Millisecond, 3 * time.Second} {
		inSilence(t, "register\nproxy", []string{"0.9", "0.5"}, func(o *silence) {
			begin := o.call("INVITE")
			o.answer(1, o.rings(1, begin, 5*time.Second), 486)
			o.hears(486, begin, 5*time.Second)

			begin = o.call("INVITE")
			other := o.rings(1, begin, 0)
			o.answer(1, other, 180)
			time.Sleep(after)
			back := o.rings(0, begin, after)
			o.answer(0, back, 180)
			time.Sleep(10 * time.Second)
			o.answer(1, other, 486)
			time.Sleep(10 * time.Second) // he is waited for
			o.answer(0, back, 200)
			o.hears(200, begin, after+20*time.Second)

			begin = o.call("INVITE")
			o.answer(0, o.rings(0, begin, 0), 480)
			o.answer(1, o.rings(1, begin, 0), 480)
			o.hears(480, begin, 0)
		})
	}
}

// TestSilentAlone checks that silent phones are treated like any when there are no others, and are
// tried in the order of their q.
func TestSilentAlone(t *testing.T) {
	inSilence(t, "register\nproxy", []string{"0.9", "0.5"}, func(o *silence) {
		for range 2 {
			begin := o.call("INVITE")
			o.rings(0, begin, 0)
			o.rings(1, begin, 5*time.Second)
			o.hears(408, begin, 10*time.Second)
		}
		begin := o.call("INVITE")
		o.answer(0, o.rings(0, begin, 0), 486)
		o.rings(1, begin, 0)
		o.hears(486, begin, 5*time.Second)
		begin = o.call("INVITE") // phone 0 is heard of again
		o.answer(0, o.rings(0, begin, 0), 486)
		o.hears(486, begin, 500*time.Millisecond)
	})
}

// TestSilentGivenUp lets all phones fail while a silent one is skipped. It is cancelled, and called
// again only by the next call.
func TestSilentGivenUp(t *testing.T) {
	inSilence(t, "register\nproxy", []string{"0.9", "0.5"}, func(o *silence) {
		begin := o.call("INVITE")
		o.answer(1, o.rings(1, begin, 5*time.Second), 486)
		o.hears(486, begin, 5*time.Second)
		begin = o.call("INVITE")
		o.answer(1, o.rings(1, begin, 0), 486)
		o.hears(486, begin, 500*time.Millisecond)
		late := o.rings(0, begin, 500*time.Millisecond)
		o.answer(0, late, 180)
		for m := ""; !strings.HasPrefix(m, "CANCEL "); {
			m = expect(t, o.phones[0], "")
		}
		o.took("the phone is cancelled", begin, 500*time.Millisecond)
	})
}

// TestSilentCancelled ends a call before a phone has responded: the caller hears of it at once, and
// the phone is cancelled.
func TestSilentCancelled(t *testing.T) {
	for _, status := range []int{603, 487} {
		inSilence(t, "register\nproxy", []string{"0.5", "0.5"}, func(o *silence) {
			begin := o.call("INVITE")
			ringing := o.rings(1, begin, 0)
			o.answer(1, ringing, 180)
			time.Sleep(time.Second)
			if status == 487 {
				write(t, o.alice, o.s.Addr, o.request("CANCEL", "alice", fmt.Sprint("c", o.calls),
					"<sip:alice@192.0.2.1>"))
				expect(t, o.alice, "SIP/2.0 180")
				expect(t, o.alice, "SIP/2.0 200") // to the CANCEL
			}
			o.answer(1, ringing, status)
			o.hears(status, begin, 1500*time.Millisecond)
			late := o.rings(0, begin, 1500*time.Millisecond)
			o.answer(0, late, 180)
			for m := ""; !strings.HasPrefix(m, "CANCEL "); {
				m = expect(t, o.phones[0], "")
			}
			o.took("the other is cancelled", begin, 1500*time.Millisecond)
		})
	}
}

// TestNoResponseDial sends a call over a connection that is never answered: no_response counts from
// the start of the call.
func TestNoResponseDial(t *testing.T) {
	inSilence(t, "register\nproxy sip:192.0.2.99;transport=tcp sip:192.0.2.21 {\nno_response 2s\n}", []string{"1", "1"},
		func(o *silence) {
			begin := o.call("INVITE")
			o.answer(1, o.rings(1, begin, 2*time.Second), 486)
			o.hears(486, begin, 2*time.Second)
		})
}
