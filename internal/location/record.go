package location

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// Record is everything known about a binding, except its connection, in a form that can be stored.
type Record struct {
	AOR        string         `json:"aor"`
	Contact    string         `json:"contact"`
	CallID     string         `json:"call_id"`
	CSeq       uint32         `json:"cseq"`
	Q          uint16         `json:"q"`
	Instance   string         `json:"instance,omitempty"`
	RegID      uint32         `json:"reg_id,omitempty"`
	Path       string         `json:"path,omitempty"`
	UserAgent  string         `json:"user_agent,omitempty"`
	Owner      string         `json:"owner,omitempty"`
	Network    string         `json:"network"` // udp, tcp, tls, ws or wss
	Source     netip.AddrPort `json:"source"`
	Local      netip.AddrPort `json:"local"`
	Expires    time.Time      `json:"expires"`
	Registered time.Time      `json:"registered"`
	Updated    time.Time      `json:"updated"`

	// See Binding.Superseded and Update.Relayed. Confirmed: the instance is known to belong to
	// several devices.
	Superseded bool `json:"superseded,omitempty"`
	Confirmed  bool `json:"confirmed,omitempty"`
	Relayed    bool `json:"relayed,omitempty"`
}

// Record returns the binding's content, with times by the store's clock.
func (b *Binding) Record() Record {
	return Record{
		AOR:        b.AOR(),
		Contact:    b.Contact(),
		CallID:     b.CallID(),
		CSeq:       b.cseq,
		Q:          uint16(b.Q()),
		Instance:   b.Instance(),
		RegID:      b.regID,
		Path:       b.Path(),
		UserAgent:  b.UserAgent(),
		Owner:      b.Owner(),
		Network:    b.Network().String(),
		Source:     b.Source(),
		Local:      b.socket.Value().local,
		Expires:    b.Expires(),
		Registered: b.Registered(),
		Updated:    b.Updated(),

		Superseded: b.Superseded(),
		Confirmed:  b.qFlags&confirmed != 0,
		Relayed:    b.qFlags&relayed != 0,
	}
}

// MaxText is how many bytes each text of a binding may have.
const MaxText = 1 << 10

// Restore puts the stored bindings of an address-of-record back. Their times are by the system's
// clock; one that was stored while that was ahead lasts no longer than the phone was promised.
// Skipped are bindings that have expired, and those whose Contact is bound now: the phone itself
// knows better. One whose device is bound with another Contact is superseded. OnChange is not
// called, and limits do not apply. The error says what is wrong with a record; those before it are
// restored.
func (s *Store) Restore(records ...Record) error {
	var last *shared
	for i := range records {
		rec := &records[i]
		u, err := rec.update()
		if err != nil {
			return fmt.Errorf("restoring a binding of %q: %w", rec.AOR, err)
		}
		u.several = i > 0 && rec.sameRequest(&records[i-1]) ||
			i+1 < len(records) && rec.sameRequest(&records[i+1])
		if last != nil && last.fits(u) {
			u.shared = last
		}
		s.restore(rec, u)
		last = u.shared
	}
	return nil
}

// update returns the REGISTER that sets the record's binding, without its times.
func (r *Record) update() (*Update, error) {
	network, ok := parseNetwork(r.Network)
	if !ok {
		return nil, fmt.Errorf("unknown network %q", r.Network)
	}
	uri, err := wire.ParseURI([]byte(r.Contact))
	if err != nil {
		return nil, fmt.Errorf("contact %.100q: %w", r.Contact, err)
	}
	// Older versions stored longer ones.
	longest := max(len(r.AOR), len(r.Contact), len(r.CallID), len(r.Instance), len(r.Path),
		len(r.UserAgent), len(r.Owner))
	if longest > MaxText {
		return nil, ErrTooLarge
	}
	return &Update{
		AOR:       []byte(r.AOR),
		CallID:    []byte(r.CallID),
		CSeq:      r.CSeq,
		Owner:     []byte(r.Owner),
		Path:      []byte(r.Path),
		Relayed:   r.Relayed,
		UserAgent: []byte(r.UserAgent),
		Flow:      transport.Flow{Network: network, Remote: r.Source, Local: r.Local},
		Contacts: []ContactUpdate{
			{URI: uri, Q: r.Q, Instance: []byte(r.Instance), RegID: r.RegID},
		},
	}, nil
}

// sameRequest reports whether one REGISTER has set both.
func (r *Record) sameRequest(other *Record) bool {
	return r.CSeq == other.CSeq && r.CallID == other.CallID && r.Path == other.Path &&
		r.UserAgent == other.UserAgent && r.Owner == other.Owner
}

// restore adds the binding of one record.
func (s *Store) restore(rec *Record, u *Update) {
	now := s.now()
	expires := seconds(s.clock.FromWall(rec.Expires))
	updated := seconds(s.clock.FromWall(rec.Updated))
	if updated > now.floor() {
		lifetime := max(expires, updated) - updated
		expires, updated = min(expires, now.floor()+lifetime), now.floor()
	}
	if expires <= now.floor() {
		return
	}
	sh := s.shard(u.AOR)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	list, expired := split(sh.bindings[rec.AOR], now.floor(), nil, nil)
	var m matching
	m.begin(list)
	for i := range list {
		if m.matches(u, 0, list, i, false) {
			return
		}
	}
	b := s.binding(u, &u.Contacts[0], nil, now)
	if rec.Confirmed {
		b.qFlags |= confirmed
	}
	if rec.Superseded ||
		slices.ContainsFunc(list, func(other *Binding) bool { return other.supersedes(b) }) {
		b.qFlags |= superseded
	}
	b.expires, b.registered, b.updated = expires, seconds(rec.Registered), updated
	s.charge(b, 1)
	// What has expired stays until the sweeper removes and reports it.
	list = append(list, expired...)
	before := len(list)
	s.set(sh, b.AOR(), slices.Insert(list, position(list, b), b), before, false)
}

// supersedes reports whether the device of a restored binding is now at b instead.
func (b *Binding) supersedes(restored *Binding) bool {
	now, then := b.Record(), restored.Record()
	if b.Superseded() || now.sameRequest(&then) {
		return false
	}
	u, err := now.update()
	return err == nil && u.Contacts[0].supersedes(u, restored)
}

// parseNetwork is the inverse of transport.Network.String.
func parseNetwork(name string) (transport.Network, bool) {
	for n := transport.UDP; n <= transport.WSS; n++ {
		if n.String() == name {
			return n, true
		}
	}
	return 0, false
}

// seconds returns t in seconds since 1970.
func seconds(t time.Time) uint32 {
	return uint32(min(max(t.Unix(), 0), math.MaxUint32))
}
