package delivery

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/store"
	"github.com/caddysip/caddysip/storage"
)

const (
	// bucketDelivery has a key for each address-of-record whose phones have keys.
	bucketDelivery = "delivery"

	// storedVersion is the first byte of what is stored: phones, and then leftovers, each list with
	// its length before it. Numbers are varints, hashes 8 bytes, times in seconds since 1970 by the
	// system's clock.
	storedVersion = 2
	// In storedBefore phones and leftovers had no device.
	storedBefore = 1

	storedKnown       = 1
	storedUnsupported = 2
	storedInherits    = 4
)

// Use directs write-behind to e; nil turns it off. Phones that are stored there and not known yet
// are read. Nothing is sent before Use was called for the first time: the keys and the
// registrations must be there by then.
func (d *Delivery) Use(e storage.Engine) {
	if _, ok := e.(*store.Memory); ok {
		e = nil // what would be kept there is in memory anyway
	}
	d.mu.Lock()
	same := d.ready && d.engine == e
	empty := len(d.users) == 0
	d.engine = e
	d.mu.Unlock()
	if same {
		return
	}
	whole := empty
	if e != nil {
		if err := d.restore(e); err != nil {
			// Phones get again what they have, and nothing else is lost.
			d.options.Failed()
			d.options.Logger().Error("reading which keys the phones have", zap.Error(err))
			whole = false
		}
	}
	d.behind.SwitchTo(e, whole)
	d.mu.Lock()
	d.ready = true
	d.mu.Unlock()
	d.inbox.putAll()
	d.wakeUp()
}

func (d *Delivery) restore(e storage.Engine) error {
	var bad error
	n := 0
	_, err := e.Range(context.Background(), bucketDelivery, "", func(entry storage.Entry) error {
		u, err := parseUser(entry.Key, entry.Value)
		if err != nil {
			bad, n = err, n+1
			return nil
		}
		u.eachTime(d.fromWall)
		d.mu.Lock()
		if d.users[u.aor] == nil {
			d.users[u.aor] = u
			for _, p := range u.phones {
				if p.device != 0 {
					d.link(p, p.device)
				}
			}
			for i := range u.leftovers {
				d.leftovers[u.leftovers[i].device] = u
			}
			d.account(u)
		}
		d.mu.Unlock()
		return nil
	})
	if bad != nil {
		d.options.Logger().Error("what some phones have is not known: they get it again",
			zap.Int("users", n), zap.Error(bad))
	}
	return err
}

// source is how what is known of the phones is written down.
func (d *Delivery) source() store.Source {
	return store.Source{
		After:  5 * time.Millisecond, // the registrations that change together with this
		Bucket: bucketDelivery,
		Append: d.appendUser,
		Keys: func(f func(string)) {
			d.mu.Lock()
			aors := make([]string, 0, len(d.users))
			for aor := range d.users {
				aors = append(aors, aor)
			}
			d.mu.Unlock()
			for _, aor := range aors {
				f(aor)
			}
		},
		Written: func() {},
		Logger:  d.options.Logger,
		Failed:  d.options.Failed,
	}
}

// appendUser appends what is known of the phones of an address-of-record. It never expires by
// itself: see clean.
func (d *Delivery) appendUser(dst []byte, aor string) ([]byte, time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.users[aor]
	if u == nil {
		return dst, time.Time{}
	}
	dst = append(dst, storedVersion)
	dst = binary.AppendUvarint(dst, uint64(len(u.phones)))
	for _, p := range u.phones {
		flags := byte(0)
		if p.known {
			flags |= storedKnown
		}
		if p.unsupported {
			flags |= storedUnsupported
		}
		if p.inherits {
			flags |= storedInherits
		}
		dst = append(dst, flags)
		for _, n := range [...]uint64{p.id, p.since, uint64(p.agent), p.device} {
			dst = binary.BigEndian.AppendUint64(dst, n)
		}
		dst = binary.AppendUvarint(dst, d.toWall(p.displaced))
		dst = binary.AppendUvarint(dst, uint64(p.status))
		dst = d.appendKeys(dst, p.keys)
	}
	dst = binary.AppendUvarint(dst, uint64(len(u.leftovers)))
	for i := range u.leftovers {
		l := &u.leftovers[i]
		dst = binary.BigEndian.AppendUint64(dst, l.device)
		dst = binary.AppendUvarint(dst, d.toWall(l.at))
		dst = binary.AppendUvarint(dst, uint64(len(l.keys)))
		for _, key := range l.keys {
			dst = binary.AppendUvarint(dst, uint64(key))
		}
	}
	return dst, time.Time{}
}

func (d *Delivery) appendKeys(dst []byte, keys []keyState) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(keys)))
	for _, k := range keys {
		dst = binary.BigEndian.AppendUint64(dst, k.hash)
		for _, n := range [...]uint64{uint64(k.key), uint64(k.status), d.toWall(k.at)} {
			dst = binary.AppendUvarint(dst, n)
		}
	}
	return dst
}

// NotifyClockSet says that the system's clock has been set: everything with a time is stored again.
func (d *Delivery) NotifyClockSet() { d.behind.MarkAll() }

// toWall converts a time to the system's clock, both in seconds since 1970. 0, no time, stays.
func (d *Delivery) toWall(at uint32) uint64 {
	if at == 0 {
		return 0
	}
	return uint64(min(max(d.clock.ToWall(time.Unix(int64(at), 0)).Unix(), 1), math.MaxUint32))
}

// fromWall is the inverse of toWall. A time in the future was stored while the system's clock was
// ahead, and becomes now.
func (d *Delivery) fromWall(at uint32) uint32 {
	if at == 0 {
		return 0
	}
	t := d.clock.FromWall(time.Unix(int64(at), 0)).Unix()
	return uint32(min(max(t, 1), int64(d.clock.Unix())))
}

// eachTime replaces each time of a user's phones and leftovers by what f returns for it.
func (u *user) eachTime(f func(at uint32) uint32) {
	for _, p := range u.phones {
		p.displaced = f(p.displaced)
		for i := range p.keys {
			p.keys[i].at = f(p.keys[i].at)
		}
	}
	for i := range u.leftovers {
		u.leftovers[i].at = f(u.leftovers[i].at)
	}
}

var errStored = errors.New("a stored delivery record is damaged, or of a newer version")

func parseUser(aor string, data []byte) (*user, error) {
	if len(data) == 0 || data[0] != storedVersion && data[0] != storedBefore {
		return nil, errStored
	}
	before := data[0] == storedBefore
	s := stored{rest: data[1:]}
	u := &user{aor: aor}
	for range s.uvarint(uint64(len(data))) {
		flags := s.bytes(1)[0]
		p := &phone{
			user:        u,
			known:       flags&storedKnown != 0,
			unsupported: flags&storedUnsupported != 0,
			inherits:    flags&storedInherits != 0,
			id:          s.hash(),
			since:       s.hash(),
			agent:       uint32(s.hash()),
		}
		if !before {
			p.device, p.displaced = s.hash(), uint32(s.uvarint(1<<32-1))
		}
		p.status, p.keys = uint16(s.uvarint(699)), s.keys()
		if s.bad {
			break
		}
		u.phones = append(u.phones, p)
	}
	if before {
		u.leftovers = leftoversBefore(s.keys())
	} else {
		u.leftovers = s.leftovers()
	}
	if s.bad || len(s.rest) > 0 {
		return nil, errStored
	}
	return u, nil
}

// stored reads what appendUser has written.
type stored struct {
	rest []byte
	bad  bool
}

// bytes returns the next n bytes, zeros when they are missing.
func (s *stored) bytes(n int) []byte {
	if n > len(s.rest) {
		s.bad, s.rest = true, nil
		return make([]byte, n)
	}
	b := s.rest[:n]
	s.rest = s.rest[n:]
	return b
}

func (s *stored) hash() uint64 { return binary.BigEndian.Uint64(s.bytes(8)) }

// uvarint returns a number of at most limit, 0 when it isn't one.
func (s *stored) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(s.rest)
	if n <= 0 || v > limit {
		s.bad, s.rest = true, nil
		return 0
	}
	s.rest = s.rest[n:]
	return v
}

// leftovers reads what has been left behind.
func (s *stored) leftovers() (list []leftover) {
	for range s.uvarint(maxLeftovers) {
		l := leftover{device: s.hash(), at: uint32(s.uvarint(1<<32 - 1))}
		for range s.uvarint(uint64(len(s.rest))) {
			l.keys = append(l.keys, uint16(s.uvarint(1<<16-1)))
		}
		if s.bad {
			return nil
		}
		list = append(list, l)
	}
	return list
}

// leftoversBefore returns keys that have no device as a leftover of one that nobody knows.
func leftoversBefore(keys []keyState) []leftover {
	if len(keys) == 0 {
		return nil
	}
	l := leftover{}
	for _, k := range keys {
		l.keys, l.at = append(l.keys, k.key), max(l.at, k.at)
	}
	return []leftover{l}
}

func (s *stored) keys() []keyState {
	n := s.uvarint(uint64(len(s.rest)))
	if n == 0 {
		return nil
	}
	keys := make([]keyState, 0, n)
	for range n {
		k := keyState{hash: s.hash(), key: uint16(s.uvarint(1<<16 - 1)), status: uint16(s.uvarint(699)), at: uint32(s.uvarint(1<<32 - 1))}
		if s.bad {
			return nil
		}
		keys = append(keys, k)
	}
	if !slices.IsSortedFunc(keys, func(a, b keyState) int { return int(a.key) - int(b.key) }) {
		s.bad = true
	}
	return keys
}
