package proxy

import (
	"context"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
	"golang.org/x/sys/unix"

	_ "github.com/caddysip/caddysip/handler/digestauth"
	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/digest"
)

func init() { caddy.RegisterModule(new(provider)) }

// provider knows carol, and counts as one that blocks.
type provider struct{ trust }

func (*provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.authentication.providers.test_provider", New: func() caddy.Module { return new(provider) }}
}

func (*provider) HA1(_ context.Context, user, realm, algorithm string) (string, error) {
	if user != "carol" {
		return "", nil
	}
	return digest.HA1(digest.ParseAlgorithm(algorithm), user, realm, "secret of carol"), nil
}

// hole listens on another loopback address for TCP, and no handshake with it ends: its backlog is
// full.
func hole(t *testing.T) (addr netip.AddrPort, end func()) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	fds := []int{fd}
	end = func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
		fds = nil
	}
	t.Cleanup(func() { end() })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 9}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
		_ = unix.Connect(fd, sa)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 9}), uint16(sa.(*unix.SockaddrInet4).Port)), end
}

var nonce = regexp.MustCompile(`realm="([^"]*)".*nonce="([^"]*)"`)

// authenticate registers carol, who is known to a provider that may block.
func authenticate(t *testing.T, s *handlertest.Server) {
	t.Helper()
	carol := udp(t, s, "carol")
	uri, to := "sip:127.0.0.1", "To: <sip:carol@127.0.0.1>"
	carol.request("REGISTER", uri, to)
	challenge := nonce.FindStringSubmatch(carol.Expect("SIP/2.0 401").Header("WWW-Authenticate"))
	hash := func(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }
	response := hash(hash("carol:"+challenge[1]+":secret of carol") + ":" + challenge[2] + ":00000001:c:auth:" + hash("REGISTER:"+uri))
	carol.request("REGISTER", uri, to, fmt.Sprintf(`Authorization: Digest username="carol", realm="%s", nonce="%s", uri="%s", response="%s", `+
		`algorithm=MD5, qop=auth, nc=00000001, cnonce="c"`, challenge[1], challenge[2], uri, response))
	carol.Expect("SIP/2.0 200")
}

// TestWaiting has one user send a thousand requests to where no connection can be made. He is told
// so; all others are served as if nothing was.
func TestWaiting(t *testing.T) {
	const requests, waiting = 1100, 64
	addr := handlertest.FreeAddr(t)
	file := filepath.Join(t.TempDir(), "log")
	s := handlertest.StartCaddyfile(t, addr, fmt.Sprintf(`{
	admin off
	log {
		output file %s
		format json
	}
	sip {
		%s {
			test_calm
			@register method REGISTER
			digest_auth @register {
				algorithm MD5
				provider test_provider
			}
			register
			test_trust
			proxy {
				allow_private
			}
		}
	}
}`, file, addr))
	d := startDNS(t, "svc A 127.0.0.1\n")
	setResolver(t, d.Dial)
	s.Restart()
	alice, bob, callee := udp(t, s, "alice"), udp(t, s, "bob"), udp(t, s, "callee")
	bob.Nothing()
	dead, end := hole(t)
	used := func() int64 { return inside.AppOf(s.App()).Engine.Budget.Used(budget.Waiting) }
	goroutines, began := runtime.NumGoroutine(), time.Now()
	send := func(i int) {
		alice.request("MESSAGE", fmt.Sprintf("sip:x%d@%s;transport=tcp", i, dead), "X-User: alice", fmt.Sprint("Call-ID: dead-", i))
	}
	for i := range waiting {
		send(i)
	}
	for i := waiting; i < requests; i++ {
		send(i)
		m := alice.Expect("SIP/2.0 503 Service Unavailable\r\n")
		same(t, "Call-ID", m.Header("Call-ID"), fmt.Sprint("dead-", i))
		same(t, "Retry-After", m.Header("Retry-After"), "5")
	}
	took := time.Since(began)
	if n := runtime.NumGoroutine() - goroutines; n > 10 {
		t.Errorf("%d goroutines for %d requests", n, requests)
	}
	if n := used(); n < waiting*500 || n > waiting*5000 {
		t.Errorf("those who wait take %d bytes", n)
	}

	// Meanwhile another user calls by TCP, and to a name; and somebody authenticates.
	l, err := net.Listen("tcp", "127.0.0.8:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	bob.request("MESSAGE", "sip:y@"+l.Addr().String()+";transport=tcp", "X-User: bob", "Call-ID: tcp")
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	buf := make([]byte, 5000)
	if n, err := nc.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "MESSAGE sip:y@127.0.0.8") {
		t.Errorf("by TCP comes %q, %v", buf[:n], err)
	}
	bob.request("MESSAGE", "sip:z@svc.example:"+port(callee), "X-User: bob", "Call-ID: name")
	callee.Answer(callee.Expect("MESSAGE sip:z@svc.example"), "200 OK", "c")
	bob.Expect("SIP/2.0 200")
	authenticate(t, s)
	bob.request("MESSAGE", fmt.Sprintf("sip:x@%s;transport=tcp", dead), "X-User: bob", "Call-ID: waits")
	bob.Nothing() // he waits as well

	// When the dial ends, all who have waited are told, and nothing is left.
	end()
	for range waiting {
		alice.Expect("SIP/2.0 500")
	}
	bob.Expect("SIP/2.0 500")
	nc.Close()
	alice.Nothing()
	same(t, "bytes", used(), 0)

	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines, told := 0, 0
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, "too much is waiting") {
			continue
		}
		var entry struct {
			Suppressed int
			Pool, User string
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.User != "alice" || entry.Pool != "connections" {
			t.Errorf("%s: %v", line, err)
		}
		lines++
		told += 1 + entry.Suppressed
	}
	if lines == 0 || lines > int(took.Seconds())+1 || told > requests-waiting {
		t.Errorf("%d lines in the log in %s, for %d requests", lines, took, told)
	}
}

// TestWaitingNames has one user ask for more names than may be looked up for a user. Another one's
// name is found, and what is asked for by many is looked up once.
func TestWaitingNames(t *testing.T) {
	d := startDNS(t, "svc A 127.0.0.1\n")
	answer := gate(t, d)
	s := start(t, "test_trust\nproxy {\nallow_private\n}")
	alice, bob, callee := udp(t, s, "alice"), udp(t, s, "bob"), udp(t, s, "callee")
	ask := func(p *phone, host, id string) {
		p.request("MESSAGE", "sip:x@"+host+":"+port(callee), "X-User: "+p.user, "Call-ID: "+id)
	}
	for i := range userLookups {
		ask(alice, fmt.Sprintf("slow%d.example", i), fmt.Sprint("slow-", i))
	}
	alice.Nothing()
	ask(alice, "more.example", "more")
	same(t, "Retry-After", alice.Expect("SIP/2.0 503").Header("Retry-After"), "5")
	for i := range 5 {
		ask(bob, "svc.example", fmt.Sprint("bob-", i))
	}
	bob.Nothing()
	close(answer)
	for range 5 {
		callee.Answer(callee.Expect("MESSAGE"), "200 OK", "c")
		bob.Expect("SIP/2.0 200")
	}
	for range userLookups {
		alice.Expect("SIP/2.0 500")
	}
	ask(bob, "svc.example", "bob-again")
	callee.Answer(callee.Expect("MESSAGE"), "200 OK", "c")
	bob.Expect("SIP/2.0 200")
	same(t, "bytes", inside.AppOf(s.App()).Engine.Budget.Used(budget.Waiting), 0)
	asked := 0
	for len(d.asked) > 0 {
		if q := <-d.asked; strings.HasPrefix(q, "A svc.") {
			asked++
		}
	}
	same(t, "how often the name was asked for", asked, 1)
}

// TestACKWaits has an ACK, which has no transaction, wait for a name while others come and go.
func TestACKWaits(t *testing.T) {
	d := startDNS(t, "svc A 127.0.0.1\n")
	answer := gate(t, d)
	s := start(t, "test_trust\nproxy {\nallow_private\n}")
	alice, callee := udp(t, s, "alice"), udp(t, s, "callee")
	uri := "sip:x@svc.example:" + port(callee)
	alice.request("ACK", uri, "X-User: alice")
	for range 50 {
		alice.request("OPTIONS", s.URI("nobody"))
		alice.Expect("SIP/2.0 404")
	}
	close(answer)
	same(t, "CSeq", callee.Expect("ACK "+uri).Header("CSeq"), "1 ACK")
	alice.request("ACK", uri, "X-User: alice", "Call-ID: again") // it is known by now
	same(t, "Call-ID", callee.Expect("ACK "+uri).Header("Call-ID"), "again")
}

// gate has no answer of a DNS server be read before the channel is closed.
func gate(t *testing.T, d *dnsServer) (answer chan struct{}) {
	answer = make(chan struct{})
	setResolver(t, func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := d.Dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &gated{c.(*net.UDPConn), answer}, nil
	})
	return answer
}

// gated is a connection that nothing is read from before the gate is open.
type gated struct {
	*net.UDPConn
	open chan struct{}
}

func (g *gated) Read(b []byte) (int, error) {
	<-g.open
	return g.UDPConn.Read(b)
}
