package module_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	_ "github.com/caddysip/caddysip"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/test/simnet"
	"github.com/caddysip/caddysip/test/simtest"
	"github.com/caddysip/caddysip/wire"
)

// behindNAT is a phone in virtual time.
type behindNAT struct {
	*simnet.UDPConn
	t      *testing.T
	server netip.AddrPort
	user   string
	cseq   int
}

func newBehindNAT(t *testing.T, n *simnet.Net, s *simtest.Server, i int) *behindNAT {
	t.Helper()
	addr := netip.MustParseAddrPort(fmt.Sprintf("192.0.2.%d:5060", 20+i))
	c, err := n.Host(addr.Addr().String()).ListenUDP(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	p := &behindNAT{UDPConn: c, t: t, server: s.Addr, user: fmt.Sprint(100 + i)}
	p.register()
	return p
}

func (p *behindNAT) send(text string) {
	p.t.Helper()
	if err := p.WriteDatagram([]byte(strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")),
		p.server, netip.AddrPort{}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *behindNAT) request(method string) {
	p.t.Helper()
	p.cseq++
	p.send(fmt.Sprintf("%s sip:192.0.2.10 SIP/2.0\nVia: SIP/2.0/UDP phone;branch=z9hG4bK%s-%d;rport\n"+
		"From: <sip:%[2]s@192.0.2.10>;tag=1\n"+
		"To: <sip:%[2]s@192.0.2.10>\nCall-ID: %[2]s\nCSeq: %[3]d %[1]s\nMax-Forwards: 70\n"+
		"Contact: <sip:%[2]s@10.0.0.9>\nExpires: 3600\n\n",
		method, p.user, p.cseq))
}

func (p *behindNAT) register() {
	p.t.Helper()
	p.request("REGISTER")
	if got := p.receive(time.Second); !strings.HasPrefix(got, "SIP/2.0 200") {
		p.t.Fatalf("got %q", got)
	}
}

// receive returns the next datagram, empty if none comes within d.
func (p *behindNAT) receive(d time.Duration) string {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(d))
	buf := make([]byte, 1<<16)
	n, _, from, err := p.ReadDatagram(buf)
	_ = from
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatal(err)
	}
	return string(buf[:n])
}

// count returns how many datagrams come within d, all of which must begin like that.
func (p *behindNAT) count(start string, d time.Duration) (n int) {
	p.t.Helper()
	for end := time.Now().Add(d); ; n++ {
		got := p.receive(time.Until(end))
		if got == "" {
			return n
		}
		if !strings.HasPrefix(got, start) {
			p.t.Fatalf("got %q", got)
		}
	}
}

// inOffice runs f with a server that has these directives.
func inOffice(t *testing.T, directives string, f func(t *testing.T, n *simnet.Net, s *simtest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		f(t, n, simtest.Start(t, n.Host("192.0.2.10"), directives+"\nregister"))
	})
}

func registrations(s *simtest.Server) int {
	_, n := inside.AppOf(s.App()).Location().Len()
	return n
}

// TestKeepAlive checks that phones get keep-alives, each in its turn.
func TestKeepAlive(t *testing.T) {
	inOffice(t, "keepalive 25s", func(t *testing.T, n *simnet.Net, s *simtest.Server) {
		var phones []*behindNAT
		for i := range 16 {
			phones = append(phones, newBehindNAT(t, n, s, i))
		}
		time.Sleep(time.Second)
		var mu sync.Mutex
		at := make(map[int64]int) // how many packets the server has sent, by second
		n.Tap(func(p simnet.Packet) {
			mu.Lock()
			defer mu.Unlock()
			if p.From == s.Addr {
				at[p.At.Unix()]++
			}
		})
		for _, p := range phones {
			if p.receive(51*time.Second) != "\r\n\r\n" {
				t.Error("nothing comes")
			}
		}
		mu.Lock()
		if len(at) < 3 {
			t.Errorf("they are not spread: %v", at)
		}
		mu.Unlock()
		time.Sleep(5 * time.Minute)
		for i, p := range phones {
			for p.receive(time.Nanosecond) != "" { // what has come meanwhile
			}
			if got := p.count("\r\n\r\n", 250*time.Second); i == 0 && got != 10 {
				t.Errorf("%d come in ten intervals", got)
			}
		}
	})
}

// TestKeepAliveNotNeeded checks that phones that keep their NATs open themselves, in whatever way,
// get none.
func TestKeepAliveNotNeeded(t *testing.T) {
	for name, keep := range map[string]func(p *behindNAT){
		"CRLF":    func(p *behindNAT) { p.send("\n") },
		"NUL":     func(p *behindNAT) { p.send("\x00\x00\x00\x00") },
		"OPTIONS": func(p *behindNAT) { p.request("OPTIONS") },
		"NOTIFY":  func(p *behindNAT) { p.request("NOTIFY") },
		"refresh": func(p *behindNAT) { p.request("REGISTER") },
	} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, "keepalive 30s", func(t *testing.T, n *simnet.Net, s *simtest.Server) {
				p := newBehindNAT(t, n, s, 0)
				for range 20 {
					keep(p)
					p.count("SIP/2.0 ", 25*time.Second)
				}
				p.count("", 3*time.Minute) // it keeps it open no more
				if got := p.count("\r\n\r\n", time.Minute); got != 2 {
					t.Errorf("then %d come in two intervals", got)
				}
			})
		})
	}
}

// TestKeepAliveOff checks that nothing is sent by default.
func TestKeepAliveOff(t *testing.T) {
	inOffice(t, "", func(t *testing.T, n *simnet.Net, s *simtest.Server) {
		if got := newBehindNAT(t, n, s, 0).count("", 10*time.Minute); got != 0 {
			t.Errorf("%d come", got)
		}
	})
}

// TestKeepAliveOptions has phones that always answer, whatever they answer, that answer now and
// then, and that never do.
func TestKeepAliveOptions(t *testing.T) {
	for _, tc := range []struct {
		name    string
		answers func(i int) int // the status that the phone gives the i-th OPTIONS; 0: none
		stays   bool
	}{
		{"200", func(int) int { return 200 }, true},
		{"405", func(int) int { return 405 }, true},
		{"now and then", func(i int) int { return 200 * (max(i%3-1, 0)) }, true},
		{"no more", func(i int) int { return 200 * max(3-i, 0) / max(3-i, 1) }, false},
		{"never", func(int) int { return 0 }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inOffice(t, "keepalive 60s options", func(t *testing.T, n *simnet.Net, s *simtest.Server) {
				p := newBehindNAT(t, n, s, 0)
				last := ""
				i := 0
				for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); {
					got := p.receive(time.Until(end))
					if got == "" {
						break
					}
					var m wire.Message
					if err := m.Parse([]byte(got)); err != nil || m.Method != wire.OPTIONS ||
						string(m.RequestURI()) != "sip:100@10.0.0.9" {
						t.Fatalf("%v, got\n%s", err, got)
					}
					if id := string(m.Header(wire.CallID)); id != last {
						last = id
						i++
					}
					if status := tc.answers(i - 1); status != 0 {
						p.send(string(m.AppendResponse(nil, status, "x", p.server,
							&wire.ResponseOptions{ToTag: []byte("p")})))
					}
				}
				if n := registrations(s); n != 1 == tc.stays {
					t.Errorf("%d registrations after %d OPTIONS", n, i)
				}
				if tc.stays && (i < 9 || i > 10) {
					t.Errorf("%d OPTIONS in ten minutes", i)
				}
				if tc.name == "never" && i != 3 {
					t.Errorf("gone after %d OPTIONS", i)
				}
				if !tc.stays { // it comes back
					p.register()
					if n := registrations(s); n != 1 {
						t.Errorf("%d registrations", n)
					}
				}
			})
		})
	}
}
