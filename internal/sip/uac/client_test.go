package uac

import (
	"bufio"
	"bytes"
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

func TestAnswered(t *testing.T) {
	for _, status := range []string{
		"200 OK", "302 Elsewhere", "401 Unauthorized", "407 No", "486 Busy", "503 Later", "603 Decline",
	} {
		inWorld(t, func(w *world) {
			w.send(w.request())
			m := w.receive()
			w.answer(m, "100 Trying")
			w.answer(m, "183 Wait")
			w.expect()
			w.answer(m, status, "Contact: <sip:elsewhere@192.0.2.9>",
				`WWW-Authenticate: Digest realm="phone", nonce="n"`)
			w.expect(status)
			w.answer(m, "200 Late")
			w.expect(status)
			w.nothing()
		})
	}
}

// TestLargeToAnybody sends more than MaxDatagram to an address that may be forged: once.
func TestLargeToAnybody(t *testing.T) {
	inWorld(t, func(w *world) {
		w.validated = false
		r := w.request()
		r.Body = make([]byte, MaxDatagram)
		w.send(r)
		w.receive()
		w.nothing()
		time.Sleep(time.Minute)
		w.nothing()
		w.expect("the transaction timed out")
	})
}

// TestTimeout has a phone that never answers.
func TestTimeout(t *testing.T) {
	for _, tc := range []struct {
		name                 string
		validated, byRequest bool
		sent                 int
	}{
		{"known to receive it", true, false, 11}, // RFC 3261 §17.1.2.2
		{"known by the sender", false, true, 11},
		{"perhaps a victim", false, false, 4},
	} {
		inWorld(t, func(w *world) {
			w.validated = tc.validated
			r := w.request()
			r.Validated = tc.byRequest
			w.send(r)
			start, first, sent := time.Now(), w.receive(), 1
			for m := first; m != ""; sent++ {
				if m = w.receive(); m == "" {
					break
				}
				if m != first {
					t.Errorf("it is repeated as\n%s", m)
				}
			}
			if sent != tc.sent {
				t.Errorf("%s: it is sent %d times, not %d", tc.name, sent, tc.sent)
			}
			time.Sleep(time.Until(start.Add(5 * time.Minute)))
			w.expect("the transaction timed out")
		})
	}
	inWorld(t, func(w *world) {
		w.send(w.request())
		time.Sleep(32*time.Second - 10*time.Millisecond)
		w.expect()
		time.Sleep(time.Second)
		w.expect("the transaction timed out")
	})
}

// TestHush stops repeating a request, and still takes the answer, or reports that there is none.
func TestHush(t *testing.T) {
	for _, answered := range []bool{true, false} {
		inWorld(t, func(w *world) {
			w.validated = true
			x := new(Exchange)
			if err := w.client.Send(x, w.request(), w, nil); err != nil {
				t.Fatal(err)
			}
			m := w.receive()
			if again := w.receive(); again != m {
				t.Errorf("it is repeated as %q", again)
			}
			x.Hush()
			want := "the transaction timed out"
			if answered {
				w.answer(m, "100 Trying")
				w.answer(m, "200 OK")
				want = "200 OK"
			}
			if again := w.receive(); again != "" {
				t.Errorf("it is repeated as %q", again)
			}
			w.expect(want)
		})
	}
}

// TestLarge sends more than fits into MaxDatagram over UDP: there is no other way to the phone.
func TestLarge(t *testing.T) {
	inWorld(t, func(w *world) {
		r := w.request()
		r.Body = bytes.Repeat([]byte("x"), 2*MaxDatagram)
		w.send(r)
		m := w.receive()
		if !strings.HasSuffix(m, "\r\n\r\n"+string(r.Body)) {
			t.Errorf("the phone gets %q", m)
		}
		w.answer(m, "200 OK")
		w.expect("200 OK")
	})
}

// TestUnreachable sends where there is nobody any more.
func TestUnreachable(t *testing.T) {
	inWorld(t, func(w *world) {
		r := w.request()
		r.Flow = transport.Flow{Network: transport.TCP, Remote: phoneAddr} // its connection has gone
		if err := w.client.Send(new(Exchange), r, w, nil); err == nil {
			t.Error("a request is sent down no connection")
		}
		w.expect()
		// A connection that closes before the answer has come.
		l, err := w.host.Listen(phoneAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if r.Flow, err = w.manager.Dial(context.Background(), transport.TCP, phoneAddr); err != nil {
			t.Fatal(err)
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		w.send(r)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || line != "MESSAGE sip:101@192.0.2.7:5062;line=x SIP/2.0\r\n" {
			t.Errorf("the phone gets %q, %v", line, err)
		}
		w.expect()
		conn.Close()
		time.Sleep(time.Second)
		synctest.Wait()
		if len(w.outcomes) != 1 || strings.Contains(w.outcomes[0], "timed out") {
			t.Errorf("the outcome is %q", w.outcomes)
		}
	})
}

// TestClosed ends the transactions before the answer has come, and sends afterwards.
func TestClosed(t *testing.T) {
	inWorld(t, func(w *world) {
		w.send(w.request())
		w.table.Close()
		w.expect("the transaction table is closed")
		if err := w.client.Send(new(Exchange), w.request(), w, nil); err == nil {
			t.Error("a request is sent")
		}
		w.expect("the transaction table is closed")
	})
}

// TestOutbox sends within a batch.
func TestOutbox(t *testing.T) {
	inWorld(t, func(w *world) {
		out := new(transport.Outbox)
		for range 2 {
			if err := w.client.Send(new(Exchange), w.request(), w, out); err != nil {
				t.Fatal(err)
			}
		}
		first, second := w.receive(), w.receive()
		if header(first, "Call-ID") == header(second, "Call-ID") {
			t.Errorf("got\n%s\n%s", first, second)
		}
		w.answer(second, "200 OK")
		w.answer(first, "486 Busy")
		w.expect("200 OK", "486 Busy")
	})
}

// TestElsewhere has the answer to a request come from another address of the phone.
func TestElsewhere(t *testing.T) {
	inWorld(t, func(w *world) {
		w.send(w.request())
		m := w.receive()
		w.host.Add(netip.MustParseAddr("192.0.2.8"))
		other, err := w.host.ListenUDP(netip.MustParseAddrPort("192.0.2.8:5060"))
		if err != nil {
			t.Fatal(err)
		}
		w.phone.Close()
		w.phone = other
		w.answer(m, "200 OK")
		w.expect("200 OK")
	})
}
