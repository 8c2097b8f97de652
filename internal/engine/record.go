package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/caddysip/caddysip/internal/location"
)

// recordVersion is the first byte of what is stored under an address-of-record. The bindings follow, each as its fields in the order of
// appendRecord: texts and addresses with their length before them, numbers as varints, times in seconds since 1970.
const recordVersion = 1

// appendRecord appends one binding. The address-of-record is the key, and not in it.
func appendRecord(dst []byte, r *location.Record) []byte {
	for _, text := range [...]string{r.Contact, r.CallID, r.Instance, r.Path, r.UserAgent, r.Network} {
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
	return dst
}

var errRecord = errors.New("the record ends too early or is damaged")

// parseRecords calls f with each binding of an address-of-record.
func parseRecords(aor string, data []byte, f func(location.Record) error) error {
	if len(data) == 0 || data[0] != recordVersion {
		return fmt.Errorf("record of %q: unknown version", aor)
	}
	p := recordParser{rest: string(data[1:])} // the texts of all bindings share this
	for p.rest != "" {
		r := location.Record{AOR: aor}
		for _, text := range [...]*string{&r.Contact, &r.CallID, &r.Instance, &r.Path, &r.UserAgent, &r.Network} {
			*text = p.text()
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
		if p.bad {
			return fmt.Errorf("record of %q: %w", aor, errRecord)
		}
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}

type recordParser struct {
	rest string
	bad  bool
}

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

func (p *recordParser) text() string {
	n := p.number()
	if n > uint64(len(p.rest)) {
		p.bad, p.rest = true, ""
		return ""
	}
	text := p.rest[:n]
	p.rest = p.rest[n:]
	return text
}
