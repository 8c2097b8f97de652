package location

import (
	"net/netip"
	"time"
	"unique"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

// Binding is one Contact of an address-of-record. It never changes once the store has handed it
// out: a refresh replaces it with another one. So it may be kept, and read from any goroutine.
//
// A server holds one for each registered phone, a million of them if need be, which is why the
// layout is packed: the texts are one block that a refresh shares with the binding it replaces, and
// what many phones have in common is interned.
type Binding struct {
	next *Binding // the AOR's next binding in order of preference; guarded by the shard's lock
	// data is AOR, Contact, Call-ID, instance, Path and the source's address, one after the other,
	// without what is in shared.
	data   string
	shared *shared
	socket unique.Handle[socket]
	conn   *transport.Conn

	expires    uint32 // seconds since 1970 by the store's clock, like the next two
	registered uint32
	updated    uint32
	cseq       uint32
	regID      uint32
	sourcePort uint16
	qFlags     uint16    // q in thousandths, and the flags
	ends       [4]uint16 // where AOR, Contact, Call-ID and instance end in data
}

// The flags of a binding, in the bits of qFlags that q leaves free. See supersedes.
const (
	qMask      = 1<<10 - 1
	superseded = 1 << 10 // its device has registered another Contact since
	confirmed  = 1 << 11 // it was superseded or superseding, and both are devices of their own
	relayed    = 1 << 12 // the REGISTER came through a proxy
	indexed    = 1 << 13 // Contact and address-of-record have different users
)

// socket is what the phones that registered over the same listening socket have in common.
type socket struct {
	network  transport.Network
	local    netip.AddrPort
	listener *transport.Listener
	sourceIP int    // length of the source's address at the end of data: 4 or 16 bytes
	zone     string // IPv6 zone of a link-local source
}

func socketOf(f transport.Flow) socket {
	ip := f.Remote.Addr()
	return socket{f.Network, f.Local, f.Listener, ip.BitLen() / 8, ip.Zone()}
}

// AOR returns the canonical address-of-record, as wire.URI.AppendAOR writes it.
func (b *Binding) AOR() string {
	if b.shared.several() {
		return b.shared.aor
	}
	return b.data[:b.ends[0]]
}

// Contact returns the Contact URI with its parameters, as it was registered: the Request-URI to
// reach the phone with.
func (b *Binding) Contact() string { return b.data[b.ends[0]:b.ends[1]] }

// CallID returns the Call-ID of the REGISTER that last set the binding.
func (b *Binding) CallID() string {
	if b.shared.several() {
		return b.shared.callID
	}
	return b.data[b.ends[1]:b.ends[2]]
}

// CSeq returns the sequence number of the REGISTER that last set the binding.
func (b *Binding) CSeq() uint32 { return b.cseq }

// Q returns the Contact's q value in thousandths, 0 to 1000.
func (b *Binding) Q() int { return int(b.qFlags & qMask) }

// Superseded reports whether the device has registered another Contact since, as phones do after a
// restart or a move. It is not called here any more. The binding is kept until it expires, in case
// it belongs to another device after all: when it is refreshed it counts again.
func (b *Binding) Superseded() bool { return b.qFlags&superseded != 0 }

// withFlag returns a copy of b with one more flag.
func (b *Binding) withFlag(flag uint16) *Binding {
	other := *b
	other.next = nil
	other.qFlags |= flag
	return &other
}

// Instance returns the +sip.instance parameter as it was given to Update, empty if there was none
// (RFC 5626 §4.1).
func (b *Binding) Instance() string { return b.data[b.ends[2]:b.ends[3]] }

// RegID returns the reg-id parameter, 0 if there was none or no instance with it (RFC 5626 §4.2):
// bindings of one instance with different ones are ways to the same phone.
func (b *Binding) RegID() uint32 { return b.regID }

// Path returns the values of Path, separated by commas, empty if there was none (RFC 3327).
func (b *Binding) Path() string {
	if b.shared.several() {
		return b.shared.path
	}
	return b.data[b.ends[3] : len(b.data)-b.socket.Value().sourceIP]
}

// UserAgent returns the User-Agent of the REGISTER that last set the binding.
func (b *Binding) UserAgent() string { return b.shared.agent }

// Owner returns the authenticated user who registered the binding, empty if that was the user of
// the address-of-record.
func (b *Binding) Owner() string { return b.shared.owner }

// Source returns where the REGISTER really came from, whatever its Contact says: a phone behind NAT
// is reached there.
func (b *Binding) Source() netip.AddrPort {
	s := b.socket.Value()
	var buf [16]byte
	n := copy(buf[:], b.data[len(b.data)-s.sourceIP:])
	ip, _ := netip.AddrFromSlice(buf[:n])
	return netip.AddrPortFrom(ip.WithZone(s.zone), b.sourcePort)
}

// Network returns the transport that the REGISTER came over.
func (b *Binding) Network() transport.Network { return b.socket.Value().network }

// Flow returns the flow that the REGISTER came over. For a restored binding it has neither a
// listener nor a connection: over UDP, look up the listener for Local.
func (b *Binding) Flow() transport.Flow {
	s := b.socket.Value()
	return transport.Flow{
		Network:  s.network,
		Remote:   b.Source(),
		Local:    s.local,
		Listener: s.listener,
		Conn:     b.conn,
	}
}

// FlowFailed reports whether the connection that the phone registered over has closed, so that the
// flow leads nowhere. What to do then is the caller's choice: dial the Contact or, as RFC 5626 §5.3
// demands for a binding with a reg-id, answer 430. It is never true on UDP.
func (b *Binding) FlowFailed() bool {
	if b.conn == nil {
		return b.Network().Reliable()
	}
	select {
	case <-b.conn.Done():
		return true
	default:
		return false
	}
}

// moved reports whether b, which replaces old, differs from it in more than the time.
func (b *Binding) moved(old *Binding) bool {
	if b.sourcePort != old.sourcePort || b.conn != old.conn || b.socket != old.socket {
		return true
	}
	if b.shared == old.shared {
		return b.data != old.data
	}
	return b.UserAgent() != old.UserAgent() || b.CallID() != old.CallID() ||
		b.Path() != old.Path() || b.Contact() != old.Contact() ||
		b.Instance() != old.Instance() || b.Source() != old.Source()
}

// Expires returns when the binding ends unless it is refreshed. This time and the next two are by
// the store's clock; Store.WallTime converts them. To tell the phone how many seconds are left, use
// Store.Remaining.
func (b *Binding) Expires() time.Time { return time.Unix(int64(b.expires), 0) }

// Registered returns since when the Contact has been bound without a gap.
func (b *Binding) Registered() time.Time { return time.Unix(int64(b.registered), 0) }

// Updated returns when the binding was last refreshed.
func (b *Binding) Updated() time.Time { return time.Unix(int64(b.updated), 0) }
