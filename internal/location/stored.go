package location

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// recordVersion is the first byte of what is stored for an address-of-record. The bindings follow,
// each as its fields in the order of appendRecord: texts and addresses prefixed with their length,
// numbers as varints, times in seconds since 1970 by the system's clock, the flags last. For the
// texts that the Contacts of one REGISTER have in common, the length is stored plus one, and 0
// means "the same as in the binding before".
//
// Older versions are still read: version 2 had no flags, and in version 1 each binding had all
// texts.
const recordVersion = 3

// flags returns the flags of a record, which are stored as the bits of one number, in this order.
func (r *Record) flags() [3]*bool { return [...]*bool{&r.Superseded, &r.Confirmed, &r.Relayed} }

// sharedTexts returns the texts that the bindings of one REGISTER have in common.
func sharedTexts(r *Record) [4]*string {
	return [...]*string{&r.CallID, &r.Path, &r.UserAgent, &r.Owner}
}

// AppendStored appends the stored form of the bindings of one address-of-record, which ParseStored
// reads, and returns when the last of them expires. Without bindings it appends nothing and returns
// the zero time. The address-of-record is the key it is stored under, and not part of it.
//
// The time since when a Contact is bound is stored by the store's clock: it tells one registration
// from another, and must not change when the system's clock is set.
func (s *Store) AppendStored(dst []byte, bindings []*Binding) ([]byte, time.Time) {
	var expires time.Time
	var before *Record
	for i, b := range bindings {
		if i == 0 {
			dst = append(dst, recordVersion)
		}
		r := b.Record()
		r.Expires, r.Updated = s.clock.ToWall(r.Expires), s.clock.ToWall(r.Updated)
		dst = appendRecord(dst, &r, before)
		before = &r
		if r.Expires.After(expires) {
			expires = r.Expires
		}
	}
	return dst, expires
}

// appendRecord appends one binding. before is the binding it follows, nil for the first.
func appendRecord(dst []byte, r, before *Record) []byte {
	if before == nil {
		before = new(Record)
	}
	same := sharedTexts(before)
	for i, text := range sharedTexts(r) {
		if *text == *same[i] {
			dst = append(dst, 0)
		} else {
			dst = append(binary.AppendUvarint(dst, uint64(len(*text))+1), *text...)
		}
	}
	for _, text := range [...]string{r.Contact, r.Instance, r.Network} {
		dst = append(binary.AppendUvarint(dst, uint64(len(text))), text...)
	}
	for _, addr := range [...]netip.AddrPort{r.Source, r.Local} {
		var room [64]byte
		b, _ := addr.AppendBinary(room[:0]) // has no errors
		dst = append(binary.AppendUvarint(dst, uint64(len(b))), b...)
	}
	for _, n := range [...]uint64{uint64(r.CSeq), uint64(r.Q), uint64(r.RegID)} {
		dst = binary.AppendUvarint(dst, n)
	}
	for _, t := range [...]time.Time{r.Expires, r.Registered, r.Updated} {
		dst = binary.AppendUvarint(dst, uint64(t.Unix()))
	}
	flags := uint64(0)
	for i, flag := range r.flags() {
		if *flag {
			flags |= 1 << i
		}
	}
	return binary.AppendUvarint(dst, flags)
}

var errRecord = errors.New("the record ends too early or is damaged")

// ParseStored returns the bindings of an address-of-record from what AppendStored wrote, in this
// version or an older one. When the record is damaged it returns an error and the bindings before
// the damage.
func ParseStored(aor string, data []byte) (list []Record, err error) {
	if len(data) == 0 || data[0] < 1 || data[0] > recordVersion {
		return nil, fmt.Errorf("record of %q: unknown version", aor)
	}
	version := data[0]
	p := recordParser{rest: string(data[1:])} // the texts of all bindings share this
	var before Record
	for p.rest != "" {
		r := Record{AOR: aor}
		if version == 1 {
			for _, text := range [...]*string{
				&r.Contact, &r.CallID, &r.Instance, &r.Path, &r.UserAgent, &r.Network,
			} {
				*text = p.text()
			}
		} else {
			same := sharedTexts(&before)
			for i, text := range sharedTexts(&r) {
				if n := p.number(); n == 0 {
					*text = *same[i]
				} else {
					*text = p.bytes(n - 1)
				}
			}
			for _, text := range [...]*string{&r.Contact, &r.Instance, &r.Network} {
				*text = p.text()
			}
		}
		for _, addr := range [...]*netip.AddrPort{&r.Source, &r.Local} {
			var room [64]byte
			if err := addr.UnmarshalBinary(append(room[:0], p.text()...)); err != nil {
				p.bad = true
			}
		}
		r.CSeq, r.Q, r.RegID = uint32(p.number()), uint16(p.number()), uint32(p.number())
		for _, t := range [...]*time.Time{&r.Expires, &r.Registered, &r.Updated} {
			*t = time.Unix(int64(p.number()), 0)
		}
		if version > 2 {
			flags := p.number()
			for i, flag := range r.flags() {
				*flag = flags>>i&1 != 0
			}
		}
		if p.bad {
			return list, fmt.Errorf("record of %q: %w", aor, errRecord)
		}
		list = append(list, r)
		before = r
	}
	return list, nil
}

// recordParser reads fields off the front of a record. After the first field that cannot be read it
// is bad, and every further field is empty or zero.
type recordParser struct {
	rest string
	bad  bool
}

// number reads a varint.
func (p *recordParser) number() (n uint64) {
	for shift := 0; shift < 64; shift += 7 {
		if p.rest == "" {
			break
		}
		b := p.rest[0]
		p.rest = p.rest[1:]
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
	p.bad, p.rest = true, ""
	return 0
}

// text reads a text that is prefixed with its length.
func (p *recordParser) text() string { return p.bytes(p.number()) }

// bytes reads n bytes.
func (p *recordParser) bytes(n uint64) string {
	if n > uint64(len(p.rest)) {
		p.bad, p.rest = true, ""
		return ""
	}
	text := p.rest[:n]
	p.rest = p.rest[n:]
	return text
}
