package wire

import "bytes"

// Params iterates over parameters as in ";name=value;flag"; ParamsOf makes one. Call Next before
// reading Name and Value. White space around the separators is skipped, and a semicolon in a quoted
// value does not separate.
type Params struct {
	Name  []byte // as written; compare with EqualFold
	Value []byte // as written: a quoted value keeps its quotes (see Unquote); nil without "="
	rest  []byte
	empty bool // a parameter without a name was skipped
}

// ParamsOf returns an iterator over the parameters in b, which begins with a semicolon or is empty,
// like NameAddr.Params, URI.Params and ViaValue.Params.
func ParamsOf(b []byte) Params { return Params{rest: b} }

// Next advances to the next parameter and reports whether there is one. Parameters without a name
// are skipped.
func (p *Params) Next() bool {
	for {
		i, semicolons := 0, 0
		for ; i < len(p.rest); i++ {
			if p.rest[i] == ';' {
				semicolons++
			} else if !isLWS(p.rest[i]) {
				break
			}
		}
		if semicolons > 1 {
			p.empty = true
		}
		p.rest = p.rest[i:]
		if len(p.rest) == 0 {
			return false
		}
		end := indexUnquoted(p.rest, ';')
		part := p.rest[:end]
		p.rest = p.rest[end:]
		if eq := bytes.IndexByte(part, '='); eq >= 0 {
			p.Name, p.Value = trim(part[:eq]), trim(part[eq+1:])
		} else {
			p.Name, p.Value = trim(part), nil
		}
		if len(p.Name) > 0 {
			return true
		}
		p.empty = true
	}
}

// Param returns the value of the first parameter with that name in b, which is like ";a=b;c", and
// whether there is one. Case does not count in names. The value is nil for a parameter without "=".
// URI.Param is for the parameters of a URI, where escapes are allowed in names.
func Param(b []byte, name string) ([]byte, bool) {
	for it := (Params{rest: b}); it.Next(); {
		if EqualFold(it.Name, name) {
			return it.Value, true
		}
	}
	return nil, false
}

// Unquote returns the text of a quoted string, without the quotes and with its backslash escapes
// decoded (RFC 3261 §25.1 quoted-string). What is not quoted is returned as it is. Only a string
// with escapes is copied.
func Unquote(b []byte) []byte {
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return b
	}
	b = b[1 : len(b)-1]
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			i++
		}
		out = append(out, b[i])
	}
	return out
}

// indexUnquoted returns the index of the first c outside quoted strings, or len(b).
func indexUnquoted(b []byte, c byte) int {
	end := bytes.IndexByte(b, c)
	if end < 0 {
		end = len(b)
	}
	quote := bytes.IndexByte(b[:end], '"')
	if quote < 0 {
		return end
	}
	for i := quote; i < len(b); i++ {
		switch b[i] {
		case c:
			return i
		case '"':
			n := quotedLen(b[i:])
			if n == 0 {
				return len(b)
			}
			i += n - 1
		}
	}
	return len(b)
}

// quotedLen returns the length of the quoted string that b starts with, or 0 if it is not closed.
func quotedLen(b []byte) int {
	if end := bytes.IndexByte(b[1:], '"'); end >= 0 && bytes.IndexByte(b[1:1+end], '\\') < 0 {
		return end + 2
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}
