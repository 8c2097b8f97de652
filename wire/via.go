package wire

import (
	"bytes"
	"errors"
)

// ViaValue is a view of one Via value (RFC 3261 §20.42).
type ViaValue struct {
	Transport []byte // such as "UDP", in any case
	Host      []byte // of sent-by; an IPv6 address keeps its brackets (see HostAddr)
	Port      uint16 // of sent-by; 0: none
	Params    []byte // all parameters, with the first semicolon (see Param)
	Branch    []byte // the parameter's value; nil: none
	Received  []byte // the parameter's value; nil: none
	RPort     []byte // the parameter's value; empty if the client only asks for rport
	HasRPort  bool   // whether there is an rport parameter, with or without a value (RFC 3581)
	MAddr     []byte // the parameter's value; nil: none

	span     span // the value in Raw
	rport    span // the whole rport parameter in Raw, with its semicolon
	received span // the whole received parameter in Raw, with its semicolon
}

// MagicCookie begins each branch of an implementation of RFC 3261 (§8.1.1.7).
const MagicCookie = "z9hG4bK"

// HasMagicCookie reports whether the branch begins with MagicCookie, so that it identifies the
// transaction by itself (RFC 3261 §17.2.3).
func (v *ViaValue) HasMagicCookie() bool {
	return len(v.Branch) > len(MagicCookie) && string(v.Branch[:len(MagicCookie)]) == MagicCookie
}

// Span returns where the value starts and ends in the message's Raw, as Edits.Replace takes it.
func (v *ViaValue) Span() (start, end int) { return int(v.span.start), int(v.span.end) }

var errVia = errors.New("malformed Via")

// parse reads the Via value in raw[s.start:s.end] (RFC 3261 §20.42). White space is allowed around
// the slashes, the colon, and the separators of parameters. After an error v holds what could be
// read, which may be enough to answer.
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

// params reads the parameters. None may be there twice (RFC 3261 §7.3.1): one implementation could
// take the first, another the last.
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
			v.received = paramSpan(raw, v.span, &it)
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
	for _, b := range [...]*[]byte{
		&v.Transport, &v.Host, &v.Params, &v.Branch, &v.Received, &v.RPort, &v.MAddr,
	} {
		if *b != nil {
			start := int(v.span.end) - cap(*b) // see paramSpan
			*b = raw[start : start+len(*b) : v.span.end]
		}
	}
}

// paramSpan returns the position in raw of the iterator's current parameter, its semicolon
// included. The capacity of all slices ends where the value does, so it says how far before the end
// they start.
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

// ParseVia reads a Via value that is not part of a parsed message, of at most MaxSize bytes (RFC
// 3261 §20.42). Message.Via is the topmost Via of a message, already parsed. The error only says
// that the value is malformed.
func ParseVia(b []byte) (v ViaValue, err error) {
	if len(b) > MaxSize {
		return v, errVia
	}
	err = v.parse(b, span{0, uint16(len(b))})
	return v, err
}
