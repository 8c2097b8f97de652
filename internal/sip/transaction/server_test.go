package transaction

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

func beginServer(t *testing.T, w *world, s *scenario) {
	m := view(t, requestText(s.method, branch))
	if w.table.Request(m, w.flow, nil) {
		t.Fatal("a new request is known")
	}
	tx, err := w.table.NewServer(m, w.flow, m.ResponseAddr(w.flow.Remote), []byte("tag"), serverSide{w})
	if err != nil {
		t.Fatal(err)
	}
	w.server = tx
}

func TestServerInvite(t *testing.T) {
	run(t, []scenario{
		{
			name: "nothing is sent that nobody asked for", method: "INVITE", left: 1,
			steps: []string{"500ms recv INVITE", "1.5s recv INVITE"},
		}, {
			name: "the provisional response is repeated", method: "INVITE", left: 1,
			steps: []string{"0s respond 100", "500ms recv INVITE", "600ms respond 180", "1s recv INVITE"},
			want:  []string{"0s sent 100", "500ms sent 100", "600ms sent 180", "1s sent 180"},
		}, {
			name: "failure without an ACK", method: "INVITE", // timers G and H
			steps: []string{"1s respond 486"},
			want: []string{"1s sent 486", "1.5s sent 486", "2.5s sent 486", "4.5s sent 486", "8.5s sent 486", "12.5s sent 486",
				"16.5s sent 486", "20.5s sent 486", "24.5s sent 486", "28.5s sent 486", "32.5s sent 486", "33s ended: the transaction timed out"},
		}, {
			name: "failure on TCP without an ACK", method: "INVITE", network: transport.TCP,
			steps: []string{"1s respond 486"},
			want:  []string{"1s sent 486", "33s ended: the transaction timed out"},
		}, {
			name: "failure", method: "INVITE", // timer I
			steps: []string{"0s respond 486", "100ms recv INVITE", "700ms recv ACK", "800ms recv ACK", "1s recv INVITE", "5.6s recv ACK", "5.8s recv ACK"},
			want:  []string{"0s sent 486", "100ms sent 486", "500ms sent 486", "5.7s ended", "5.8s new ACK"},
		}, {
			name: "failure on TCP", method: "INVITE", network: transport.TCP,
			steps: []string{"0s respond 486", "700ms recv ACK", "1s recv ACK"},
			want:  []string{"0s sent 486", "700ms ended", "1s new ACK"},
		}, {
			name: "2xx is repeated by who made it", method: "INVITE", // timer L
			steps: []string{"0s respond 180", "1s respond 200", "1.2s recv INVITE", "1.5s respond 200", "2s respond 202", "3s recv ACK", "33.1s respond 200"},
			want: []string{"0s sent 180", "1s sent 200", "1.5s sent 200", "2s sent 202", "3s new ACK", "33s ended",
				"33.1s refused: the transaction has sent a final response or has ended"},
		}, {
			name: "2xx on TCP", method: "INVITE", network: transport.TCP,
			steps: []string{"1s respond 200", "2s recv ACK"},
			want:  []string{"1s sent 200", "2s new ACK", "33s ended"},
		}, {
			name: "nothing follows a failure", method: "INVITE",
			steps: []string{"0s respond 487", "100ms respond 200", "200ms respond 180", "300ms respond 486", "400ms recv INVITE", "600ms recv ACK", "700ms respond 200"},
			want: []string{"0s sent 487", "100ms refused: the transaction has sent a final response or has ended",
				"200ms refused: the transaction has sent a final response or has ended",
				"300ms refused: the transaction has sent a final response or has ended",
				"400ms sent 487", "500ms sent 487", "700ms refused: the transaction has sent a final response or has ended", "5.6s ended"},
		}, {
			name: "2xx only follows a 2xx", method: "INVITE",
			steps: []string{"0s respond 200", "100ms respond 486", "200ms respond 180", "300ms recv INVITE"},
			want: []string{"0s sent 200", "100ms refused: the transaction has sent a final response or has ended",
				"200ms refused: the transaction has sent a final response or has ended", "32s ended"},
		}, {
			name: "an ACK before any final response", method: "INVITE",
			steps: []string{"0s respond 180", "100ms recv ACK", "200ms respond 486", "300ms recv ACK"},
			want:  []string{"0s sent 180", "200ms sent 486", "5.3s ended"},
		}, {
			name: "the network breaks", method: "INVITE",
			steps: []string{"0s fail", "100ms respond 180", "1s respond 200"},
			want: []string{"100ms lost 180", "100ms refused: unplugged", "110ms ended: unplugged",
				"1s refused: the transaction has sent a final response or has ended"},
		}, {
			name: "the network breaks between retransmissions", method: "INVITE",
			steps: []string{"0s respond 486", "100ms fail"},
			want:  []string{"0s sent 486", "500ms lost 486", "500ms ended: unplugged"},
		}, {
			name: "the network breaks after a 2xx", method: "INVITE",
			steps: []string{"0s respond 200", "100ms fail", "500ms respond 200", "600ms works", "1s respond 200"},
			want:  []string{"0s sent 200", "500ms lost 200", "500ms refused: unplugged", "1s sent 200", "32s ended"},
		}, {
			name: "terminated", method: "INVITE",
			steps: []string{"0s respond 180", "1s terminate", "2s recv INVITE"},
			want:  []string{"0s sent 180", "1.01s ended", "2s new INVITE"},
		},
	}, beginServer)
}

func TestServerCancel(t *testing.T) {
	run(t, []scenario{
		{
			name: "while it rings", method: "INVITE",
			steps: []string{"0s respond 180", "1s recv CANCEL", "1.5s recv CANCEL", "2s respond 487", "2.1s recv CANCEL", "2.2s recv ACK", "2.3s recv CANCEL"},
			want: []string{"0s sent 180", "1s sent 200 for CANCEL", "1s told CANCEL", "1.5s sent 200 for CANCEL", "2s sent 487",
				"2.1s sent 200 for CANCEL", "2.3s sent 200 for CANCEL", "7.2s ended"},
		}, {
			name: "it is only told, so a 2xx may still win", method: "INVITE",
			steps: []string{"0s recv CANCEL", "100ms respond 200"},
			want:  []string{"0s sent 200 for CANCEL", "0s told CANCEL", "100ms sent 200", "32.1s ended"},
		}, {
			name: "after the answer", method: "INVITE",
			steps: []string{"0s respond 200", "1s recv CANCEL"},
			want:  []string{"0s sent 200", "1s sent 200 for CANCEL", "32s ended"},
		}, {
			name: "of what is not an INVITE", method: "MESSAGE",
			steps: []string{"0s recv CANCEL", "100ms respond 200"},
			want:  []string{"0s new CANCEL", "100ms sent 200", "32.1s ended"},
		}, {
			name: "on TCP", method: "INVITE", network: transport.TCP,
			steps: []string{"0s recv CANCEL", "100ms respond 487", "200ms recv ACK"},
			want:  []string{"0s sent 200 for CANCEL", "0s told CANCEL", "100ms sent 487", "200ms ended"},
		},
	}, beginServer)
}

func TestServerOther(t *testing.T) {
	run(t, []scenario{
		{
			name: "answered", method: "MESSAGE", // timer J
			steps: []string{"100ms recv MESSAGE", "200ms respond 100", "500ms recv MESSAGE", "1s respond 200", "1.5s recv MESSAGE", "2s respond 404",
				"3s respond 100", "32.9s recv MESSAGE", "33.1s recv MESSAGE"},
			want: []string{"200ms sent 100", "500ms sent 100", "1s sent 200", "1.5s sent 200",
				"2s refused: the transaction has sent a final response or has ended",
				"3s refused: the transaction has sent a final response or has ended", "32.9s sent 200", "33s ended", "33.1s new MESSAGE"},
		}, {
			name: "answered on TCP", method: "MESSAGE", network: transport.TCP,
			steps: []string{"1s respond 200", "1.1s recv MESSAGE"},
			want:  []string{"1s sent 200", "1s ended", "1.1s new MESSAGE"},
		}, {
			name: "never answered", method: "MESSAGE",
			steps: []string{"200ms respond 100"},
			want:  []string{"200ms sent 100", "32s ended: the transaction timed out"},
		}, {
			name: "a method nobody knows", method: "FROBNICATE",
			steps: []string{"0s respond 501", "500ms recv FROBNICATE", "600ms recv MESSAGE", "700ms recv BARNICATE"},
			want:  []string{"0s sent 501", "500ms sent 501", "600ms new MESSAGE", "700ms new BARNICATE", "32s ended"},
		},
	}, beginServer)
}

// Responses go where the Via says, also for a retransmission that comes from somewhere else.
func TestServerDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{})
		w.flow.Remote = netip.MustParseAddrPort("192.0.2.20:40000")
		w.flow.Local = netip.MustParseAddrPort("192.0.2.10:5060")
		beginServer(t, w, &scenario{method: "INVITE"})
		check := func(what string) {
			t.Helper()
			p := w.lastPacket("SIP/2.0")
			if want := netip.MustParseAddrPort("192.0.2.20:5062"); p.flow.Remote != want || p.flow.Local != w.flow.Local {
				t.Errorf("%s went from %v to %v, want %v to %v", what, p.flow.Local, p.flow.Remote, w.flow.Local, want)
			}
		}
		w.step("INVITE", "respond 180")
		check("the response")
		elsewhere := w.flow
		elsewhere.Remote = other
		if !w.table.Request(view(t, requestText("INVITE", branch)), elsewhere, nil) {
			t.Fatal("the retransmission is new")
		}
		check("the retransmission")
		w.step("INVITE", "recv CANCEL")
		check("the 200 to the CANCEL")
		if got := w.lastPacket("SIP/2.0 200 OK").text; !strings.Contains(got, "\r\nTo: <sip:101@example.com>;tag=tag\r\n") ||
			!strings.Contains(got, "CSeq: 7 CANCEL") {
			t.Errorf("the 200 to the CANCEL is\n%s", got)
		}
	})
}

// TestSpoofedCancel: a CANCEL counts only where it comes from where its INVITE came from. The port
// is a part of that when the INVITE has rport.
func TestSpoofedCancel(t *testing.T) {
	for name, test := range map[string]struct {
		network transport.Network
		rport   string
		port    bool // a CANCEL from another port counts
	}{
		"UDP":               {transport.UDP, "", true},
		"UDP with rport":    {transport.UDP, ";rport", false},
		"TCP":               {transport.TCP, "", false},
		"TCP with rport":    {transport.TCP, ";rport", false},
		"UDP, rport with =": {transport.UDP, ";RPort=", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, test.network, Options{})
				if test.network.Reliable() {
					w.flow.Conn = new(transport.Conn)
				}
				m := view(t, requestText("INVITE", branch+test.rport))
				if _, err := w.table.NewServer(m, w.flow, m.ResponseAddr(w.flow.Remote), []byte("tag"), serverSide{w}); err != nil {
					t.Fatal(err)
				}
				// What the CANCEL itself says of rport changes nothing.
				cancel := view(t, requestText("CANCEL", branch))
				flows := map[string]transport.Flow{}
				f := w.flow
				f.Remote = other
				flows["another address"] = f
				f = w.flow
				f.Conn = new(transport.Conn)
				flows["another connection"] = f
				f = w.flow
				f.Network = transport.TLS
				flows["another transport"] = f
				f = w.flow
				f.Remote = netip.AddrPortFrom(f.Remote.Addr(), 1024)
				if !test.port {
					flows["another port"] = f
				}
				for name, f := range flows {
					if w.table.Request(cancel, f, nil) {
						t.Errorf("a CANCEL from %s was taken", name)
					}
				}
				if len(w.trace) > 0 {
					t.Errorf("they led to %q", w.trace)
				}
				if n := w.count(Spoofed); n != len(flows) {
					t.Errorf("%d were counted, want %d", n, len(flows))
				}
				if test.port && !w.table.Request(cancel, f, nil) {
					t.Error("a CANCEL from another port was refused")
				}
				if !w.table.Request(cancel, w.flow, nil) {
					t.Error("the caller's own CANCEL was refused")
				}
			})
		})
	}
}

func TestServerMatching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{})
		beginServer(t, w, &scenario{method: "INVITE"})
		for name, change := range map[string][2]string{
			"another branch":       {branch, branch + "0"},
			"another sent-by host": {"UDP 192.0.2.20", "UDP 192.0.2.21"},
			"another sent-by port": {":5062;", ":5063;"},
			"no sent-by port":      {":5062;", ";"},
			"another method":       {"INVITE", "MESSAGE"},
			"no branch":            {";branch=" + branch, ""},
		} {
			b := []byte(strings.ReplaceAll(string(requestText("INVITE", branch)), change[0], change[1]))
			if w.table.Request(view(t, b), w.flow, nil) {
				t.Errorf("a request with %s was taken for a retransmission", name)
			}
		}
		m := view(t, requestText("INVITE", branch))
		if !w.table.Request(m, w.flow, nil) {
			t.Error("the retransmission was not recognised")
		}
		if n := w.count(Absorbed); n != 1 {
			t.Errorf("Absorbed was counted %d times", n)
		}
		if _, err := w.table.NewServer(m, w.flow, w.flow.Remote, nil, nil); err != ErrExists {
			t.Errorf("got %v, want ErrExists", err)
		}
		for _, method := range []string{"ACK", "CANCEL"} {
			if _, err := w.table.NewServer(view(t, requestText(method, "z9hG4bK-9")), w.flow, w.flow.Remote, nil, nil); err == nil {
				t.Errorf("%s has got a server transaction", method)
			}
		}
		// A response with the same branch finds no server transaction, nor a request a client
		// transaction.
		if w.table.Response(view(t, responseText(200, "INVITE", branch, "t")), w.flow, nil) {
			t.Error("a response was given to a server transaction")
		}
		w.client, _ = w.table.NewClient(requestText("NOTIFY", branch), w.flow, nil, nil, ClientOptions{})
		if w.table.Request(view(t, requestText("NOTIFY", branch)), w.flow, nil) {
			t.Error("a request was given to a client transaction")
		}
	})
}

// A client of RFC 2543 says by the whole of its request which transaction it means.
func TestRFC2543(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{})
		old := func(method string, change ...string) *wire.Message {
			s := strings.ReplaceAll(string(requestText(method, branch)), ";branch="+branch, "")
			return view(t, []byte(strings.NewReplacer(change...).Replace(s)))
		}
		var err error
		if w.server, err = w.table.NewServer(old("INVITE"), w.flow, w.flow.Remote, nil, serverSide{w}); err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string][2]string{
			"Request-URI": {"sip:101@192", "sip:109@192"},
			"From tag":    {"tag=f1", "tag=f2"},
			"Call-ID":     {"c1@", "c2@"},
			"CSeq":        {"CSeq: 7", "CSeq: 8"},
			"Via":         {"UDP 192.0.2.20:5062", "UDP 192.0.2.20"},
			"method":      {"INVITE", "OPTIONS"},
		} {
			if w.table.Request(old("INVITE", change[:]...), w.flow, nil) {
				t.Errorf("a request with another %s was taken for a retransmission", name)
			}
		}
		if !w.table.Request(old("INVITE"), w.flow, nil) {
			t.Error("the retransmission was not recognised")
		}
		if !w.table.Request(old("CANCEL"), w.flow, nil) {
			t.Error("the CANCEL was not recognised")
		}
		w.step("INVITE", "respond 486")
		const to = "To: <sip:101@example.com>"
		if w.table.Request(old("ACK", to, to+";tag=t2"), w.flow, nil) {
			t.Error("an ACK to another response was absorbed")
		}
		if !w.table.Request(old("ACK", to, to+";tag=t1"), w.flow, nil) {
			t.Error("the ACK was not recognised")
		}
	})
}

// listener is a handler with a name.
type listener struct {
	name string
	told *[]string
}

func (l *listener) OnCancel(*Server, *transport.Outbox) { *l.told = append(*l.told, l.name) }

func (l *listener) OnTerminated(*Server, error) { *l.told = append(*l.told, l.name) }

// TestForget has some of those who are told of a transaction lose interest: the others are told.
func TestForget(t *testing.T) {
	for leave, want := range map[string]string{
		"": "a b c a b c", "a": "b c b c", "b": "a c a c", "c": "a b a b", "ab": "c c", "bc": "a a", "ca": "b b", "abc": "", "x": "a b c a b c",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, transport.UDP, Options{})
			var told []string
			all := map[rune]*listener{}
			for _, name := range "abcx" {
				all[name] = &listener{string(name), &told}
			}
			s, err := w.table.NewServer(view(t, requestText("INVITE", branch)), w.flow, peer, nil, all['a'])
			if err != nil {
				t.Fatal(err)
			}
			if !s.Tell(all['b']) || !s.Tell(all['c']) {
				t.Fatal("they are not told")
			}
			for _, name := range leave {
				s.Forget(all[name])
			}
			w.step("INVITE", "recv CANCEL")
			s.Terminate()
			time.Sleep(time.Second)
			synctest.Wait()
			if got := strings.Join(told, " "); got != want {
				t.Errorf("without %q: told %q, want %q", leave, got, want)
			}
		})
	}
}
