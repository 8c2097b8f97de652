package transaction

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

func beginClient(t *testing.T, w *world, s *scenario) {
	c, err := w.table.NewClient(requestText(s.method, branch), w.flow, clientSide{w}, nil, s.options)
	if err != nil {
		t.Fatal(err)
	}
	w.client = c
}

func TestClientInvite(t *testing.T) {
	run(t, []scenario{
		{
			name: "no answer", method: "INVITE", // timers A and B
			want: []string{"0s sent INVITE", "500ms sent INVITE", "1.5s sent INVITE", "3.5s sent INVITE", "7.5s sent INVITE",
				"15.5s sent INVITE", "31.5s sent INVITE", "32s failed: the transaction timed out", "32s ended"},
		}, {
			name: "no answer on TCP", method: "INVITE", network: transport.TCP,
			want: []string{"0s sent INVITE", "32s failed: the transaction timed out", "32s ended"},
		}, {
			name: "ringing has no end", method: "INVITE", left: 1,
			steps: []string{"600ms recv 100", "2s recv 180", "100s recv 180"},
			want:  []string{"0s sent INVITE", "500ms sent INVITE", "600ms told 100", "2s told 180", "1m40s told 180"},
		}, {
			name: "2xx, its retransmissions and other branches", method: "INVITE", // timer M
			steps: []string{"100ms recv 180", "1s recv 200", "1.5s recv 200", "2s recv 486", "3s recv 180", "32.9s recv 202", "33.1s recv 200"},
			want: []string{"0s sent INVITE", "100ms told 180", "1s told 200", "1.5s told 200", "32.9s told 202", "33s ended",
				"33.1s stray 200"},
		}, {
			name: "2xx without a provisional response, on TCP", method: "INVITE", network: transport.TCP,
			steps: []string{"1s recv 200", "1.5s recv 200"},
			want:  []string{"0s sent INVITE", "1s told 200", "1.5s told 200", "33s ended"},
		}, {
			name: "failure is acknowledged each time", method: "INVITE", // timer D
			steps: []string{"100ms recv 180", "1s recv 486", "1.5s recv 486", "2s recv 180", "32.9s recv 486", "33.1s recv 486"},
			want: []string{"0s sent INVITE", "100ms told 180", "1s sent ACK", "1s told 486", "1.5s sent ACK", "32.9s sent ACK",
				"33s ended", "33.1s stray 486"},
		}, {
			name: "failure on TCP ends at once", method: "INVITE", network: transport.TCP,
			steps: []string{"1s recv 486", "1.1s recv 486"},
			want:  []string{"0s sent INVITE", "1s sent ACK", "1s told 486", "1s ended", "1.1s stray 486"},
		}, {
			name: "a late 2xx changes nothing", method: "INVITE",
			steps: []string{"1s recv 486", "2s recv 200", "3s recv 486"},
			want: []string{"0s sent INVITE", "500ms sent INVITE", "1s sent ACK", "1s told 486", "3s sent ACK",
				"33s ended"},
		}, {
			name: "the network breaks", method: "INVITE",
			steps: []string{"100ms fail"},
			want:  []string{"0s sent INVITE", "500ms lost INVITE", "500ms failed: unplugged", "500ms ended"},
		}, {
			name: "an ACK that is lost is no failure", method: "INVITE",
			steps: []string{"100ms fail", "200ms recv 486", "300ms works", "700ms recv 486"},
			want:  []string{"0s sent INVITE", "200ms lost ACK", "200ms told 486", "700ms sent ACK", "32.2s ended"},
		}, {
			name: "two retransmissions at most", method: "INVITE", options: ClientOptions{MaxRetransmits: 2},
			want: []string{"0s sent INVITE", "500ms sent INVITE", "1.5s sent INVITE", "32s failed: the transaction timed out", "32s ended"},
		}, {
			name: "abandoned", method: "INVITE",
			steps: []string{"600ms abandon", "2s recv 486"},
			want:  []string{"0s sent INVITE", "500ms sent INVITE", "1.5s sent INVITE", "2s sent ACK"},
		}, {
			name: "abandoned while it rings", method: "INVITE",
			steps: []string{"100ms recv 180", "1s abandon", "32.9s recv 180", "33.1s recv 180"},
			want:  []string{"0s sent INVITE", "100ms told 180", "33.1s stray 180"},
		}, {
			name: "abandoned before it rings", method: "INVITE",
			steps: []string{"100ms abandon", "1s recv 180", "32.9s recv 180", "33.1s recv 180"},
			want:  []string{"0s sent INVITE", "500ms sent INVITE", "33.1s stray 180"},
		},
	}, beginClient)
}

func TestClientCancel(t *testing.T) {
	run(t, []scenario{
		{
			name: "after a provisional response", method: "INVITE",
			steps: []string{"100ms recv 180", "1s cancel", "1.1s recv 200 CANCEL", "1.2s recv 487", "1.3s cancel", "1.4s recv 487"},
			want: []string{"0s sent INVITE", "100ms told 180", "1s sent CANCEL", "1.2s sent ACK", "1.2s told 487", "1.4s sent ACK",
				"33.2s ended"},
		}, {
			name: "before a provisional response", method: "INVITE",
			steps: []string{"100ms cancel", "200ms cancel", "600ms recv 100", "700ms recv 200 CANCEL", "800ms recv 180", "900ms recv 487"},
			want: []string{"0s sent INVITE", "500ms sent INVITE", "600ms sent CANCEL", "600ms told 100", "800ms told 180",
				"900ms sent ACK", "900ms told 487", "32.9s ended"},
		}, {
			name: "never a provisional response", method: "INVITE",
			steps: []string{"100ms cancel"},
			want: []string{"0s sent INVITE", "500ms sent INVITE", "1.5s sent INVITE", "3.5s sent INVITE", "7.5s sent INVITE",
				"15.5s sent INVITE", "31.5s sent INVITE", "32s failed: the transaction timed out", "32s ended"},
		}, {
			name: "after a final response", method: "INVITE",
			steps: []string{"100ms recv 200", "1s cancel"},
			want:  []string{"0s sent INVITE", "100ms told 200", "32.1s ended"},
		}, {
			name: "a final response meets the CANCEL that waits", method: "INVITE",
			steps: []string{"100ms cancel", "200ms recv 200"},
			want:  []string{"0s sent INVITE", "200ms told 200", "32.2s ended"},
		}, {
			name: "a 2xx crosses the CANCEL", method: "INVITE",
			steps: []string{"100ms recv 180", "1s cancel", "1.1s recv 200", "1.2s recv 200 CANCEL"},
			want:  []string{"0s sent INVITE", "100ms told 180", "1s sent CANCEL", "1.1s told 200", "33.1s ended"},
		}, {
			name: "the CANCEL has no effect", method: "INVITE",
			steps: []string{"100ms recv 180", "1s cancel", "1.1s recv 200 CANCEL", "20s recv 180"},
			want:  []string{"0s sent INVITE", "100ms told 180", "1s sent CANCEL", "20s told 180", "33s failed: the transaction timed out", "33s ended"},
		}, {
			name: "nobody answers any more", method: "INVITE",
			steps: []string{"100ms recv 180", "1s cancel"},
			want: []string{"0s sent INVITE", "100ms told 180", "1s sent CANCEL", "1.5s sent CANCEL", "2.5s sent CANCEL", "4.5s sent CANCEL",
				"8.5s sent CANCEL", "12.5s sent CANCEL", "16.5s sent CANCEL", "20.5s sent CANCEL", "24.5s sent CANCEL", "28.5s sent CANCEL",
				"32.5s sent CANCEL", "33s failed: the transaction timed out", "33s ended"},
		}, {
			name: "what is not an INVITE", method: "MESSAGE",
			steps: []string{"100ms recv 100", "200ms cancel", "300ms recv 200"},
			want:  []string{"0s sent MESSAGE", "100ms told 100", "300ms told 200", "5.3s ended"},
		},
	}, beginClient)
}

func TestClientOther(t *testing.T) {
	run(t, []scenario{
		{
			name: "no answer", method: "MESSAGE", // timers E and F
			want: []string{"0s sent MESSAGE", "500ms sent MESSAGE", "1.5s sent MESSAGE", "3.5s sent MESSAGE", "7.5s sent MESSAGE",
				"11.5s sent MESSAGE", "15.5s sent MESSAGE", "19.5s sent MESSAGE", "23.5s sent MESSAGE", "27.5s sent MESSAGE",
				"31.5s sent MESSAGE", "32s failed: the transaction timed out", "32s ended"},
		}, {
			name: "no answer on TCP", method: "MESSAGE", network: transport.TCP,
			want: []string{"0s sent MESSAGE", "32s failed: the transaction timed out", "32s ended"},
		}, {
			name: "a provisional response makes it patient", method: "MESSAGE",
			steps: []string{"600ms recv 100"},
			want: []string{"0s sent MESSAGE", "500ms sent MESSAGE", "600ms told 100", "1.5s sent MESSAGE", "5.5s sent MESSAGE",
				"9.5s sent MESSAGE", "13.5s sent MESSAGE", "17.5s sent MESSAGE", "21.5s sent MESSAGE", "25.5s sent MESSAGE",
				"29.5s sent MESSAGE", "32s failed: the transaction timed out", "32s ended"},
		}, {
			name: "answered", method: "MESSAGE", // timer K
			steps: []string{"600ms recv 200", "700ms recv 200", "5.5s recv 404", "5.7s recv 200"},
			want:  []string{"0s sent MESSAGE", "500ms sent MESSAGE", "600ms told 200", "5.6s ended", "5.7s stray 200"},
		}, {
			name: "answered on TCP", method: "MESSAGE", network: transport.TCP,
			steps: []string{"600ms recv 200", "1s recv 200"},
			want:  []string{"0s sent MESSAGE", "600ms told 200", "600ms ended", "1s stray 200"},
		}, {
			name: "a method nobody knows", method: "FROBNICATE",
			steps: []string{"100ms recv 501"},
			want:  []string{"0s sent FROBNICATE", "100ms told 501", "5.1s ended"},
		}, {
			name: "no retransmission", method: "MESSAGE", options: ClientOptions{MaxRetransmits: -1},
			want: []string{"0s sent MESSAGE", "32s failed: the transaction timed out", "32s ended"},
		}, {
			name: "one retransmission", method: "MESSAGE", options: ClientOptions{MaxRetransmits: 1},
			steps: []string{"10s recv 200"},
			want:  []string{"0s sent MESSAGE", "500ms sent MESSAGE", "10s told 200", "15s ended"},
		},
	}, beginClient)
}

// The ACK and the CANCEL have the INVITE's Request-URI, Via, Route, From, Call-ID and number; To is
// the response's or the INVITE's.
func TestDerivedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{})
		beginClient(t, w, &scenario{method: "INVITE"})
		w.step("INVITE", "recv 180")
		w.step("INVITE", "cancel")
		w.step("INVITE", "recv 487")
		for method, to := range map[string]string{"ACK": "<sip:101@example.com>;tag=t1", "CANCEL": "<sip:101@example.com>"} {
			want := string(text(method + ` sip:101@192.0.2.10 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.20:5062;branch=` + branch + `
Max-Forwards: 70
Route: <sip:192.0.2.30;lr>
From: <sip:102@example.com>;tag=f1
To: ` + to + `
Call-ID: c1@192.0.2.20
CSeq: 7 ` + method + `
Content-Length: 0

`))
			p := w.lastPacket(method)
			if p.text != want {
				t.Errorf("got:\n%s\nwant:\n%s", p.text, want)
			}
			if p.flow != w.flow {
				t.Errorf("%s went to %v, the INVITE to %v", method, p.flow, w.flow)
			}
		}
	})
}

func TestResponseMatching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{})
		beginClient(t, w, &scenario{method: "MESSAGE"})
		for name, m := range map[string]*wire.Message{
			"another branch": view(t, responseText(200, "MESSAGE", "z9hG4bK-2", "t1")),
			"another method": view(t, responseText(200, "NOTIFY", branch, "t1")),
			"its CANCEL":     view(t, responseText(200, "CANCEL", branch, "t1")),
		} {
			if w.table.Response(m, w.flow, nil) {
				t.Errorf("a response with %s was taken", name)
			}
		}
		ok := view(t, responseText(200, "MESSAGE", branch, "t1"))
		tcp := w.flow
		tcp.Network = transport.TCP
		if w.table.Response(ok, tcp, nil) {
			t.Error("a response by another transport was taken")
		}
		if n := w.count(Stray); n != 4 {
			t.Errorf("%d stray responses were counted, want 4", n)
		}
		// RFC 3261 §18.1.2: it may come from another address than the request was sent to.
		elsewhere := w.flow
		elsewhere.Remote = other
		if !w.table.Response(ok, elsewhere, nil) {
			t.Error("the response was not taken")
		}
	})
}

// TestNewClientKnown sends what its maker knows: it is not read again, unless it may be too large for
// whoever gets it.
func TestNewClientKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{})
		o := ClientOptions{Method: wire.INVITE, Branch: []byte("z9hG4bK-known")}
		unread := []byte("INVITE it is, whatever it says")
		c, err := w.table.NewClient(unread, w.flow, clientSide{w}, nil, o)
		if err != nil {
			t.Fatal(err)
		}
		same := string(o.Branch)
		copy(o.Branch, "gone") // it belongs to the caller
		if got := w.lastPacket("INVITE").text; got != string(unread) {
			t.Errorf("sent %q", got)
		}
		w.step("INVITE", "recv 180") // of another branch
		if !w.table.Response(view(t, responseText(180, "INVITE", same, "t")), w.flow, nil) {
			t.Error("a response was not taken")
		}
		if c.Abandon(); w.table.Len() != 1 {
			t.Errorf("%d transactions", w.table.Len())
		}

		o.Branch = []byte("z9hG4bK-more")
		large := func(header string) []byte {
			return bytes.Replace(requestText("INVITE", "z9hG4bK-more"), []byte("Route:"), []byte(header+"\r\nRoute:"), 1)
		}
		for name, b := range map[string][]byte{
			"many parameters": large("X: a" + strings.Repeat(";b", wire.MaxParams+1)),
			"many headers":    large("X: <sip:a?b=c" + strings.Repeat("&b=c", wire.MaxParams+1) + ">"),
			"many lines":      large("X: a" + strings.Repeat("\r\nX: a", wire.MaxHeaders)),
			"many bytes":      large("X: " + strings.Repeat("a", wire.MaxSize)),
		} {
			if _, err := w.table.NewClient(b, w.flow, nil, nil, o); err == nil {
				t.Errorf("with %s it was sent", name)
			}
		}
		fits := large("X: a" + strings.Repeat(";b", wire.MaxParams-1) + "\r\nX: a;b;c;d")
		if _, err := w.table.NewClient(fits, w.flow, nil, nil, o); err != nil {
			t.Errorf("what is not too large was not sent: %v", err)
		}
		for name, o := range map[string]ClientOptions{
			"an ACK":        {Method: wire.ACK, Branch: []byte("z9hG4bK-ack")},
			"an old branch": {Method: wire.INVITE, Branch: []byte("1")},
		} {
			if _, err := w.table.NewClient(requestText("INVITE", branch), w.flow, nil, nil, o); err == nil {
				t.Errorf("%s was sent", name)
			}
		}
		o = ClientOptions{Branch: []byte("z9hG4bK-other")} // a method that has no constant
		if _, err := w.table.NewClient(unread, w.flow, nil, nil, o); err == nil {
			t.Error("what has no known method was not read")
		}
	})
}

func TestNewClientErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{Max: 2})
		send := func(b []byte) error {
			_, err := w.table.NewClient(b, w.flow, clientSide{w}, nil, ClientOptions{})
			return err
		}
		for name, b := range map[string][]byte{
			"garbage":       []byte("hello"),
			"a response":    responseText(200, "INVITE", branch, "t"),
			"an ACK":        requestText("ACK", branch),
			"an old branch": requestText("INVITE", "1"),
		} {
			if err := send(b); err == nil {
				t.Errorf("%s was sent", name)
			}
		}
		unplugged := errors.New("unplugged")
		w.setFail(unplugged)
		if err := send(requestText("INVITE", branch)); err != unplugged {
			t.Errorf("got %v, want the transport's error", err)
		}
		w.setFail(nil)
		if n := w.table.Len(); n != 0 {
			t.Fatalf("%d transactions are left of requests that were not sent", n)
		}
		if err := send(requestText("INVITE", branch)); err != nil {
			t.Fatal(err)
		}
		if err := send(requestText("INVITE", branch)); err != ErrExists {
			t.Errorf("got %v, want ErrExists", err)
		}
		if err := send(requestText("MESSAGE", branch)); err != nil {
			t.Fatal(err)
		}
		if err := send(requestText("NOTIFY", branch)); err != ErrFull {
			t.Errorf("got %v, want ErrFull", err)
		}
		if n := w.count(Full); n != 1 {
			t.Errorf("Full was counted %d times", n)
		}
		if n := w.table.Len(); n != 2 {
			t.Errorf("%d transactions, want 2", n)
		}
		for _, line := range w.trace {
			if strings.Contains(line, "told") || strings.Contains(line, "failed") || strings.Contains(line, "ended") {
				t.Errorf("a handler was called: %s", line)
			}
		}
	})
}

// A full table must not keep calls from being cancelled.
func TestCancelWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{Max: 1})
		beginClient(t, w, &scenario{method: "INVITE"})
		w.step("INVITE", "recv 180")
		w.step("INVITE", "cancel")
		w.lastPacket("CANCEL")
	})
}

func TestTimersFollowOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{T1: 100 * time.Millisecond, T2: 400 * time.Millisecond, T4: time.Second})
		beginClient(t, w, &scenario{method: "MESSAGE"})
		time.Sleep(1200 * time.Millisecond)
		synctest.Wait()
		w.step("MESSAGE", "recv 200")
		time.Sleep(time.Minute)
		synctest.Wait()
		want := "0s sent MESSAGE 100ms sent MESSAGE 300ms sent MESSAGE 700ms sent MESSAGE 1.1s sent MESSAGE 1.2s told 200 2.2s ended"
		if got := strings.Join(w.trace, " "); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		// Timer D is at least 32 s all the same.
		w.trace = nil
		w.start = time.Now()
		beginClient(t, w, &scenario{method: "INVITE"})
		w.step("INVITE", "recv 486")
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, want := strings.Join(w.trace, " "), "0s sent INVITE 0s sent ACK 0s told 486 32s ended"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}
