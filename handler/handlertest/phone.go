package handlertest

import (
	"fmt"
	"slices"
	"strings"
)

// Phone is a peer that speaks for a user.
type Phone struct {
	*Peer
	User string

	s     *Server
	calls int
}

// Phone makes a phone that has registered by UDP. headers are further lines of its REGISTER, such
// as "User-Agent: snomD785/10.1.159.12".
func (s *Server) Phone(user string, headers ...string) *Phone {
	s.t.Helper()
	p := &Phone{Peer: s.UDP(), User: user, s: s}
	p.Request("REGISTER", "sip:"+s.Addr.Addr().String(), append([]string{"To: <" + s.URI(user) + ">", "Expires: 600"}, headers...)...)
	p.Expect("SIP/2.0 200")
	return p
}

// Request sends a request that belongs to no dialog. headers are further lines; one that begins as
// one of the usual lines stands in its place. What follows a line that is empty is the body.
func (p *Phone) Request(method, uri string, headers ...string) {
	p.t.Helper()
	p.calls++
	lines := []string{
		"Via: SIP/2.0/{transport} {me};branch={branch};rport",
		"Max-Forwards: 70",
		fmt.Sprintf("From: <%s>;tag=%s", p.s.URI(p.User), p.User),
		"To: <" + uri + ">",
		fmt.Sprintf("Call-ID: %s-%d-%d", p.User, p.Addr.Port(), p.calls),
		fmt.Sprintf("CSeq: %d %s", p.calls, method),
		fmt.Sprintf("Contact: <sip:%s@{me}>", p.User),
	}
	body := ""
	for i, line := range headers {
		if line == "" {
			body = strings.Join(headers[i+1:], "\n")
			break
		}
		name, _, _ := strings.Cut(line, ":")
		usual := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+":") })
		if usual >= 0 {
			lines[usual] = line
		} else {
			lines = append(lines, line)
		}
	}
	p.Send(method + " " + uri + " SIP/2.0\n" + strings.Join(lines, "\n") + "\n\n" + body)
}
