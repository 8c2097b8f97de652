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

// parse reads the Via value in raw[s.start:s.end] (RFC 3261 §20.42): white space is allowed around the slashes, the colon, and the
// separators of parameters. After an error v holds what could be read, which may be enough to answer.
func (v *ViaValue) parse(raw []byte, s span) (err error) {
	*v = ViaValue{span: s}
	rest := raw[s.start:s.end:s.end]
	if len(rest) > 8 && string(rest[:8]) == "SIP/2.0/" {
		rest = rest[8:]
	} else {
		var name, version []byte
		var ok, ok2 bool
		name, rest, ok = cutToken(rest, '/')
		version, rest, ok2 = cutToken(rest, '/')
		if !ok || !ok2 || !EqualFold(name, "SIP") {
			return errVia
		}
		if string(version) != "2.0" {
			err = errVia
		}
	}
	for len(rest) > 0 && isLWS(rest[0]) {
		rest = rest[1:]
	}
	i := 0
	for i < len(rest) && charClass[rest[i]]&tokenChar != 0 {
		i++
	}
	if i == 0 || i == len(rest) || !isLWS(rest[i]) {
		return errVia
	}
	v.Transport, rest = rest[:i], rest[i:]
	semi := bytes.IndexByte(rest, ';')
	if semi < 0 {
		semi = len(rest)
	}
	host, port, ok := splitHostPort(rest[:semi])
	if !ok || !validHost(host) {
		return errVia
	}
	v.Host, v.Port, v.Params = host, port, rest[semi:]
	if !v.params(raw) {
		return errVia
	}
	return err
}

// params reads the parameters. None may be there twice (RFC 3261 §7.3.1): another reader could take the other.
func (v *ViaValue) params(raw []byte) bool {
	seen := 0
	it := Params{rest: v.Params}
	for it.Next() {
		bit := 0
		switch {
		case len(it.Name) < len("rport") || len(it.Name) > len("received"):
		case EqualFold(it.Name, "branch"):
			bit, v.Branch = 1, it.Value
		case EqualFold(it.Name, "rport"):
			bit, v.RPort, v.HasRPort = 2, it.Value, true
			v.rport = paramSpan(raw, v.span, &it)
		case EqualFold(it.Name, "received"):
			bit, v.Received = 4, it.Value
			v.receive = paramSpan(raw, v.span, &it)
		case EqualFold(it.Name, "maddr"):
			bit, v.MAddr = 8, it.Value
		}
		if seen&bit != 0 {
			return false
		}
		seen |= bit
	}
	return !it.empty && (bytes.IndexByte(v.Params, '"') < 0 || !unbalanced(v.Params))
}

// move makes v a view of raw, which is a copy of what it was a view of.
func (v *ViaValue) move(raw []byte) {
	for _, b := range [...]*[]byte{&v.Transport, &v.Host, &v.Params, &v.Branch, &v.Received, &v.RPort, &v.MAddr} {
		if *b != nil {
			start := int(v.span.end) - cap(*b) // see paramSpan
			*b = raw[start : start+len(*b) : v.span.end]
		}
	}
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

// ParseVia reads a Via value that stands by itself, of at most MaxSize bytes.
func ParseVia(b []byte) (v ViaValue, err error) {
	if len(b) > MaxSize {
		return v, errVia
	}
	err = v.parse(b, span{0, uint16(len(b))})
	return v, err
}
