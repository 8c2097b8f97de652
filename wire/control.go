package wire

import (
	"bytes"
	"encoding/binary"
)

// isControl reports whether c must not be in a start line or a header field (RFC 3261 §25.1): a
// control character other than HTAB. To some reader it ends the line or the text, and a terminal
// obeys it. Bytes from 0x80 on are none: they should be UTF-8, but old phones write Latin-1 names.
func isControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

// suspicious reports whether raw[start:end] may have a character below 0x20; if not, it has none.
// Each line of each message is looked at.
func suspicious(raw []byte, start, end int) bool {
	// Below 0x80, those are the ones that have neither of the bits 0x40 and 0x20.
	const bit = 0x4040404040404040
	if end < 8 {
		return true
	}
	seen := uint64(bit)
	b := raw[start:end]
	for ; len(b) > 16; b = b[16:] {
		v, w := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		seen &= (v | v<<1) & (w | w<<1)
	}
	if len(b) > 8 {
		w := binary.LittleEndian.Uint64(b)
		seen &= w | w<<1
	}
	w := binary.LittleEndian.Uint64(raw[end-8 : end]) // some of them once more, or what is before
	return seen&(w|w<<1) != bit
}

// controls refuses control characters in a header that has been found well-formed otherwise.
func (m *Message) controls() *ParseError {
	head := m.Raw[:m.body]
	if !m.suspicious && bytes.IndexByte(head, 0x7f) < 0 {
		return nil
	}
	eol := bytes.IndexByte(head, '\n')
	if err := control(head[:lineEnd(head, 0, eol)], false); err != nil {
		return err
	}
	for i := range m.headers {
		h := &m.headers[i]
		// RFC 4475 §3.1.1.2 wants them forwarded in a name. Elsewhere nobody has a use for them.
		if err := control(m.bytes(h.value), h.id == From || h.id == To || h.id == Contact); err != nil {
			return err
		}
	}
	return nil
}

// control returns what is wrong with a line that has a control character. With pairs, those don't
// count that are behind a backslash in a quoted string, where all but CR and LF may be (quoted-pair).
func control(line []byte, pairs bool) *ParseError {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\r':
			return errHeaderLine
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted && pairs && i+1 < len(line) && line[i+1] != '\r':
			i++
		case isControl(c):
			return errControl
		}
	}
	return nil
}

// blankControls makes spaces of the control characters in the header that end no line, so that the
// refusal, which repeats some of the header, has none.
func (m *Message) blankControls() {
	for i := range m.body {
		c := m.Raw[i]
		ends := c == '\n' || c == '\r' && i+1 < m.body && m.Raw[i+1] == '\n'
		if isControl(c) && !ends {
			m.Raw[i] = ' '
		}
	}
}
