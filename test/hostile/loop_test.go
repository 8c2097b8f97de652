package hostile

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// final sends a request, and returns its final response and how many datagrams the server has sent
// until then.
func final(t *testing.T, s *handlertest.Server, p *phone, method, uri string, headers ...string) (res handlertest.Message, sent int) {
	t.Helper()
	count := func() float64 { return s.Metric("caddy_sip_packets_total", "transport=udp", "direction=sent") }
	before := count()
	p.request(method, uri, headers...)
	for res = p.Receive(); res.Line() == "SIP/2.0 100 Trying"; res = p.Receive() {
	}
	if method == "INVITE" {
		p.again("ACK", uri, "To: "+res.Header("To"))
	}
	p.Nothing()
	return res, int(count() - before)
}

// ring registers users whose contacts are the next two users, with the given q values; the first
// follows the last.
func ring(t *testing.T, s *handlertest.Server, users int, q [2]string) {
	t.Helper()
	p := udp(t, s, "")
	for i := range users {
		p.user = fmt.Sprint("r", i)
		var contacts []string
		for n, v := range q {
			contacts = append(contacts, fmt.Sprintf("<%s>;q=%s", s.URI(fmt.Sprint("r", (i+n+1)%users)), v))
		}
		p.request("REGISTER", "sip:"+s.Addr.Addr().String(), fmt.Sprintf("To: <%s>", s.URI(p.user)), "Expires: 600",
			"Contact: "+contacts[0]+", "+contacts[1])
		p.Expect("SIP/2.0 200")
	}
}

// TestForkingLoop forwards calls in a circle of users, each to two others: the number of requests
// stays small (RFC 5393).
func TestForkingLoop(t *testing.T) {
	const users = 60
	s := handlertest.Start(t, "hostile_slow_timers\nregister {\nmax_contacts 2\n}\nproxy")
	alice := udp(t, s, "alice")
	for _, test := range []struct {
		name    string
		q       [2]string
		headers []string
		// Datagrams for an OPTIONS, with those that end this test and the one before, which may be
		// counted late.
		most int
	}{
		{"at once", [2]string{"1", "1"}, nil, 130},
		{"one after the other", [2]string{"1", "0.5"}, nil, 130},
		{"at once, a generous caller", [2]string{"1", "1"}, []string{"Max-Breadth: 1000000000"}, 130},
		{"one after the other, a generous caller", [2]string{"1", "0.5"}, []string{"Max-Breadth: 99999999999999999999"}, 130},
		{"at once, nothing left", [2]string{"1", "1"}, []string{"Max-Breadth: -5"}, 3},
		{"one after the other, nothing left", [2]string{"1", "0.5"}, []string{"Max-Breadth: 0"}, 3},
		{"at once, far to go", [2]string{"1", "1"}, []string{"Max-Forwards: 255"}, 130},
		{"one after the other, far to go", [2]string{"1", "0.5"}, []string{"Max-Forwards: 255"}, 130},
	} {
		ring(t, s, users, test.q)
		for _, method := range []string{"INVITE", "OPTIONS"} {
			t.Run(test.name+" "+method, func(t *testing.T) {
				res, n := final(t, s, alice, method, s.URI("r0"), test.headers...)
				most := test.most
				if method == "INVITE" {
					most *= 2 // each has a 100 and an ACK as well
				}
				t.Logf("%d datagrams, and in the end %s", n, res.Line())
				if n > most {
					t.Errorf("%d datagrams, want at most %d", n, most)
				}
				if line := res.Line(); line != "SIP/2.0 482 Loop Detected" && line != "SIP/2.0 440 Max-Breadth Exceeded" && line != "SIP/2.0 483 Too Many Hops" {
					t.Errorf("in the end it is %s", line)
				}
			})
		}
	}
}

// TestForkingLoopEnds: no transaction is left after the loop.
func TestForkingLoopEnds(t *testing.T) {
	s := handlertest.Start(t, "hostile_fast_timers\nregister\nproxy")
	alice := udp(t, s, "alice")
	ring(t, s, 10, [2]string{"1", "1"})
	alice.request("OPTIONS", s.URI("r0"))
	alice.Expect("SIP/2.0 4")
	nothingLeft(t, s)
}

// otherProxy is set for a process that is the other proxy: where it listens, and where it relays
// everything to.
const otherProxy = "HOSTILE_OTHER_PROXY"

// TestLoopOfTwoProxies has two servers, each a process, that relay everything to each other: it
// ends with 482 or 483, after few messages.
func TestLoopOfTwoProxies(t *testing.T) {
	const directives = "hostile_slow_timers\n@relayed not from_user probe\nproxy @relayed sip:%s%s\nrespond 404"
	if v := os.Getenv(otherProxy); v != "" {
		var listen, to, transport string
		if _, err := fmt.Sscan(v, &listen, &to, &transport); err != nil {
			t.Fatal(err)
		}
		handlertest.StartOn(t, netip.MustParseAddrPort(listen), fmt.Sprintf(directives, to, transport))
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin) // until the other process ends
		return
	}
	for _, transport := range []string{";transport=udp", ";transport=tcp"} {
		t.Run(transport[1:], func(t *testing.T) {
			there := handlertest.FreeAddr(t)
			here := handlertest.FreeAddr(t)
			other := exec.Command(os.Args[0], "-test.run=^TestLoopOfTwoProxies$")
			other.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", otherProxy, there, here, transport))
			other.Stderr = os.Stderr
			in, err := other.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := other.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := other.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				in.Close()
				_, _ = io.Copy(io.Discard, out)
				if err := other.Wait(); err != nil {
					t.Errorf("the other process: %v", err)
				}
			}()
			if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
				t.Fatalf("the other process says %q, %v", line, err)
			}
			s := handlertest.StartOn(t, here, fmt.Sprintf(directives, there, transport))
			alice := udp(t, s, "alice")
			count := func() float64 { return s.Metric("caddy_sip_packets_total", "direction=received") }
			for _, test := range []struct{ method, header, want string }{
				{"INVITE", "Subject: x", "SIP/2.0 482 Loop Detected"},
				{"OPTIONS", "Subject: x", "SIP/2.0 482 Loop Detected"},
				{"INVITE", "Max-Forwards: 2", "SIP/2.0 483 Too Many Hops"},
				{"MESSAGE", "Max-Forwards: 1", "SIP/2.0 483 Too Many Hops"},
				{"MESSAGE", "Max-Forwards: 255", "SIP/2.0 482 Loop Detected"},
			} {
				before := count()
				res, _ := final(t, s, alice, test.method, s.URI("bob"), test.header)
				if res.Line() != test.want {
					t.Errorf("%s with %s ends with\n%s", test.method, test.header, res.Text)
				}
				if n := count() - before; n > 25 {
					t.Errorf("%s with %s: one of the two has received %v messages", test.method, test.header, n)
				}
			}
		})
	}
}
