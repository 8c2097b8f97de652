package routetoken

import (
	"bytes"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/wire"
)

// Site is the server that the tokens are of. The app is one.
type Site interface {
	// IsLocal reports whether a host is a domain or an address that is served.
	IsLocal(host []byte) bool

	// IsSelf reports whether a URI names this server itself: a host of ours, and a port that is
	// listened on, or none.
	IsSelf(u *wire.URI) bool

	// Serves reports whether a URI is one at a domain that is served.
	Serves(u *wire.URI) bool

	// AppendAOR appends the address-of-record that a URI names, and reports whether it is one at a
	// domain that is served.
	AppendAOR(dst []byte, u *wire.URI) ([]byte, bool)

	// Location returns who is registered.
	Location() *location.Store

	// Secret returns the key that tokens are signed with.
	Secret() []byte
}

// IsOurs reports whether a URI names a domain that is served: the host is ours, and so are the port
// and maddr, if there are any.
func IsOurs(site Site, u *wire.URI) bool {
	if u.Scheme != wire.SIP && u.Scheme != wire.SIPS || !site.Serves(u) {
		return false
	}
	maddr, ok := u.Param("maddr")
	return !ok || site.IsLocal(maddr)
}

// maxTokens is how many tokens in a row, of which the server is itself the other end, are read at
// once. A request with more of them is sent to the server itself.
const maxTokens = 2

// Routes is what the Route of a request says. It is a view of the request.
type Routes struct {
	URI       wire.URI // the Request-URI; after a strict router, the one before it
	Standing  Standing // whether the sender may use the tokens in it
	From, To  End      // the ends of the call that the request comes from and goes to, unless None
	Pop       int      // how many Route values in front name us
	Socket    wire.URI // the last of several of these: it names the socket on the other side
	HasSocket bool
	Next      wire.URI // of the value that follows ours
	HasNext   bool
	Loose     bool // Next has lr
	Unstrict  bool // a strict router was before us: the last Route is the Request-URI

	calls [maxTokens]Call // of the tokens
	n     int
}

// Calls returns the calls that the request belongs to. There are several when one call comes
// through here more than once.
func (rs *Routes) Calls() []Call { return rs.calls[:rs.n] }

// ReadRoutes reads the Route values in front that name us, and the one after them. uri is the
// Request-URI.
func (s *Signer) ReadRoutes(m *wire.Message, uri *wire.URI, from Sender) (rs Routes, err error) {
	rs.URI = *uri
	if !m.Has(wire.Route) {
		return rs, nil
	}
	last, own, err := s.undoStrictRouting(m, &rs, &from)
	if err != nil {
		return rs, err
	}
	room := s.get()
	defer s.put(room)
	u := &room.uri
	for v := m.Values(wire.Route); v.Next(); {
		if start, _ := v.Span(); start == last {
			break
		}
		if *u, err = ParseURI(v.Value()); err != nil {
			return rs, err
		}
		// Between two sockets of ours there is a value for each, with the same token. The last is
		// the one on the side that the request goes to.
		known := len(own) > 0 && bytes.Equal(u.User, own)
		if !IsOurs(s.Site, u) || !known && !s.enter(m, u.User, &rs, &from) {
			rs.Next, rs.HasNext = *u, true
			_, rs.Loose = u.Param("lr")
			break
		}
		if own = u.User; rs.Pop > 0 {
			rs.Socket, rs.HasSocket = *u, true
		}
		rs.Pop++
	}
	return rs, nil
}

// enter takes account of a Route value that names us. It returns false when the request reaches
// that value only by way of another server.
func (s *Signer) enter(m *wire.Message, user []byte, rs *Routes, sender *Sender) bool {
	if len(user) == 0 || m.ToTag() == nil {
		return true
	}
	t, caller, ok := s.Read(user, m.Header(wire.CallID), m.FromTag(), m.ToTag())
	if !ok {
		return true // it says nothing
	}
	from, to := &t.Caller, &t.Callee
	if !caller {
		from, to = to, from
	}
	call := Call{t.ID, s.Calls.Dialog(m.FromTag(), m.ToTag()), t.Invite}
	switch {
	case rs.n == 0:
		rs.Standing = s.judge(m, &t, &call, from, sender)
		rs.From = *from
	case rs.n == maxTokens || !s.isSelf(&rs.To.Hop) || !s.isLocal(&from.Hop):
		return false
	case rs.Standing == Admitted: // it came from ourselves
		rs.Standing = s.judgeTime(m, &t, &call)
	}
	rs.To = *to
	rs.calls[rs.n] = call
	rs.n++
	return true
}

// isSelf reports whether we listen at a hop.
func (s *Signer) isSelf(h *Hop) bool {
	return s.Site.IsSelf(&wire.URI{Scheme: wire.SIP, Host: wire.AppendHost(nil, h.Addr.Addr()), Port: h.Addr.Port()})
}

// isLocal reports whether a hop is at an address of ours.
func (s *Signer) isLocal(h *Hop) bool { return s.Site.IsLocal(wire.AppendHost(nil, h.Addr.Addr())) }

// undoStrictRouting finds out whether a strict router before us made our Record-Route the
// Request-URI, and the Request-URI the last Route (RFC 3261 §16.4). It returns where in the request
// that value is, or 0 if there was no strict router, and the user part of our Record-Route.
func (s *Signer) undoStrictRouting(m *wire.Message, rs *Routes, from *Sender) (last int, own []byte, err error) {
	if _, lr := rs.URI.Param("lr"); !lr {
		return 0, nil, nil
	}
	own = rs.URI.User
	if s.enter(m, own, rs, from); rs.n == 0 {
		return 0, nil, nil
	}
	var value []byte
	for v := m.Values(wire.Route); v.Next(); {
		value = v.Value()
		last, _ = v.Span()
	}
	rs.Unstrict = true
	rs.URI, err = ParseURI(value)
	return last, own, err
}

// ParseURI returns the URI of a Route value.
func ParseURI(value []byte) (wire.URI, error) {
	a, err := wire.ParseNameAddr(value)
	if err != nil {
		return wire.URI{}, err
	}
	return wire.ParseURI(a.URI)
}
