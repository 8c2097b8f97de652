package routetoken

import (
	"bytes"

	"github.com/caddysip/caddysip/internal/wire"
)

// Site tells what is ours. The app is one.
type Site interface {
	// IsLocal tells whether a host is a domain or an address that is served.
	IsLocal(host []byte) bool

	// IsSelf tells whether a URI names this server itself: a host of ours, and a port that is listened on, or none.
	IsSelf(u *wire.URI) bool
}

// IsOurs tells whether a URI names a domain that is served: the host is ours, and the port and maddr, if there are any, too.
func IsOurs(site Site, u *wire.URI) bool {
	if u.Scheme != wire.SIP && u.Scheme != wire.SIPS || !site.IsLocal(u.Host) || u.Port != 0 && !site.IsSelf(u) {
		return false
	}
	maddr, ok := u.Param("maddr")
	return !ok || site.IsLocal(maddr)
}

// Routes is what the Route of a request says. It is a view of the request.
type Routes struct {
	URI       wire.URI // the Request-URI; after a strict router, the one before it
	InCall    bool     // a value of ours belongs to this call
	To        Hop      // where that value says the request goes; not valid: where Next or URI do
	Pop       int      // how many Route values in front name us
	Socket    wire.URI // the last of these, if there are several: it names the socket on the other side
	HasSocket bool
	Next      wire.URI // of the value that follows ours
	HasNext   bool
	Loose     bool // Next has lr
	Unstrict  bool // a strict router was before us: the last Route is the Request-URI
}

// WithinCall tells whether a request belongs to a call that was set up through here, and leads away from here.
func (rs *Routes) WithinCall(site Site) bool {
	return rs.InCall && (rs.To.Addr.IsValid() || rs.HasNext || !site.IsSelf(&rs.URI))
}

// ReadRoutes reads the Route values in front that name us, and the one after them. uri is the Request-URI.
func (s *Signer) ReadRoutes(m *wire.Message, uri *wire.URI, site Site) (rs Routes, err error) {
	rs.URI = *uri
	if !m.Has(wire.Route) {
		return rs, nil
	}
	last, err := s.undoStrictRouting(m, &rs)
	if err != nil {
		return rs, err
	}
	var own []byte
	for v := m.Values(wire.Route); v.Next(); {
		if start, _ := v.Span(); start == last {
			break
		}
		u, err := ParseURI(v.Value())
		if err != nil {
			return rs, err
		}
		if !IsOurs(site, &u) {
			rs.Next, rs.HasNext = u, true
			_, rs.Loose = u.Param("lr")
			break
		}
		// Between two sockets of ours there is a value for each, with the same token. The last is the one on the side that the request goes to.
		if rs.Pop > 0 {
			rs.Socket, rs.HasSocket = u, true
		}
		if rs.Pop == 0 || !bytes.Equal(u.User, own) {
			own = u.User
			s.readOwn(m, own, &rs)
		}
		rs.Pop++
	}
	return rs, nil
}

// readOwn reads what a Route value of ours says of the call.
func (s *Signer) readOwn(m *wire.Message, user []byte, rs *Routes) bool {
	if m.ToTag() == nil {
		return false
	}
	to, ok := s.Read(user, m.Header(wire.CallID), m.FromTag(), m.ToTag())
	if ok {
		rs.InCall, rs.To = true, to
	}
	return ok
}

// undoStrictRouting finds out whether a strict router before us made our Record-Route the Request-URI, and the Request-URI the last Route
// (RFC 3261 §16.4). It returns where in the request that value is, 0 when that is not so.
func (s *Signer) undoStrictRouting(m *wire.Message, rs *Routes) (last int, err error) {
	if _, lr := rs.URI.Param("lr"); !lr || !s.readOwn(m, rs.URI.User, rs) {
		return 0, nil
	}
	var value []byte
	for v := m.Values(wire.Route); v.Next(); {
		value = v.Value()
		last, _ = v.Span()
	}
	rs.Unstrict = true
	rs.URI, err = ParseURI(value)
	return last, err
}

// ParseURI returns the URI of a Route value.
func ParseURI(value []byte) (wire.URI, error) {
	a, err := wire.ParseNameAddr(value)
	if err != nil {
		return wire.URI{}, err
	}
	return wire.ParseURI(a.URI)
}
