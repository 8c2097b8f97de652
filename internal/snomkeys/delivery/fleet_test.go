package delivery_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/wire"
)

// fleet is many phones on one socket. They register and answer 200, and nothing else.
type fleet struct {
	t    testing.TB
	conn *net.UDPConn
	addr netip.AddrPort

	mu         sync.Mutex
	got        map[string]string // by Contact's user and key: the document
	messages   int               // without retransmissions
	seen       map[string]bool   // Call-IDs
	registered map[string]bool
	changed    chan struct{}
}

func newFleet(t testing.TB) *fleet {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadBuffer(4 << 20)
	f := &fleet{
		t: t, conn: c, addr: c.LocalAddr().(*net.UDPAddr).AddrPort(),
		got: make(map[string]string), seen: make(map[string]bool), registered: make(map[string]bool), changed: make(chan struct{}, 1),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.run()
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return f
}

func (f *fleet) run() {
	buf := make([]byte, 65536)
	var m wire.Message
	for {
		n, from, err := f.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if err := m.Parse(buf[:n]); err != nil {
			f.t.Error(err)
			continue
		}
		f.mu.Lock()
		if m.IsResponse {
			if m.Status == 200 {
				f.registered[string(m.Header(wire.CallID))] = true
			}
		} else if id := string(m.Header(wire.CallID)); !f.seen[id] {
			f.seen[id] = true
			f.messages++
			user, _, _ := bytes.Cut(bytes.TrimPrefix(m.RequestURI(), []byte("sip:")), []byte("@"))
			key, doc, _ := strings.Cut(string(m.Body()), "\r\n")
			f.got[string(user)+" "+key] = doc
		}
		f.mu.Unlock()
		if !m.IsResponse {
			_, _ = f.conn.WriteToUDPAddrPort(m.AppendResponse(nil, 200, "OK", from, &wire.ResponseOptions{ToTag: []byte("t")}), from)
		}
		select {
		case f.changed <- struct{}{}:
		default:
		}
	}
}

// register registers n phones, again until each has its answer.
func (f *fleet) register(s *handlertest.Server, n, cseq int) {
	f.t.Helper()
	f.mu.Lock()
	clear(f.registered)
	f.mu.Unlock()
	for i := 0; i < n; {
		for end := min(n, i+64); i < end; i++ {
			text := fmt.Sprintf("REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%d-%d;rport\r\nMax-Forwards: 70\r\nFrom: <sip:1%d@example.com>;tag=f\r\n"+
				"To: <sip:1%d@example.com>\r\nCall-ID: %d\r\nCSeq: %d REGISTER\r\nContact: <sip:1%d@%s;line=%d>\r\nUser-Agent: snom370/8.7.5.48\r\nContent-Length: 0\r\n\r\n",
				f.addr, i, cseq, i, i, i, cseq, i, f.addr, i)
			if _, err := f.conn.WriteToUDPAddrPort([]byte(text), s.Addr); err != nil {
				f.t.Fatal(err)
			}
		}
		f.wait("a registration", func() bool { return len(f.registered) >= i })
	}
}

func (f *fleet) wait(what string, ok func() bool) {
	f.t.Helper()
	limit := time.After(5 * time.Minute)
	for {
		f.mu.Lock()
		done := ok()
		f.mu.Unlock()
		if done {
			return
		}
		select {
		case <-f.changed:
		case <-limit:
			f.t.Fatalf("waiting for %s: %d messages, %d registrations", what, f.messages, len(f.registered))
		}
	}
}

func startFleet(t testing.TB, keys, rate int) (s *handlertest.Server, f *fleet, text string) {
	var b strings.Builder
	for k := range keys {
		fmt.Fprintf(&b, "key %d {\nlabel \"Line %d\"\nnumber %d\nlight on\ncolor red\n}\n", k+1, k+1, 100+k)
	}
	addr := handlertest.FreeAddr(t)
	text = fmt.Sprintf("{\nadmin off\nsip {\ndomain example.com\nkeys {\nrate %d\nprofile all {\nusers 1*\n%s}\n}\n%s {\nregister\nproxy\n}\n}\n}\n",
		rate, b.String(), addr)
	return handlertest.StartCaddyfile(t, addr, text), newFleet(t), text
}

func TestFleet(t *testing.T) {
	const phones, keys = 500, 12
	s, f, text := startFleet(t, keys, 10000)
	f.register(s, phones, 1)
	f.wait("all keys", func() bool { return len(f.got) == phones*keys })
	f.register(s, phones, 2) // a refresh
	s.Restart()
	f.register(s, phones, 3)
	// One key of each that comes after all that might be wrong.
	s.Load(strings.Replace(text, "profile all {\n", fmt.Sprintf("profile more {\nusers 1*\nkey %d {\nlight off\n}\n}\nprofile all {\n", keys+1), 1))
	f.wait("the last key", func() bool { return len(f.got) == phones*(keys+1) })
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.messages != phones*(keys+1) {
		t.Errorf("%d messages for %d keys", f.messages, phones*(keys+1))
	}
	for i := range phones {
		for k := range keys {
			if got, want := f.got[fmt.Sprintf("1%d k=%d", i, k+1)], fmt.Sprintf("c=on\r\no=red\r\nn=%d\r\na=invite\r\nl=Line %d", 100+k, k+1); got != want && got != strings.Replace(want, "a=invite\r\n", "", 1) {
				t.Fatalf("phone %d, key %d: %q", i, k+1, got)
			}
		}
	}
}
