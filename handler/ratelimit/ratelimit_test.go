package ratelimit

import (
	"fmt"
	"github.com/caddysip/caddysip/internal/inside"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/caddyserver/caddy/v2/modules/logging" // where the log goes

	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/respond"
)

// limited is the metric of a zone.
func limited(zone string) (name, label string) { return "caddy_sip_rate_limited_total", "zone=" + zone }

func message(method, user string) string {
	return method + " sip:bob@{addr} SIP/2.0\nVia: SIP/2.0/{transport} {me};branch={branch};rport\nMax-Forwards: 70\n" +
		"From: <sip:" + user + "@127.0.0.1>;tag=f\nTo: <sip:bob@127.0.0.1>\nCall-ID: call-{branch}\nCSeq: 1 " + method + "\n\n"
}

// server has its peers send requests of a user of the server.
type server struct{ *handlertest.Server }

func start(t *testing.T, directives string) server {
	t.Helper()
	return server{handlertest.Start(t, directives)}
}

func (s server) send(p *handlertest.Peer, method, user string) {
	p.Send(strings.ReplaceAll(message(method, user), "{addr}", s.Addr.String()))
}

func TestFlood(t *testing.T) {
	s := start(t, `
		@others not from_user probe
		rate_limit @others {
			zone flood
			events 3
			window 1h
		}
		respond 200`)
	name, zone := limited("flood")
	none := s.Metric("caddy_sip_requests_total", "method=MESSAGE", "status=none")
	before := s.Metric(name, zone)
	p := s.UDP()
	for range 3 {
		s.send(p, "MESSAGE", "alice")
		p.Expect("SIP/2.0 200")
	}
	for range 5 {
		s.send(p, "MESSAGE", "alice")
	}
	p.Nothing()
	// The port makes no source, nor does the transport. The connection stays.
	stream, other := s.TCP(), s.UDPFrom("127.0.0.2")
	s.send(stream, "MESSAGE", "alice")
	stream.Nothing()
	s.send(other, "MESSAGE", "alice")
	other.Expect("SIP/2.0 200")
	if got := s.Metric(name, zone) - before; got != 6 {
		t.Errorf("%s rose by %v, want 6", name, got)
	}
	if got := s.Metric("caddy_sip_requests_total", "method=MESSAGE", "status=none") - none; got != 6 {
		t.Errorf("%v requests without an answer, want 6", got)
	}
	if s.Metric("caddy_sip_bans") != 0 {
		t.Error("somebody is banned, and nobody said so")
	}
}

// TestEveryMethodCounts has what needs no answer, or belongs to a dialog, count as well.
func TestEveryMethodCounts(t *testing.T) {
	s := start(t, "@others not from_user probe\nrate_limit @others {\nevents 3\nwindow 1h\n}\nrespond 200")
	p := s.UDP()
	s.send(p, "ACK", "alice")
	p.Send(strings.ReplaceAll(strings.ReplaceAll(message("BYE", "alice"), "{addr}", s.Addr.String()), "To: <sip:bob@127.0.0.1>", "To: <sip:bob@127.0.0.1>;tag=t"))
	p.Expect("SIP/2.0 200")
	s.send(p, "OPTIONS", "alice")
	p.Expect("SIP/2.0 200")
	s.send(p, "MESSAGE", "alice")
	p.Nothing()
}

func TestRespond(t *testing.T) {
	s := start(t, "@others not from_user probe\nrate_limit @others {\nevents 1\nwindow 1h\nrespond 503\n}\nrespond 404")
	for _, p := range []*handlertest.Peer{s.UDPFrom("127.0.0.3"), s.UDP()} {
		s.send(p, "INVITE", "alice")
		p.Expect("SIP/2.0 404")
		s.send(p, "INVITE", "alice")
		m := p.Expect("SIP/2.0 503 Service Unavailable\r\n")
		if after, err := strconv.Atoi(m.Header("Retry-After")); err != nil || after < 3500 || after > 3600 {
			t.Errorf("Retry-After: %s, want nearly an hour", m.Header("Retry-After"))
		}
		s.send(p, "ACK", "alice")
		p.Nothing()
	}
}

// TestRetryAfter tells nobody to come again at once: what is left of a second is one.
func TestRetryAfter(t *testing.T) {
	s := start(t, "@others not from_user probe\nrate_limit @others {\nevents 1\nwindow 1s\nrespond 503\n}\nrespond 404")
	p := s.UDP()
	for range 100 {
		s.send(p, "MESSAGE", "alice")
		if m := p.Receive(); !strings.HasPrefix(m.Text, "SIP/2.0 404") {
			if m.Line() != "SIP/2.0 503 Service Unavailable" || m.Header("Retry-After") != "1" {
				t.Errorf("got\n%s", m.Text)
			}
			return
		}
	}
	t.Error("nothing is refused")
}

func TestKey(t *testing.T) {
	s := start(t, "@others not from_user probe\nrate_limit @others {\nkey {sip.from.user}\nevents 1\nwindow 1h\n}\nrespond 200")
	p := s.UDP()
	for _, user := range []string{"alice", "bob", "{sip.source.ip}"} {
		s.send(p, "MESSAGE", user)
		p.Expect("SIP/2.0 200")
	}
	for _, user := range []string{"alice", "bob", "{sip.source.ip}"} {
		s.send(p, "MESSAGE", user)
	}
	p.Nothing()
	other := s.UDPFrom("127.0.0.2")
	s.send(other, "MESSAGE", "alice")
	other.Nothing()
}

func TestBan(t *testing.T) {
	s := start(t, `
		rate_limit {
			events 2
			window 1h
			ban 1h
			respond 503
		}
		respond 200`)
	bans := inside.AppOf(s.App()).Engine.Bans
	dropped := func() float64 { return s.Metric("caddy_sip_dropped_total", "reason=banned") }
	before := dropped()
	p, stream, other := s.UDP(), s.TCP(), s.UDPFrom("127.0.0.2")
	s.send(stream, "MESSAGE", "alice") // the server has it when it answers
	stream.Expect("SIP/2.0 200")
	s.send(p, "MESSAGE", "alice")
	p.Expect("SIP/2.0 200")
	if bans.Len() != 0 {
		t.Fatalf("banned within the limit: %v", bans.All())
	}
	s.send(p, "MESSAGE", "alice") // over the limit
	stream.Closed()
	all := bans.All()
	if len(all) != 1 || all[0].Source != netip.MustParsePrefix("127.0.0.1/32") || all[0].Reason != "rate limit srv0" {
		t.Fatalf("banned are %v", all)
	}
	if left := time.Until(all[0].Until); left > time.Hour || left < 55*time.Minute {
		t.Errorf("banned for %v, want an hour", left)
	}
	if got := s.Metric("caddy_sip_bans"); got != 1 {
		t.Errorf("caddy_sip_bans = %v", got)
	}
	// Neither is anything read any more, not even what no route would see, nor is a connection taken.
	s.send(p, "MESSAGE", "alice")
	p.SendRaw([]byte("this is no SIP at all, but long enough"))
	p.SendRaw([]byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\n\r\n"))
	s.TCP().Closed()
	s.Await(before+4, "caddy_sip_dropped_total", "reason=banned")
	s.send(other, "MESSAGE", "alice")
	other.Expect("SIP/2.0 200")
	// A reload lets nobody in.
	s.Load(handlertest.Caddyfile(s.Addr, "respond 200"))
	s.TCP().Closed()
	s.Await(before+5, "caddy_sip_dropped_total", "reason=banned")
	if !bans.Unban(p.Addr.Addr()) || s.Metric("caddy_sip_bans") != 0 {
		t.Error("he was not banned")
	}
	p.Nothing() // there was no answer before this one
	s.TCP().Nothing()
	if got := dropped() - before; got != 5 {
		t.Errorf("%v were dropped, want 5", got)
	}
}

// TestNoBanOfAnOffice has users at the address that sends too much: it is not banned, and its connections stay.
func TestNoBanOfAnOffice(t *testing.T) {
	s := start(t, "rate_limit {\nevents 2\nwindow 1h\nban 1h\nrespond 503\n}\nrespond 200")
	p, stream := s.UDP(), s.TCP()
	inside.AppOf(s.App()).Engine.MarkAuthenticated(p.Addr.Addr(), "alice")
	s.send(stream, "MESSAGE", "alice")
	stream.Expect("SIP/2.0 200")
	s.send(p, "MESSAGE", "alice")
	p.Expect("SIP/2.0 200")
	s.send(p, "MESSAGE", "alice")
	p.Expect("SIP/2.0 503")
	s.send(stream, "MESSAGE", "alice")
	stream.Expect("SIP/2.0 503")
	if bans := inside.AppOf(s.App()).Engine.Bans; bans.Len() != 0 {
		t.Errorf("banned are %v", bans.All())
	}
}

// TestBanOfAPrefix closes the connections of a whole network, and takes those of others.
func TestBanOfAPrefix(t *testing.T) {
	s := start(t, "respond 200")
	from := func(host string) net.Conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}}
		c, err := d.Dial("tcp", s.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	within, outside := from("127.0.0.9"), s.TCP()
	outside.Nothing()
	ping := func(c net.Conn) error {
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("\r\n\r\n")); err != nil {
			return err
		}
		_, err := c.Read(make([]byte, 2))
		return err
	}
	if err := ping(within); err != nil {
		t.Fatal(err)
	}
	inside.AppOf(s.App()).Engine.Bans.Set(netip.MustParsePrefix("127.0.0.8/29"), time.Hour, "")
	if err := ping(within); err == nil {
		t.Error("a connection from a banned network is open")
	}
	if err := ping(from("127.0.0.10")); err == nil {
		t.Error("a connection from a banned network was taken")
	}
	outside.Nothing()
}

// TestBanIPv6 bans the /64 that an address is of.
func TestBanIPv6(t *testing.T) {
	s := server{handlertest.StartOn(t, handlertest.FreeAddrOf(t, "::1"), "rate_limit {\nevents 2\nwindow 1h\nban 1h\n}\nrespond 200")}
	p := s.TCP()
	for range 2 {
		s.send(p, "MESSAGE", "alice")
		p.Expect("SIP/2.0 200")
	}
	s.send(p, "MESSAGE", "alice")
	p.Closed()
	s.TCP().Closed()
	if all := inside.AppOf(s.App()).Engine.Bans.All(); len(all) != 1 || all[0].Source != netip.MustParsePrefix("::/64") {
		t.Errorf("banned are %v", all)
	}
}

func TestReload(t *testing.T) {
	text := func(options string) string { return "rate_limit {\nwindow 1h\n" + options + "\n}\nrespond 200" }
	s := start(t, text("events 1"))
	load := func(options string) { s.Load(handlertest.Caddyfile(s.Addr, text(options))) }
	p := s.UDP()
	s.send(p, "MESSAGE", "alice")
	p.Expect("SIP/2.0 200")
	load("events 1\nrespond 480") // leaves the zone as it is
	s.send(p, "MESSAGE", "alice")
	p.Expect("SIP/2.0 480")
	load("events 1\nrespond 480\nzone other")
	s.send(p, "MESSAGE", "alice")
	p.Expect("SIP/2.0 200")
	load("events 2\nrespond 480\nzone other") // another limit
	for range 2 {
		s.send(p, "MESSAGE", "alice")
		p.Expect("SIP/2.0 200")
	}
	s.send(p, "MESSAGE", "alice")
	p.Expect("SIP/2.0 480")
	references := func(id zoneID) int { n, _ := zones.References(id); return n }
	one, two := zoneID{"srv0", sourceKey, 1, time.Hour}, zoneID{"other", sourceKey, 2, time.Hour}
	if references(one) != 0 || references(two) != 1 {
		t.Errorf("the old zone is used %d times, the new one %d times", references(one), references(two))
	}
	s.Load(handlertest.Caddyfile(s.Addr, "respond 200"))
	if references(two) != 0 {
		t.Error("a zone stays, and nobody uses it")
	}
}

// TestSharedZone has two handlers with the same zone count together.
func TestSharedZone(t *testing.T) {
	limit := "rate_limit @%s {\nzone shared\nevents 1\nwindow 1h\n}\n"
	s := start(t, "@a uri_user bob\n@a2 from_user alice\n"+fmt.Sprintf("@x from_user xaver\n"+limit, "x")+fmt.Sprintf(limit, "a2")+"respond 200")
	p := s.UDP()
	s.send(p, "MESSAGE", "xaver")
	p.Expect("SIP/2.0 200")
	s.send(p, "MESSAGE", "alice")
	p.Nothing()
}

func TestLog(t *testing.T) {
	addr := handlertest.FreeAddr(t)
	file := filepath.Join(t.TempDir(), "log")
	s := server{handlertest.StartCaddyfile(t, addr, fmt.Sprintf("{\n\tadmin off\n\tlog {\n\t\toutput file %s\n\t\tformat json\n\t}\n\tsip {\n\t\t%s {\n"+
		"log\n@others not from_user probe\nrate_limit @others {\nkey {sip.from.user}\nevents 2\nwindow 1h\n}\nrespond 200\n\t\t}\n\t}\n}\n", file, addr))}
	p := s.UDP()
	for range 50 {
		s.send(p, "MESSAGE", "alice")
	}
	p.Expect("SIP/2.0 200")
	p.Expect("SIP/2.0 200")
	p.Nothing()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "handled request"); n != 3 { // with the probe
		t.Errorf("%d entries in the access log, want 3:\n%s", n, text)
	}
	if n := strings.Count(string(text), "a source sends too much"); n != 1 {
		t.Errorf("the flood is logged %d times, want 1:\n%s", n, text)
	}
	for _, want := range []string{`"logger":"sip.handlers.rate_limit"`, `"zone":"srv0"`, `"source":"` + p.Addr.String() + `"`, `"key":"alice"`, `"events":2`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the log says nothing of %s:\n%s", want, text)
		}
	}
}
