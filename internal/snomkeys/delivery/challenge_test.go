package delivery

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/icholy/digest"

	"github.com/caddysip/caddysip/internal/sip/uac"
	"github.com/caddysip/caddysip/wire"
)

// signing returns settings with a password for each user.
func signing(realm, password string) Settings {
	if password != "" {
		password += "-{user}"
	}
	return Settings{Credentials: []uac.Credentials{{Realm: realm, Username: "server", Password: password}}}
}

// answered reports whether a message has the right answer to a challenge.
func answered(t *testing.T, m message, challenge, name, password string) bool {
	t.Helper()
	var parsed wire.Message
	if err := parsed.Parse([]byte(m.text)); err != nil {
		t.Fatal(err)
	}
	text, ok := parsed.HeaderNamed(name)
	if !ok {
		return false
	}
	got, err := digest.ParseCredentials(string(text))
	if err != nil {
		t.Fatal(err)
	}
	c, err := digest.ParseChallenge(challenge)
	if err != nil {
		t.Fatal(err)
	}
	want, err := digest.Digest(c, digest.Options{
		Method: "MESSAGE", URI: m.contact, Username: "server", Password: password + "-101", Cnonce: got.Cnonce, Count: got.Nc,
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(m.body)), nil },
	})
	return err == nil && *got == *want
}

// challenged has phones challenge what has no right credentials.
func (w *world) challenged(status int, challenge, password string) {
	field, name := "WWW-Authenticate", "Authorization"
	if status == 407 {
		field, name = "Proxy-Authenticate", "Proxy-Authorization"
	}
	w.answer(func(m message) (int, time.Duration) {
		w.challenge = ""
		if answered(w.t.(*testing.T), m, challenge, name, password) {
			return 200, 0
		}
		w.challenge = field + ": Digest realm=\"other\", nonce=\"x\", algorithm=UNKNOWN\r\n" + field + ": " + challenge + "\r\n"
		return status, 0
	})
}

// TestChallenge has phones challenge every message. What is signed, and for whom, package uac
// tests.
func TestChallenge(t *testing.T) {
	for _, status := range []int{401, 407} {
		inWorld(t, func(w *world) {
			w.d.Configure(signing("phone", "secret"))
			w.challenged(status, `Digest realm="phone", nonce="n1", algorithm=SHA-256, qop="auth"`, "secret")
			w.set(alice, "A", 1, 2)
			w.register(registration{})
			w.expect("k=1 c=on l=A", "k=1 c=on l=A", "k=2 c=on l=A", "k=2 c=on l=A")
			w.state(alice, StateCurrent)
			if w.count["acknowledged"] != 2 || w.count["refused"] != 0 {
				t.Errorf("counted %v", w.count)
			}
			// Nothing is signed for another place than the phone is at.
			w.register(registration{callID: "2", contact: "sip:101@192.0.2.50"})
			w.got()
			if n := w.count["refused"]; n != 2 {
				t.Errorf("%d messages to another place are refused", n)
			}
		})
	}
}

func TestChallengeRefused(t *testing.T) {
	const challenge = `Digest realm="phone", nonce="n1"`
	for _, tc := range []struct {
		name, password, challenge string
		sent                      []string
	}{
		{"wrong password", "wrong", challenge, []string{"k=1 c=on l=A", "k=1 c=on l=A"}},
		{"no credentials", "", challenge, []string{"k=1 c=on l=A"}},
		{"an algorithm that is not known", "secret", `Digest realm="phone", nonce="n1", algorithm=MD5-sess`, []string{"k=1 c=on l=A"}},
		{"no digest", "secret", `Basic realm="phone"`, []string{"k=1 c=on l=A"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				if tc.password != "" {
					w.d.Configure(signing("phone", tc.password))
				}
				w.answer(func(message) (int, time.Duration) {
					w.challenge = "WWW-Authenticate: " + tc.challenge + "\r\n"
					return 401, 0
				})
				w.set(alice, "A", 1)
				w.register(registration{})
				w.expect(tc.sent...)
				time.Sleep(time.Hour / 2)
				w.register(registration{})
				w.expect()
				k := w.d.Status(alice)[0].Keys[0]
				if k.Acknowledged || k.Status != 401 || k.Error == "" || strings.Contains(k.Error, tc.password) && tc.password != "" {
					t.Errorf("%+v", k)
				}
				if w.count["refused"] != 1 || !slices.Equal(w.events, []string{"key_failed " + alice + " 1 401"}) {
					t.Errorf("counted %v, events %q", w.count, w.events)
				}

				// The same settings again change nothing; with the right password the phone gets
				// what it has refused.
				w.d.Configure(signing("phone", tc.password))
				if tc.password != "" {
					w.expect()
				} else {
					w.expect(tc.sent[0])
				}
				w.challenged(401, challenge, "right")
				w.d.Configure(signing("phone", "right"))
				w.expect("k=1 c=on l=A", "k=1 c=on l=A")
				w.state(alice, StateCurrent)
			})
		})
	}
}

// A phone that doesn't answer the second message is asked again later, from the start.
func TestChallengeTimeout(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Configure(signing("phone", "secret"))
		w.answer(func(m message) (int, time.Duration) {
			w.challenge = "WWW-Authenticate: Digest realm=\"phone\", nonce=\"n1\"\r\n"
			if strings.Contains(m.text, "\r\nAuthorization: ") {
				return 0, 0
			}
			return 401, 0
		})
		w.set(alice, "A", 1)
		w.register(registration{})
		w.expect("k=1 c=on l=A", "k=1 c=on l=A")
		w.state(alice, StateSending)
		time.Sleep(35 * time.Second)
		w.state(alice, StateRetrying)
		w.challenged(401, `Digest realm="phone", nonce="n2"`, "secret")
		time.Sleep(10 * time.Second)
		w.expect("k=1 c=on l=A", "k=1 c=on l=A")
		w.state(alice, StateCurrent)
	})
}

func TestNamedPhones(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1)
		w.register(registration{userAgent: "OfficePhone/1"})
		w.expect()
		w.state(alice, StateOther)
		w.d.Configure(Settings{Phones: []string{"Desk*", "officephone/?"}})
		w.expect("k=1 c=on l=A")
		w.state(alice, StateCurrent)
		w.d.Configure(Settings{Phones: []string{"Desk*", "officephone/?"}})
		w.expect()
		if out := w.d.Wait(t.Context(), alice, 1); len(out) != 1 || !out[0].Acknowledged {
			t.Errorf("%+v", out)
		}
		// Without the glob it gets nothing any more.
		w.d.Configure(Settings{Phones: []string{"Desk*"}})
		w.set(alice, "B", 1)
		w.d.Push(alice)
		w.expect()
		w.state(alice, StateOther)
		w.d.Configure(Settings{Phones: []string{"OFFICE*"}})
		w.expect("k=1 c=on l=B")
	})
}
