package delivery

import (
	"bytes"
	"io"
	"net/netip"
	"strings"

	"github.com/icholy/digest"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// Credentials are what challenges of phones are answered with. {user} in them is the user part of the address-of-record.
// The realm is that of the phones, and the password has {user} in it: anybody may register as such a phone and challenge
// what comes, with the challenge of another phone. What he gets must be good for his own phone alone.
type Credentials struct {
	Realm, Username, Password string
}

// Answer reports whether challenges are answered.
func (c *Credentials) Answer() bool {
	return c.Realm != "" && c.Username != "" && strings.Contains(c.Password, userPlaceholder)
}

const userPlaceholder = "{user}"

// of returns the credentials for the phones of an address-of-record.
func (c *Credentials) of(aor string) (username, password string) {
	user := aor
	if i := strings.LastIndexByte(aor, '@'); i >= 0 {
		user = aor[:i]
	}
	r := strings.NewReplacer(userPlaceholder, user)
	return r.Replace(c.Username), r.Replace(c.Password)
}

// speaksForItself reports whether the phone's Contact is where it registered from: what is signed for it is good for
// nobody at another address.
func (f *push) speaksForItself() bool {
	u, err := wire.ParseURI([]byte(f.contact))
	if err != nil {
		return false
	}
	host, err := netip.ParseAddr(strings.Trim(string(u.Host), "[]"))
	return err == nil && host.Unmap() == f.flow.Remote.Addr().Unmap().WithZone("")
}

// answer sends the message once more with the answer to the challenge that a phone has met it with. It reports whether it
// did: not without credentials, not for another realm or another place, and not a second time, as a phone that has got an
// answer and challenges again does not like the password.
func (f *push) answer(m *wire.Message, out *transport.Outbox) bool {
	d := f.d
	d.mu.Lock()
	c := d.settings.Credentials
	username, password := c.of(f.phone.user.aor)
	answerable := c.Answer() && f.message != nil && f.speaksForItself() && !f.answered && !f.done
	f.answered = f.answered || answerable
	d.mu.Unlock()
	if !answerable {
		return false
	}
	challenge, name := "WWW-Authenticate", "Authorization"
	if m.Status == 407 {
		challenge, name = "Proxy-Authenticate", "Proxy-Authorization"
	}
	var sent wire.Message
	if err := sent.Parse(f.message); err != nil {
		return false
	}
	for it := m.Lines(challenge); it.Next(); { // RFC 8760 §2.4: the topmost that we can answer
		offer, err := digest.ParseChallenge(string(wire.AppendClean(nil, it.Value())))
		if err != nil || offer.Realm != c.Realm || !digest.CanDigest(offer) {
			continue
		}
		credentials, err := digest.Digest(offer, digest.Options{
			Method: "MESSAGE", URI: string(sent.RequestURI()), Username: username, Password: password,
			GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(sent.Body())), nil },
		})
		if err != nil {
			continue
		}
		f.transmit(appendAnswer(nil, &sent, name, credentials.String()), out)
		return true
	}
	return false
}

// appendAnswer appends the request as it was sent, with credentials: it has a branch of its own and the next CSeq, and all else is as before (RFC 3261 §22.2).
func appendAnswer(dst []byte, sent *wire.Message, name, credentials string) []byte {
	var e wire.Edits
	branch := sent.Via.Branch
	start := bytes.Index(sent.Raw, branch)
	e.Replace(start, start+len(branch))
	e.Text = appendRandom(append(e.Text, wire.MagicCookie...), 2)
	e.DeleteHeader(sent, "CSeq")
	e.AddHeader(sent, "CSeq", "2 MESSAGE")
	e.AddHeader(sent, name, credentials)
	return e.Append(dst, sent.Raw)
}

// setCredentials has everything sent again that phones refused for want of other credentials. The caller holds the lock.
func (d *Delivery) setCredentials() {
	for aor, u := range d.users {
		for _, p := range u.phones {
			if p.flight != nil {
				p.flight.stale = true // it may still be refused for want of them
			}
			for i, k := range p.keys {
				if k.status == 401 || k.status == 407 {
					p.keys[i] = keyState{key: k.key}
					d.behind.Mark(aor)
				}
			}
		}
	}
}
