package uac

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// Request is a request outside any dialog. Flow, SentBy, Method, URI, From and To must be set.
type Request struct {
	Flow   transport.Flow // the way to whom it is for
	SentBy wire.HostPort  // the host and port at which he reaches us, for Via and Contact

	Method      string
	URI         []byte // the Request-URI: the Contact of whom it is for, as he has given it
	From        []byte // a URI
	To          []byte // a URI
	Path        []byte // of the registration; it becomes the Route (RFC 3327 §5.3). nil: none
	Contact     bool   // whether the request has a Contact, which is then SentBy
	Header      []byte // further header lines with their line ends, as wire.AppendHeader writes
	ContentType string // empty: no body
	Body        []byte

	// Credentials are what a challenge is answered with, one for each realm; none: no challenge is
	// answered. AOR is whose phone it is: {user} in them stands for its user part.
	Credentials []Credentials
	AOR         string

	// Validated says that what is sent is known to be received, whatever Client.Validated says.
	Validated bool
}

// SetAOR makes the request one to the phones of an address-of-record: it sets From, which is the
// server in the same domain, To and AOR. The memory of From and To is used again.
func (r *Request) SetAOR(aor string) {
	user, domain := splitAOR(aor)
	r.AOR = aor
	r.From = append(append(r.From[:0], "sip:server@"...), domain...)
	r.To = append(r.To[:0], "sip:"...)
	if user != "" {
		r.To = append(wire.AppendEscapedUser(r.To, user), '@')
	}
	r.To = append(r.To, domain...)
}

// splitAOR returns the user part, whose escapes are undone, and the domain.
func splitAOR(aor string) (user, domain string) {
	if at := strings.LastIndexByte(aor, '@'); at >= 0 {
		return aor[:at], aor[at+1:]
	}
	return "", aor
}

// BodyRoom returns how long Body may be for the request to fit into MaxDatagram, and with it the
// answer to a challenge of a usual length. There is no limit but over UDP, where it may even be
// negative.
func (r *Request) BodyRoom() int {
	if r.Flow.Network != transport.UDP {
		return math.MaxInt
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	bare := *r
	bare.Body = nil
	s.message = s.appendRequest(s.message[:0], &bare)
	room := MaxDatagram - len(s.message) - 2 // its length has up to three digits, not one
	if r.signed() {
		room -= answerRoom + len(r.URI)
	}
	return room
}

// appendRequest appends the request, with identifiers of its own.
func (s *scratch) appendRequest(dst []byte, r *Request) []byte {
	uri := requestURI(r.URI)
	text := append(append(append(s.text[:0], '<'), r.To...), '>')
	to := len(text)
	text = r.SentBy.Append(text)
	sentBy := len(text)
	text = appendBranch(text)
	branch := len(text)
	text = appendRandom(text, 1)
	tag := len(text)
	text = appendRandom(text, 2)
	callID := len(text)
	f := wire.RequestFields{
		Method:      r.Method,
		URI:         uri,
		Transport:   r.Flow.Network.Token(),
		SentBy:      text[to:sentBy],
		Branch:      text[sentBy:branch],
		From:        r.From,
		FromTag:     text[branch:tag],
		To:          text[:to],
		CallID:      text[tag:callID],
		CSeq:        1,
		Header:      r.Header,
		ContentType: r.ContentType,
		Body:        r.Body,
	}
	if r.Path != nil {
		f.Route = [][]byte{r.Path}
	}
	if r.Contact {
		text = append(append(text, "sip:"...), f.SentBy...)
		if r.Flow.Network != transport.UDP {
			text = append(append(text, ";transport="...), r.Flow.Network.String()...)
		}
		f.Contact = text[callID:]
	}
	s.text, s.branch = text, text[sentBy:branch]
	return wire.AppendRequest(dst, &f)
}

// requestURI returns a Contact without the headers that no Request-URI has (RFC 3261 §19.1.1).
func requestURI(contact []byte) []byte {
	if u, err := wire.ParseURI(contact); err == nil {
		return u.WithoutHeaders()
	}
	return contact
}

func appendBranch(dst []byte) []byte { return appendRandom(append(dst, wire.MagicCookie...), 2) }

// appendRandom appends n random words of 16 hexadecimal digits, which nobody can guess.
func appendRandom(dst []byte, n int) []byte {
	for range n {
		dst = strconv.AppendUint(dst, rand.Uint64()|1<<63, 16)
	}
	return dst
}
