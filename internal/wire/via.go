package wire

import (
	"bytes"
	"errors"
)

// ViaValue is a view of one Via value.
type ViaValue struct {
	Transport []byte // "UDP"
	Host      []byte // sent-by; an IPv6 reference keeps its brackets
	Port      uint16 // sent-by; 0: none written
	Params    []byte
	Branch    []byte
	Received  []byte
	RPort     []byte // rport's value; empty and HasRPort when the client only asks for it
	HasRPort  bool
	MAddr     []byte

	span    span // the value in Raw
	rport   span // the whole parameter with its semicolon
	receive span
}

// MagicCookie starts every branch made by RFC 3261 elements (§8.1.1.7).
const MagicCookie = "z9hG4bK"

// RFC3261 tells whether the branch identifies the transaction by itself.
func (v *ViaValue) RFC3261() bool {
	return len(v.Branch) > len(MagicCookie) && string(v.Branch[:len(MagicCookie)]) == MagicCookie
}

// Span returns where the value starts and ends in the message's Raw.
func (v *ViaValue) Span() (start, end int) { return int(v.span.start), int(v.span.end) }

var errVia = errors.New("malformed Via")

// parseVia reads the Via value in raw[s.start:s.end] (RFC 3261 §20.42): white space is allowed around the slashes, the colon, and
// the separators of parameters.
func parseVia(raw []byte, s span) (ViaValue, error) {
	v := ViaValue{span: s}
	b := raw[s.start:s.end:s.end]
	name, rest, ok := cutToken(b, '/')
	if !ok || !EqualFold(name, "SIP") {
		return v, errVia
	}
	version, rest, ok := cutToken(rest, '/')
	if !ok || string(version) != "2.0" {
		return v, errVia
	}
	for len(rest) > 0 && isLWS(rest[0]) {
		rest = rest[1:]
	}
	i := 0
	for i < len(rest) && !isLWS(rest[i]) {
		i++
	}
	if v.Transport = rest[:i]; !isToken(v.Transport) {
		return v, errVia
	}
	rest = rest[i:]
	semi := bytes.IndexByte(rest, ';')
	if semi < 0 {
		semi = len(rest)
	}
	sentBy := trim(rest[:semi])
	v.Params = rest[semi:]
	if v.Host, v.Port, ok = splitHostPort(sentBy); !ok || !validHost(v.Host) {
		return v, errVia
	}
	for it := (Params{rest: v.Params}); it.Next(); {
		switch {
		case EqualFold(it.Name, "branch"):
			v.Branch = it.Value
		case EqualFold(it.Name, "rport"):
			v.RPort, v.HasRPort = it.Value, true
			v.rport = paramSpan(raw, s, &it)
		case EqualFold(it.Name, "received"):
			v.Received = it.Value
			v.receive = paramSpan(raw, s, &it)
		case EqualFold(it.Name, "maddr"):
			v.MAddr = it.Value
		}
	}
	return v, nil
}

// paramSpan returns the place in raw of the walk's current parameter, its semicolon included. All slices end where the value does, so
// their capacity tells how far from the end they start.
func paramSpan(raw []byte, s span, it *Params) span {
	start := int(s.end) - cap(it.Name)
	for raw[start] != ';' {
		start--
	}
	return span{uint16(start), s.end - uint16(len(it.rest))}
}

func cutToken(b []byte, sep byte) (token, rest []byte, ok bool) {
	i := bytes.IndexByte(b, sep)
	if i < 0 {
		return nil, b, false
	}
	return trim(b[:i]), b[i+1:], true
}

// ParseVia reads a Via value that stands by itself.
func ParseVia(b []byte) (ViaValue, error) { return parseVia(b, span{0, uint16(len(b))}) }
