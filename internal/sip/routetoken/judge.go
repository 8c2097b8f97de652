package routetoken

import (
	"bytes"
	"net/netip"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// Sender is what is known of the sender of a request.
type Sender struct {
	Flow    transport.Flow
	User    string // the user whose credentials it had; empty: none
	Trusted bool   // the configuration trusts the address
}

// Standing is what the token of a request entitles its sender to.
type Standing uint8

const (
	None     Standing = iota // no valid token for this call, or the sender is neither of its ends
	Over                     // the sender is an end of a call that has ended
	Admitted                 // the request may go to the other end, and nowhere else
)

// judge decides whether a request may use a token, as the end of the call that it says to come
// from.
func (s *Signer) judge(m *wire.Message, t *Token, call *Call, from *End, sender *Sender) Standing {
	if !s.Calls.fresh(t.Made) || !s.comesFrom(m, from, sender) {
		return None
	}
	return s.judgeTime(m, t, call)
}

// judgeTime decides whether a token's call is still up.
func (s *Signer) judgeTime(m *wire.Message, t *Token, call *Call) Standing {
	switch {
	case !s.Calls.fresh(t.Made):
		return None
	case s.Calls.over(*call) && !(reportsTransfer(m) && s.Calls.refers(*call)):
		return Over
	}
	return Admitted
}

// comesFrom reports whether a request comes from an end of a call: from its hop, or, because that
// may have moved, from a neighbour that is trusted, or from the user who is there, who shows it by
// credentials or by coming from where he is registered.
func (s *Signer) comesFrom(m *wire.Message, from *End, sender *Sender) bool {
	switch f := &sender.Flow; {
	case from.isAt(f), sender.Trusted:
		return true
	case from.User == 0:
		return false
	case sender.User != "" && from.User == Identity(sender.User):
		return true
	default:
		v := s.get()
		defer s.put(v)
		aor, ours := s.aorOf(v, m, wire.From)
		return ours && from.User == Identity(aor) && (sender.User != "" || s.bound(aor, f))
	}
}

// isAt reports whether packets of a flow come from an end's hop. A peer that listens where we have
// connected to may have a connection of its own to us.
func (e *End) isAt(f *transport.Flow) bool {
	if f.Network != e.Network {
		return false
	}
	at := f.Remote
	if e.Addr.Addr().Zone() == "" { // as in tokens that had none
		at = netip.AddrPortFrom(at.Addr().WithZone(""), at.Port())
	}
	return at == e.Addr || e.Dialed && at.Addr() == e.Addr.Addr()
}

// aorOf returns the address-of-record in From or To, and reports whether it is one of ours.
func (s *Signer) aorOf(v *scratch, m *wire.Message, id wire.HeaderID) (aor []byte, ours bool) {
	a, err := m.Address(id)
	if err != nil {
		return nil, false
	}
	if v.uri, err = wire.ParseURI(a.URI); err != nil {
		return nil, false
	}
	return s.Site.AppendAOR(v.aor[:0], &v.uri)
}

// bound reports whether an address-of-record is registered from a flow.
func (s *Signer) bound(aor []byte, f *transport.Flow) bool {
	var room [8]*location.Binding
	for _, b := range s.Site.Location().All(aor, room[:0]) {
		if b.Network() == f.Network && b.Source() == f.Remote && !b.FlowFailed() {
			return true
		}
	}
	return false
}

// Registered reports whether a request comes from where the user in its From is registered.
func (s *Signer) Registered(m *wire.Message, f *transport.Flow) bool {
	v := s.get()
	defer s.put(v)
	aor, ours := s.aorOf(v, m, wire.From)
	return ours && s.bound(aor, f)
}

// Caller returns who is at the end that a request comes from, for its token: the user in its From,
// if it comes from where he is registered or has credentials.
func (s *Signer) Caller(m *wire.Message, sender Sender) uint32 {
	v := s.get()
	defer s.put(v)
	aor, ours := s.aorOf(v, m, wire.From)
	switch {
	case ours && (sender.User != "" || s.bound(aor, &sender.Flow)):
		return Identity(aor)
	case sender.User != "":
		return Identity(sender.User)
	}
	return 0
}

// Moved returns the binding of the user whom a request within a call is for, if that user has left
// the hop of the end: the Request-URI must be the Contact registered from elsewhere. It returns nil
// if the user is still there, or if nothing better is known.
func (s *Signer) Moved(m *wire.Message, rs *Routes) *location.Binding {
	if rs.To.User == 0 || rs.HasNext {
		return nil
	}
	v := s.get()
	defer s.put(v)
	aor, ours := s.aorOf(v, m, wire.To)
	if !ours || rs.To.User != Identity(aor) {
		return nil
	}
	var room [8]*location.Binding
	bindings := s.Site.Location().All(aor, room[:0])
	b := contactOf(bindings, &rs.URI)
	if b == nil {
		return nil
	}
	if f := b.Flow(); rs.To.isAt(&f) && !b.FlowFailed() {
		return nil
	}
	return b
}

// contactOf returns the binding whose Contact a URI is, nil if there is none.
func contactOf(bindings []*location.Binding, uri *wire.URI) *location.Binding {
	for _, b := range bindings {
		if b.Contact() == string(uri.Raw) { // most often
			return b
		}
	}
	var want, have wire.URIFingerprint
	want.Set(uri)
	for _, b := range bindings {
		if u, err := wire.ParseURI([]byte(b.Contact())); err == nil {
			if have.Set(&u); have.Equal(&want) {
				return b
			}
		}
	}
	return nil
}

// Identity returns a short name for an address-of-record or a user, never 0. It is FNV-1a: its
// input is no secret, and two users with the same name are no danger, since both have shown who
// they are.
func Identity[T ~string | ~[]byte](user T) uint32 {
	h := uint32(2166136261)
	for i := range len(user) {
		h = (h ^ uint32(user[i])) * 16777619
	}
	return max(h, 1)
}

// reportsTransfer reports whether a request reports the progress of a transfer, which it may do
// after the call that was transferred (RFC 5057 §5).
func reportsTransfer(m *wire.Message) bool {
	if m.Method != wire.NOTIFY {
		return false
	}
	event, _, _ := bytes.Cut(m.Header(wire.Event), []byte(";"))
	return wire.EqualFold(bytes.TrimSpace(event), "refer")
}
