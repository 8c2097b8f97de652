package phone

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRegister(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		s := listen(t, transport, "127.0.0.1")
		p := s.start(Config{Transport: transport, Password: "secret"})
		if p.State().Registered {
			t.Error("registered before Register")
		}
		m := s.register(p)
		if m.start != "REGISTER sip:127.0.0.1 SIP/2.0" {
			t.Error(m.start)
		}
		for name, want := range map[string]string{
			"From":         `^<sip:101@127\.0\.0\.1>;tag=[a-z0-9]{10}$`,
			"To":           `^<sip:101@127\.0\.0\.1>$`,
			"User-Agent":   `^snom370/8\.7\.5\.48$`,
			"Expires":      `^3600$`,
			"Max-Forwards": `^70$`,
			"CSeq":         `^1 REGISTER$`,
			"Via":          `^SIP/2\.0/` + strings.ToUpper(transport) + ` 127\.0\.0\.1:\d+;branch=z9hG4bK-[a-z0-9]{16};rport$`,
			"Contact": map[string]string{
				"udp": `^<sip:101@127\.0\.0\.1:\d+;line=[a-z0-9]{8}>$`,
				"tcp": `^<sip:101@127\.0\.0\.1:\d+;transport=tcp;line=[a-z0-9]{8}>$`,
				"ws":  `^<sip:101@127\.0\.0\.1:\d+;transport=ws;line=[a-z0-9]{8}>$`,
			}[transport],
		} {
			if got := m.get(name); !regexp.MustCompile(want).MatchString(got) {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
		if m.get("Authorization") != "" {
			t.Error("credentials before a challenge")
		}
		if !p.State().Registered {
			t.Error("not registered after Register")
		}

		done := async(func() error { return p.Unregister(timeout(t)) })
		again := s.next("REGISTER")
		if again.get("Expires") != "0" || again.get("Call-ID") != m.get("Call-ID") || again.get("CSeq") != "2 REGISTER" || again.get("Contact") != m.get("Contact") {
			t.Errorf("unregistered with %+v", again)
		}
		s.respond(again, "200 OK", "r", "")
		if err := <-done; err != nil || p.State().Registered {
			t.Error(err, p.State().Registered)
		}
	})
}

func TestRegisterIPv6(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		s := listen(t, transport, "::1")
		p := s.start(Config{Transport: transport})
		m := s.register(p)
		if m.start != "REGISTER sip:[::1] SIP/2.0" || !strings.Contains(m.get("Contact"), "@[::1]:") || !strings.Contains(m.get("Via"), " [::1]:") {
			t.Errorf("%+v", m)
		}
	}
}

func TestRegisterDigest(t *testing.T) {
	hash := map[string]func(string) string{
		"MD5":     func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) },
		"SHA-256": func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) },
	}
	for _, tc := range []struct{ status, challenge, answer, algorithm, auth string }{
		{"401 Unauthorized", "WWW-Authenticate", "Authorization", "MD5", ""},
		{"401 Unauthorized", "WWW-Authenticate", "Authorization", "SHA-256", ""},
		{"407 Proxy Authentication Required", "Proxy-Authenticate", "Proxy-Authorization", "SHA-256", "other"},
	} {
		s := listen(t, "udp", "127.0.0.1")
		p := s.start(Config{Password: "secret", AuthUser: tc.auth})
		done := async(func() error { return p.Register(timeout(t)) })
		first := s.next("REGISTER")
		// One that nobody can answer comes first, and must be passed over.
		s.respond(first, tc.status, "r", "", tc.challenge+`: Digest realm="r", nonce="0", algorithm=SHA-1024, qop="auth"`,
			tc.challenge+`: Digest realm="r", nonce="abc", algorithm=`+tc.algorithm+`, qop="auth"`)
		second := s.next("REGISTER")
		if second.get("Call-ID") != first.get("Call-ID") || second.get("CSeq") != "2 REGISTER" || second.get("Via") == first.get("Via") {
			t.Errorf("%+v", second)
		}

		given := make(map[string]string)
		for _, g := range regexp.MustCompile(`(\w+)="?([^",]*)`).FindAllStringSubmatch(second.get(tc.answer), -1) {
			given[g[1]] = g[2]
		}
		user := tc.auth
		if user == "" {
			user = "101"
		}
		h := hash[tc.algorithm]
		want := h(h(user+":r:secret") + ":abc:00000001:" + given["cnonce"] + ":auth:" + h("REGISTER:sip:127.0.0.1"))
		if given["username"] != user || given["uri"] != "sip:127.0.0.1" || given["response"] != want || given["algorithm"] != tc.algorithm {
			t.Errorf("%s: %q; want response %s", tc.algorithm, second.get(tc.answer), want)
		}
		if strings.Contains(fmt.Sprint(second), "secret") {
			t.Error("the password is on the wire")
		}
		s.respond(second, "200 OK", "r", "")
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A password that is refused is not tried again, unless the nonce was stale.
func TestRegisterWrongPassword(t *testing.T) {
	s := listen(t, "udp", "127.0.0.1")
	p := s.start(Config{Password: "wrong"})
	done := async(func() error { return p.Register(timeout(t)) })
	challenge := `WWW-Authenticate: Digest realm="r", nonce="1", qop="auth"`
	s.respond(s.next("REGISTER"), "401 Unauthorized", "r", "", challenge)
	s.respond(s.next("REGISTER"), "401 Unauthorized", "r", "", strings.Replace(challenge, "qop", `stale=true, qop`, 1))
	last := s.next("REGISTER")
	if last.get("CSeq") != "3 REGISTER" {
		t.Error(last.get("CSeq"))
	}
	s.respond(last, "401 Unauthorized", "r", "", challenge)
	var status *StatusError
	if err := <-done; !errors.As(err, &status) || status.Status != 401 || err.Error() != "REGISTER was answered 401 Unauthorized" {
		t.Error(err)
	}
	if p.State().Registered {
		t.Error("registered with a wrong password")
	}
	s.none("REGISTER")
}

func TestRegisterWithoutPassword(t *testing.T) {
	s := listen(t, "udp", "127.0.0.1")
	p := s.start(Config{})
	done := async(func() error { return p.Register(timeout(t)) })
	s.respond(s.next("REGISTER"), "401 Unauthorized", "r", "", `WWW-Authenticate: Digest realm="r", nonce="1"`)
	var status *StatusError
	if err := <-done; !errors.As(err, &status) || status.Status != 401 {
		t.Error(err)
	}
	s.none("REGISTER")
}

func TestRegisterIntervalTooBrief(t *testing.T) {
	s := listen(t, "udp", "127.0.0.1")
	p := s.start(Config{Expires: 60 * time.Second})
	done := async(func() error { return p.Register(timeout(t)) })
	first := s.next("REGISTER")
	if first.get("Expires") != "60" {
		t.Error(first.get("Expires"))
	}
	s.respond(first, "423 Interval Too Brief", "r", "", "Min-Expires: 1800")
	second := s.next("REGISTER")
	if second.get("Expires") != "1800" || second.get("Call-ID") != first.get("Call-ID") || second.get("CSeq") != "2 REGISTER" {
		t.Errorf("%+v", second)
	}
	// A registrar that is never content must not be asked forever.
	s.respond(second, "423 Interval Too Brief", "r", "", "Min-Expires: 3600")
	var status *StatusError
	if err := <-done; !errors.As(err, &status) || status.Status != 423 {
		t.Error(err)
	}
}

// piped starts a phone inside a synctest bubble. dials gets the server's ends.
func piped(t *testing.T, cfg Config) (*stub, *Phone) {
	s := &stub{t: t, addr: "192.0.2.1:5060", in: make(chan message, 100), seen: make(map[string]bool)}
	cfg.Server, cfg.User, cfg.Transport = s.addr, "101", "tcp"
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	port := 40000
	p.link.dial = pipeDialer(s, &port)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, p
}

// TestRefresh has the phone renew its binding at half of what it was granted,
// with the same Call-ID and a CSeq that grows.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := piped(t, Config{})
		defer p.Close()
		done := async(func() error { return p.Register(t.Context()) })
		first := s.next("REGISTER")
		s.respond(first, "200 OK", "r", "",
			"Contact: <sip:101@203.0.113.9:5060>;expires=7000, <"+p.Contact()+">;expires=600", "Expires: 5000")
		if err := <-done; err != nil {
			t.Fatal(err)
		}

		for i := 2; i < 5; i++ {
			begin := time.Now()
			m := s.nextPiped("REGISTER")
			if waited := time.Since(begin); waited != 300*time.Second {
				t.Errorf("refreshed after %v", waited)
			}
			if m.get("Call-ID") != first.get("Call-ID") || m.get("CSeq") != strconv.Itoa(i)+" REGISTER" || m.get("Contact") != first.get("Contact") {
				t.Errorf("refreshed with %+v", m)
			}
			s.respond(m, "200 OK", "r", "", "Contact: <"+p.Contact()+">;expires=600")
		}

		// Refused for good: no further try.
		s.respond(s.nextPiped("REGISTER"), "403 Forbidden", "r", "")
		synctest.Wait()
		if p.State().Registered {
			t.Error("still registered after a 403")
		}
		time.Sleep(24 * time.Hour) // virtual
		s.none("REGISTER")
	})
}

// TestRefreshRetries has a refresh fail in a way that may pass.
func TestRefreshRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := piped(t, Config{})
		defer p.Close()
		done := async(func() error { return p.Register(t.Context()) })
		s.respond(s.next("REGISTER"), "200 OK", "r", "") // nothing said: what was asked, an hour
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for _, want := range []time.Duration{1800, 1, 2, 4, 8, 16, 30, 30} {
			begin := time.Now()
			m := s.nextPiped("REGISTER")
			if waited := time.Since(begin); waited != want*time.Second {
				t.Errorf("tried after %v, want %v", waited, want*time.Second)
			}
			s.respond(m, "503 Service Unavailable", "r", "")
		}
		s.respond(s.nextPiped("REGISTER"), "200 OK", "r", "", "Expires: 100")
		begin := time.Now()
		s.nextPiped("REGISTER")
		if waited := time.Since(begin); waited != 50*time.Second {
			t.Errorf("refreshed after %v", waited)
		}
	})
}

// TestConnectionLost has the server close the connection of a registered
// phone, which connects and registers again.
func TestConnectionLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := piped(t, Config{})
		defer p.Close()
		done := async(func() error { return p.Register(t.Context()) })
		first := s.next("REGISTER")
		s.respond(first, "200 OK", "r", "")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		s.out("") // to the pipe's dialer: close
		again := s.nextPiped("REGISTER")
		if again.get("Call-ID") != first.get("Call-ID") || again.get("CSeq") != "2 REGISTER" || again.get("Contact") == first.get("Contact") {
			t.Errorf("registered again with %+v", again)
		}
		s.respond(again, "200 OK", "r", "")
		synctest.Wait()
		if !p.State().Registered {
			t.Error("not registered again")
		}
		// Requests come over the new connection.
		r := s.answerTo(s.request("OPTIONS", p.Contact(), ""))
		if r.start != "SIP/2.0 200 OK" {
			t.Error(r.start)
		}
	})
}

// nextPiped is next in a bubble, where time stands still while the phone works.
func (s *stub) nextPiped(prefix string) message {
	s.t.Helper()
	for m := range s.in {
		if !s.take(m) {
			continue
		}
		if strings.HasPrefix(m.start, prefix) {
			return m
		}
		s.kept = append(s.kept, m)
	}
	panic("unreachable")
}

// pipeConn gives a pipe the addresses of a TCP connection.
type pipeConn struct {
	net.Conn
	local, remote *net.TCPAddr
}

func (c pipeConn) LocalAddr() net.Addr  { return c.local }
func (c pipeConn) RemoteAddr() net.Addr { return c.remote }
