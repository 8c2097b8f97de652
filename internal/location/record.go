package location

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/caddysip/caddysip/internal/transport"
	"github.com/caddysip/caddysip/internal/wire"
)

// Record is all that is known of a binding, in a form that can be written down. What it cannot hold is the connection.
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
	Network    string         `json:"network"` // udp, tcp, tls, ws or wss
	Source     netip.AddrPort `json:"source"`
	Local      netip.AddrPort `json:"local"`
	Expires    time.Time      `json:"expires"`
	Registered time.Time      `json:"registered"`
	Updated    time.Time      `json:"updated"`
}

// Record returns the binding's content.
func (b *Binding) Record() Record {
	return Record{
		AOR:        b.AOR(),
		Contact:    b.Contact(),
		CallID:     b.CallID(),
		CSeq:       b.cseq,
		Q:          b.q,
		Instance:   b.Instance(),
		RegID:      b.regID,
		Path:       b.Path(),
		UserAgent:  b.UserAgent(),
		Network:    b.Network().String(),
		Source:     b.Source(),
		Local:      b.socket.Value().local,
		Expires:    b.Expires(),
		Registered: b.Registered(),
		Updated:    b.Updated(),
	}
}

// Restore puts a binding back that was written down. One that has expired is passed over, as is one whose Contact is bound
// now: the phone itself knows better. OnChange is not called. The error says what is wrong with the record.
func (s *Store) Restore(rec Record) error {
	network, ok := networkNamed(rec.Network)
	if !ok {
		return fmt.Errorf("restoring a binding of %q: unknown network %q", rec.AOR, rec.Network)
	}
	uri, err := wire.ParseURI([]byte(rec.Contact))
	if err != nil {
		return fmt.Errorf("restoring a binding of %q: contact %q: %w", rec.AOR, rec.Contact, err)
	}
	u := Update{
		AOR:       []byte(rec.AOR),
		CallID:    []byte(rec.CallID),
		CSeq:      rec.CSeq,
		Path:      []byte(rec.Path),
		UserAgent: []byte(rec.UserAgent),
		Flow:      transport.Flow{Network: network, Remote: rec.Source, Local: rec.Local},
		Contacts:  []ContactUpdate{{URI: uri, Q: rec.Q, Instance: []byte(rec.Instance), RegID: rec.RegID}},
	}
	if u.tooLarge() {
		return fmt.Errorf("restoring a binding of %q: %w", rec.AOR, ErrTooLarge)
	}
	c := &u.Contacts[0]
	now := s.now()
	b := u.binding(c, nil, now)
	b.expires = seconds(rec.Expires)
	b.registered = seconds(rec.Registered)
	b.updated = seconds(rec.Updated)
	if b.expires <= now.floor() {
		return nil
	}

	sh := s.shard(u.AOR)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	list, expired := split(sh.bindings[rec.AOR], now.floor(), nil, nil)
	var m matching
	m.begin(list)
	for i := range list {
		if m.matches(&u, 0, list, i, false) {
			return nil
		}
	}
	// What has expired stays: the sweeper tells of it.
	list = append(list, expired...)
	before := len(list)
	s.set(sh, b.AOR(), slices.Insert(list, place(list, b), b), before, false)
	return nil
}

func networkNamed(name string) (transport.Network, bool) {
	for n := transport.UDP; n <= transport.WSS; n++ {
		if n.String() == name {
			return n, true
		}
	}
	return 0, false
}

// seconds is t by the store's clock, which began as the wall clock.
func seconds(t time.Time) uint32 {
	return uint32(min(max(t.Unix(), 0), math.MaxUint32))
}
