package digestauth

import (
	"net/netip"
	"testing"
	"time"
)

// TestBan guesses a password. What is banned is the machine that the tests run on.
func TestBan(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		for options, failures := range map[string]int{"failures 3 1h\nban 1h": 3, "failures 1\nban 2h": 1, "": 20, "failures off": 0} {
			s := start(t, options)
			bans := s.App().Engine().Bans
			local := netip.MustParseAddr("127.0.0.1")
			t.Cleanup(func() { bans.Unban(local) })
			p := registered(t, s, transport, "alice")
			wrong := func() string {
				t.Helper()
				c := p.challenged("REGISTER", "sip:127.0.0.1")
				p.password = "wrong"
				defer func() { p.password = "secret-alice" }()
				return p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", 1))
			}
			for range max(failures-1, 25*(1-min(failures, 1))) {
				p.ask(wrong(), "401")
				// What else is refused is no failure: no credentials, stale ones, replays.
				c := p.challenged("REGISTER", "sip:127.0.0.1")
				line := p.answers(c, "REGISTER", "sip:127.0.0.1", 1)
				p.ask(p.register(line), "200")
				p.ask(p.register(line), "401")
				c.Nonce = "x"
				p.ask(p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", 1)), "401")
			}
			if same(t, "bans", bans.Len(), 0); failures == 0 {
				continue
			}
			p.Send(wrong())
			if transport == "tcp" {
				p.Closed()
			}
			s.Await(1, "caddy_sip_bans")
			same(t, "banned", bans.Banned(local), true)
			all := bans.All()
			if len(all) != 1 || all[0].Reason != "digest_auth: wrong passwords" {
				t.Fatalf("bans: %+v", all)
			}
			same(t, "for", all[0].Until.Sub(all[0].Since).Round(time.Minute), map[int]time.Duration{3: time.Hour, 1: 2 * time.Hour, 20: 5 * time.Minute}[failures])
			// The right password comes too late.
			if transport == "udp" {
				dropped := s.Metric("caddy_sip_dropped_total", "reason=banned")
				p.Send(p.register())
				s.Await(dropped+1, "caddy_sip_dropped_total", "reason=banned")
				bans.Unban(local)
				p.ask(p.register(), "401") // and no answer to the one before
			}
			bans.Unban(local)
		}
	}
}

// TestForgedFailures has wrong answers from an address that has received no nonce: whoever they seem to come from is not banned for them.
func TestForgedFailures(t *testing.T) {
	s := start(t, "failures 2")
	p := newPhone(t, s, "udp", "alice")
	c := p.challenged("REGISTER", "sip:127.0.0.1")
	p.password = "wrong"
	var forged []string
	for i := range 5 {
		forged = append(forged, p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", i+1)))
	}
	other := &phone{t: t, s: s, user: "alice", Peer: s.UDPFrom("127.0.0.2")}
	for _, request := range forged {
		counts(t, s, func() {
			other.Send(request)
			same(t, "stale", challenges(t, other.Receive())[0].Stale, true)
		}, "stale")
	}
	same(t, "bans", s.App().Engine().Bans.Len(), 0)
}
