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
// appendRecord: texts and addresses with their length before them, numbers as varints, times in seconds since 1970. Of the texts that
// the Contacts of one REGISTER share the length is one more than it is, and 0 stands for the same as in the binding before.
//
// In version 1 each binding had all texts.
const recordVersion = 2

// shared returns the texts that bindings may have in common.
func sharedTexts(r *location.Record) [4]*string {
	return [...]*string{&r.CallID, &r.Path, &r.UserAgent, &r.Owner}
}

// appendRecord appends one binding, which follows another; before is nil for the first. The address-of-record is the key, and not in it.
func appendRecord(dst []byte, r, before *location.Record) []byte {
	if before == nil {
		before = new(location.Record)
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
	return dst
}

var errRecord = errors.New("the record ends too early or is damaged")

// parseRecords returns the bindings of an address-of-record; with an error, those before what is damaged.
func parseRecords(aor string, data []byte) (list []location.Record, err error) {
	if len(data) == 0 || data[0] < 1 || data[0] > recordVersion {
		return nil, fmt.Errorf("record of %q: unknown version", aor)
	}
	version := data[0]
	p := recordParser{rest: string(data[1:])} // the texts of all bindings share this
	var before location.Record
	for p.rest != "" {
		r := location.Record{AOR: aor}
		if version == 1 {
			for _, text := range [...]*string{&r.Contact, &r.CallID, &r.Instance, &r.Path, &r.UserAgent, &r.Network} {
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
		if p.bad {
			return list, fmt.Errorf("record of %q: %w", aor, errRecord)
		}
		list = append(list, r)
		before = r
	}
	return list, nil
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

func (p *recordParser) text() string { return p.bytes(p.number()) }

func (p *recordParser) bytes(n uint64) string {
	if n > uint64(len(p.rest)) {
		p.bad, p.rest = true, ""
		return ""
	}
	text := p.rest[:n]
	p.rest = p.rest[n:]
	return text
}
