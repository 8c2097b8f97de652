package proxy

import (
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// best is the best final response so far (RFC 3261 §16.7 step 6).
type best struct {
	status     int
	rank       int    // the lower the better
	raw        []byte // nil: nobody sent it, it stands for no answer
	by         string
	challenges []byte // those of all 401 and 407 (step 7)
	challenged int    // how many there were
}

// consider takes a final response other than 2xx. m is nil when there was none; own says that we
// never reached who should have sent it.
func (b *best) consider(m *wire.Message, status int, by string, own bool) {
	if m != nil && (status == 401 || status == 407) {
		b.challenges = appendChallenges(b.challenges, m)
		b.challenged++
	}
	r := rank(status)
	if own {
		r += worst
	}
	if b.status != 0 && r >= b.rank {
		return
	}
	b.status, b.rank, b.raw, b.by = status, r, nil, by
	if m != nil {
		b.raw = append([]byte(nil), m.Raw...)
	}
}

// worst is more than any rank. What a phone has said goes before what we say of one that could not
// be reached: a binding that is left over must not hide that the user is busy.
const worst = 10

// rank orders final responses, the best first: 6xx, then the lower class. Among 4xx those go before
// others that tell the caller what to do, then comes that the user is busy, and what merely says
// that nobody answered goes last of all.
func rank(status int) int {
	switch {
	case status >= 600:
		return 0
	case status < 400:
		return 1
	case status == 401, status == 407, status == 415, status == 420, status == 484:
		return 2
	case status == 486:
		return 3
	case status == 408:
		return 5
	case status < 500:
		return 4
	case status == 503:
		return 7
	}
	return 6
}

func appendChallenges(dst []byte, m *wire.Message) []byte {
	for _, name := range [...]string{"WWW-Authenticate", "Proxy-Authenticate"} {
		for it := m.Lines(name); it.Next(); {
			dst = wire.AppendHeader(dst, name, it.Value())
		}
	}
	return dst
}

// response returns the response to send.
func (b *best) response() *module.Response {
	res := &module.Response{Status: b.status, By: b.by}
	switch {
	case b.status == 0:
		res.Status = 480 // no target was left to try
	case b.status == 503:
		// It would say that we are overloaded, not one of many behind us (RFC 3261 §16.7 step 6).
		res.Status = 500
	case b.raw != nil:
		m := new(wire.Message)
		if m.Parse(b.raw) != nil {
			res.Status = 502
			break
		}
		if b.challenged > 1 && (b.status == 401 || b.status == 407) {
			m = b.withChallenges(m)
		}
		res.Relay = m
	}
	return res
}

// withChallenges returns the response with the challenges of all branches.
func (b *best) withChallenges(m *wire.Message) *wire.Message {
	var e wire.Edits
	e.DeleteHeader(m, "WWW-Authenticate")
	e.DeleteHeader(m, "Proxy-Authenticate")
	e.InsertHeaders(m, b.challenges)
	all := new(wire.Message)
	if all.Parse(e.Append(nil, m.Raw)) != nil {
		return m
	}
	return all
}
