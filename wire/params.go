package wire

import "bytes"

// Params walks through ";name=value" parameters, quoted values and white space around the separators included.
type Params struct {
	Name  []byte
	Value []byte // as written: a quoted value keeps its quotes; nil when there is no "="
	rest  []byte
	empty bool // a parameter without a name was passed over
}

// ParamsOf starts a walk through b, which begins with a semicolon (or is empty).
func ParamsOf(b []byte) Params { return Params{rest: b} }

// Next moves to the next parameter. Those without a name are passed over.
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

// Param returns the value of the named parameter in ";a=b;c" and whether it is there. Names have no case.
func Param(params []byte, name string) ([]byte, bool) {
	for it := (Params{rest: params}); it.Next(); {
		if EqualFold(it.Name, name) {
			return it.Value, true
		}
	}
	return nil, false
}

// Unquote returns a quoted string's text with its escapes decoded, and anything else as it is. It allocates only when there are
// escapes.
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

// indexUnquoted returns the place of the first c outside quoted strings, or len(b).
func indexUnquoted(b []byte, c byte) int {
	end := bytes.IndexByte(b, c)
	if end < 0 {
		end = len(b)
	}
	if bytes.IndexByte(b[:end], '"') < 0 {
		return end
	}
	for i := 0; i < len(b); i++ {
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

// quotedLen returns the length of the quoted string b starts with, or 0 when it has no end.
func quotedLen(b []byte) int {
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
