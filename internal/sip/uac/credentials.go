package uac

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"github.com/icholy/digest"

	"github.com/caddysip/caddysip/wire"
)

// Credentials are what challenges of one realm are answered with. {user} in Username and Password
// stands for the user whose phone is asked.
//
// Anybody may register a phone and challenge what comes, with the challenge that he got from
// another phone. What he gets must be good for his own phone alone. So nothing is signed for a
// realm that is not configured, nothing with a password that does not have {user} in it, and
// nothing for a phone whose Contact is not where it registered from: a digest has the Request-URI
// in it.
type Credentials struct {
	Realm, Username, Password string
}

const userPlaceholder = "{user}"

// usable reports whether challenges are answered with c.
func (c *Credentials) usable() bool {
	return c.Realm != "" && c.Username != "" && strings.Contains(c.Password, userPlaceholder)
}

// signer answers the challenge that a request meets.
type signer struct {
	credentials []Credentials
	aor         string
	request     []byte // as it was sent
}

// newSigner returns what answers a challenge of r, whose bytes message is; nil when none is
// answered.
func newSigner(r *Request, message []byte) *signer {
	if !r.signed() {
		return nil
	}
	// A copy: the memory of message is soon another's.
	return &signer{r.Credentials, r.AOR, bytes.Clone(message)}
}

// signed reports whether a challenge of r is answered.
func (r *Request) signed() bool {
	for i := range r.Credentials {
		if r.Credentials[i].usable() {
			return r.isSentToContact()
		}
	}
	return false
}

// isSentToContact reports whether the Contact of whom r is for is where it is sent: what is signed
// for him is good for nobody at another address.
func (r *Request) isSentToContact() bool {
	u, err := wire.ParseURI(r.URI)
	if err != nil {
		return false
	}
	addr, literal := wire.HostAddr(u.Host)
	return literal && addr == r.Flow.Remote.Addr().Unmap().WithZone("")
}

// answer returns the request with the answer to the challenge m, nil when there is none to give. Of
// several challenges the topmost that can be answered counts (RFC 8760 §2.4).
func (s *signer) answer(m *wire.Message) []byte {
	challenge, name := "WWW-Authenticate", "Authorization"
	if m.Status == 407 {
		challenge, name = "Proxy-Authenticate", "Proxy-Authorization"
	}
	var sent wire.Message
	if err := sent.Parse(s.request); err != nil {
		return nil
	}
	for it := m.Lines(challenge); it.Next(); {
		offer, err := digest.ParseChallenge(string(wire.AppendClean(nil, it.Value())))
		if err != nil || !digest.CanDigest(offer) {
			continue
		}
		if credentials := s.sign(offer, &sent); credentials != "" {
			return appendAnswer(nil, &sent, name, credentials)
		}
	}
	return nil
}

// sign returns the credentials for a challenge, empty when its realm is not one of ours.
func (s *signer) sign(offer *digest.Challenge, sent *wire.Message) string {
	for i := range s.credentials {
		c := &s.credentials[i]
		if !c.usable() || c.Realm != offer.Realm {
			continue
		}
		name, _ := splitAOR(s.aor)
		user := strings.NewReplacer(userPlaceholder, name)
		signed, err := digest.Digest(offer, digest.Options{
			Method:   string(sent.MethodName()),
			URI:      string(sent.RequestURI()),
			Username: user.Replace(c.Username),
			Password: user.Replace(c.Password),
			GetBody: func() (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(sent.Body())), nil
			},
		})
		if err != nil {
			return ""
		}
		return signed.String()
	}
	return ""
}

// answerRoom is how many bytes a usual answer to a challenge adds to a request, without the URI
// that is in it.
const answerRoom = 400

// appendAnswer appends the request as it was sent, with credentials: it has a branch of its own and
// the next CSeq, and all else is as before (RFC 3261 §22.2).
func appendAnswer(dst []byte, sent *wire.Message, name, credentials string) []byte {
	var e wire.Edits
	branch := sent.Via.Branch
	start := bytes.Index(sent.Raw, branch)
	e.Replace(start, start+len(branch))
	e.Text = appendBranch(e.Text)
	e.DeleteHeader(sent, "CSeq")
	cseq := strconv.AppendUint(nil, uint64(sent.CSeq)+1, 10)
	e.AddHeader(sent, "CSeq", string(append(append(cseq, ' '), sent.MethodName()...)))
	e.AddHeader(sent, name, credentials)
	return e.Append(dst, sent.Raw)
}
