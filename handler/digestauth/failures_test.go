package digestauth

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddysip/caddysip/internal/ban"
	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/moduletest"
)

// TestBan guesses a password. What is banned is the machine that the tests run on.
func TestBan(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		for options, failures := range map[string]int{"failures 3 1h\nban 1h": 3, "failures 1\nban 2h": 1, "": 20, "failures off": 0} {
			s := start(t, options)
			bans := inside.AppOf(s.App()).Engine.Bans
			local := netip.MustParseAddr("127.0.0.1")
			t.Cleanup(func() { bans.Unban(local) })
			p := newPhone(t, s, transport, "alice")
			wrong := func() string {
				t.Helper()
				c := p.challenged("REGISTER", "sip:127.0.0.1")
				p.password = "wrong"
				defer func() { p.password = "secret-alice" }()
				return p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", 1))
			}
			for range max(failures-1, 25*(1-min(failures, 1))) {
				p.ask(wrong(), "401")
				// What else is refused is no failure: no credentials, stale ones.
				c := p.challenged("REGISTER", "sip:127.0.0.1")
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

// answer sends a REGISTER with a password, and returns the status that it gets.
func (p *phone) answer(password string) string {
	p.t.Helper()
	was := p.password
	defer func() { p.password = was }()
	c := p.challenged("REGISTER", "sip:127.0.0.1")
	p.password = password
	p.Send(p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", 1)))
	return strings.Fields(p.Receive().Line())[1]
}

// TestOffice has a phone with an old password behind the address of others: it is refused, and nobody else.
func TestOffice(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		s := start(t, "user carol secret-carol\nfailures 3 1h\nban 1h")
		before := bindings(s, "bob@localhost") // of the round before
		alice, bob := registered(t, s, transport, "alice"), registered(t, s, transport, "bob")
		old := newPhone(t, s, "udp", "bob")
		for i := range 3 {
			same(t, fmt.Sprintf("%s: wrong answer %d", transport, i+1), old.answer("old"), "401")
		}
		counts(t, s, func() { same(t, "another one", old.answer("old"), "403") }, "challenged", "refused")
		// Nobody learns from there whether a password is right.
		same(t, "the right password", old.answer("secret-bob"), "403")
		counts(t, s, func() { // nor by an ACK, which has no answer
			old.password = "secret-bob"
			c := old.challenged("INVITE", uri("alice"))
			old.Send(old.request("ACK", uri("alice"), old.answers(c, "INVITE", uri("alice"), 1)))
			old.challenged("INVITE", uri("alice"))
		}, "challenged", "refused", "challenged")
		same(t, "bans", inside.AppOf(s.App()).Engine.Bans.Len(), 0)
		// The others go on, on the connections that they have and on new ones, and so does the user's other phone.
		same(t, "alice", alice.answer("secret-alice"), "200")
		same(t, "alice, elsewhere", newPhone(t, s, transport, "alice").answer("secret-alice"), "200")
		same(t, "bob's phone that is registered", bob.answer("secret-bob"), "200")
		same(t, "carol, who is new", newPhone(t, s, transport, "carol").answer("secret-carol"), "200")
		same(t, "bob at another address", (&phone{t: t, s: s, user: "bob", Peer: s.UDPFrom("127.0.0.3")}).answer("secret-bob"), "200")
		// Who is registered there as somebody else does not guess on.
		alice.login = "bob"
		same(t, "alice guesses bob's password", alice.answer("old"), "403")
		same(t, "bindings of bob", bindings(s, "bob@localhost")-before, 2)
	}
}

// TestGuessesAtAnOffice has somebody who has an account guess the passwords of the others: with few guesses he is at the
// end of it, and those who were there before notice nothing.
func TestGuessesAtAnOffice(t *testing.T) {
	s := start(t, "user carol secret-carol\nfailures 3 1h\nban 1h")
	alice := registered(t, s, "tcp", "alice")
	registered(t, s, "udp", "bob")
	wrong := outcome(s, "wrong")
	for i := range 50 {
		newPhone(t, s, "udp", fmt.Sprint("user", i)).answer("guess")
		newPhone(t, s, "udp", "alice").answer("guess")
	}
	// 3 for each user, and 5 times as many for all.
	if n := outcome(s, "wrong") - wrong; n > 3+15+1 {
		t.Errorf("%v guesses were checked", n)
	}
	same(t, "carol, who is new", newPhone(t, s, "tcp", "carol").answer("secret-carol"), "403")
	same(t, "bob, who was there", newPhone(t, s, "udp", "bob").answer("secret-bob"), "200")
	same(t, "alice's phone", alice.answer("secret-alice"), "200")
	same(t, "bans", inside.AppOf(s.App()).Engine.Bans.Len(), 0)
}

// TestRestoredOffice has users known at an address from what was stored, when the server has just started.
func TestRestoredOffice(t *testing.T) {
	s := start(t, "failures 2 1h")
	registered(t, s, "udp", "alice")
	s.Restart()
	old := newPhone(t, s, "udp", "bob")
	for range 5 {
		old.answer("old")
	}
	same(t, "bans", inside.AppOf(s.App()).Engine.Bans.Len(), 0)
	same(t, "alice", newPhone(t, s, "udp", "alice").answer("secret-alice"), "200")
}

// TestRefusedForAWhile has the time pass.
func TestRefusedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine.New()
		defer func() { _ = e.Destruct() }()
		l, err := newLimit(e, zap.NewNop(), 2, time.Minute, 5*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		addr := moduletest.Request(t, moduletest.Invite).Source().Addr()
		e.MarkAuthenticated(addr, "101")
		fail := func(user string) {
			t.Helper()
			same(t, "banned", l.failed(moduletest.Request(t, moduletest.Invite), user), false)
		}
		fail("102")
		same(t, "refused after one", l.lockedOut(addr, "102"), false)
		fail("102")
		same(t, "refused after two", l.lockedOut(addr, "102"), true)
		same(t, "another user", l.lockedOut(addr, "101"), false)
		time.Sleep(5*time.Minute - time.Second)
		same(t, "refused before the time is over", l.lockedOut(addr, "102"), true)
		time.Sleep(time.Second)
		same(t, "refused after it", l.lockedOut(addr, "102"), false)
		// A day after the last of them was there, it is an address like others.
		time.Sleep(24 * time.Hour)
		r := func() *module.Request { return moduletest.Request(t, moduletest.Invite) }
		same(t, "banned at once", l.failed(r(), "102"), false)
		same(t, "banned", l.failed(r(), "103"), true)
		same(t, "in the list", e.Bans.Banned(addr), true)
	})
}

// TestLogOfOldPassword has a phone go on with an old password: it is logged once a minute.
func TestLogOfOldPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.InfoLevel)
		h := &DigestAuth{logger: zap.New(core), logged: ban.NewMarks(4)}
		for range 180 {
			h.refused(moduletest.Request(t, moduletest.Invite), "a wrong password", "102")
			time.Sleep(time.Second)
		}
		all := logs.TakeAll()
		same(t, "entries in three minutes", len(all), 3)
		same(t, "user", all[0].ContextMap()["user"], any("102"))
	})
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
	same(t, "bans", inside.AppOf(s.App()).Engine.Bans.Len(), 0)
}
