package wire

import (
	"bytes"
	"errors"
)

// NameAddr is a view of one value of From, To, Contact, Route, Record-Route or Path: an address
// with an optional display name and parameters (RFC 3261 §20.10).
type NameAddr struct {
	Display []byte // the display name, as written; a quoted one keeps its quotes (see Unquote)
	URI     []byte // without the angle brackets; ParseURI decodes it
	Params  []byte // the header parameters, with the first semicolon (see Param)
}

var (
	errQuote    = errors.New("unbalanced quotes")
	errBracket  = errors.New("unbalanced angle brackets")
	errEmpty    = errors.New("no address")
	errEnclosed = errors.New("a uri with headers must be in angle brackets")
	errTrailing = errors.New("text after the address")
)

// ParseNameAddr reads `"Name" <uri>;params`, `<uri>;params` or `uri;params` (RFC 3261 §20.10).
// Without angle brackets, the parameters belong to the header field, not to the URI. White space
// just inside the brackets is accepted (RFC 4475 §3.1.2.14). The URI itself is not checked: that is
// left to ParseURI. The contact "*" is returned as the URI "*". It is an error if there is no URI,
// quotes or brackets are not balanced, or something other than parameters follows the address.
func ParseNameAddr(v []byte) (NameAddr, error) {
	var a NameAddr
	v = trim(v)
	if len(v) > 0 && v[0] == '"' {
		n := quotedLen(v)
		if n == 0 {
			return a, errQuote
		}
		rest := trim(v[n:])
		if len(rest) == 0 || rest[0] != '<' {
			return a, errBracket
		}
		a.Display, v = v[:n], rest
	} else if i := bytes.IndexByte(v, '<'); i > 0 && bytes.IndexByte(v[:i], ';') < 0 {
		// After a semicolon the bracket is part of a parameter.
		a.Display, v = trim(v[:i]), v[i:]
		if bytes.IndexByte(a.Display, '"') >= 0 {
			return a, errQuote
		}
	}
	if len(v) > 0 && v[0] == '<' {
		end := bytes.IndexByte(v, '>')
		if end < 0 {
			return a, errBracket
		}
		a.URI = trim(v[1:end])
		a.Params = trim(v[end+1:])
		if len(a.Params) > 0 && a.Params[0] != ';' {
			return a, errTrailing
		}
	} else {
		if i := bytes.IndexByte(v, ';'); i >= 0 {
			v, a.Params = trim(v[:i]), v[i:]
		}
		if bytes.IndexByte(v, '?') >= 0 {
			return a, errEnclosed
		}
		a.URI = v
	}
	if len(a.URI) == 0 {
		return a, errEmpty
	}
	if bytes.IndexByte(a.Params, '"') >= 0 && unbalanced(a.Params) {
		return a, errQuote
	}
	return a, nil
}

func unbalanced(b []byte) bool {
	for {
		i := bytes.IndexByte(b, '"')
		if i < 0 {
			return false
		}
		n := quotedLen(b[i:])
		if n == 0 {
			return true
		}
		b = b[i+n:]
	}
}

// nextComma returns the index of the first comma outside quotes and angle brackets, or len(b).
func nextComma(b []byte) int {
	if bytes.IndexByte(b, ',') < 0 {
		return len(b)
	}
	inURI := false
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case ',':
			if !inURI {
				return i
			}
		case '<':
			inURI = true
		case '>':
			inURI = false
		case '"':
			if inURI {
				continue
			}
			n := quotedLen(b[i:])
			if n == 0 {
				return len(b)
			}
			i += n - 1
		}
	}
	return len(b)
}
