package wire

import (
	"bytes"
	"encoding/binary"
)

// isControl reports whether c is not allowed in a start line or a header field (RFC 3261 §25.1): a
// control character other than HTAB. Some implementation ends the line or the text there, and a
// terminal obeys it. Bytes from 0x80 on are allowed: they should be UTF-8, but old phones write
// Latin-1 names.
func isControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

// mayHaveControl reports whether raw[start:end] may have a character below 0x20; if it returns
// false, there is none. It runs on each line of each message, so it tests eight bytes at a time.
func mayHaveControl(raw []byte, start, end int) bool {
	// Below 0x80, those are the characters that have neither bit 0x40 nor bit 0x20.
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
	w := binary.LittleEndian.Uint64(raw[end-8 : end]) // overlaps what has been tested
	return seen&(w|w<<1) != bit
}

// controls refuses control characters in the header of a message that is well-formed otherwise.
func (m *Message) controls() *ParseError {
	head := m.Raw[:m.body]
	if !m.mayHaveControl && bytes.IndexByte(head, 0x7f) < 0 {
		return nil
	}
	eol := bytes.IndexByte(head, '\n')
	if err := control(head[:lineEnd(head, 0, eol)], false); err != nil {
		return err
	}
	for i := range m.headers {
		h := &m.headers[i]
		// RFC 4475 §3.1.1.2 wants quoted pairs with control characters forwarded in a display name.
		// Elsewhere nobody has a use for them.
		pairs := h.id == From || h.id == To || h.id == Contact
		if err := control(m.bytes(h.value), pairs); err != nil {
			return err
		}
	}
	return nil
}

// control returns the error of a line that has a control character, or nil. With pairs, a control
// character behind a backslash in a quoted string is allowed, unless it is CR or LF (quoted-pair,
// RFC 3261 §25.1).
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

// blankControls replaces by spaces the control characters in the header, other than line ends, so
// that the refusal, which repeats some of the header, has none.
func (m *Message) blankControls() {
	for i := range m.body {
		c := m.Raw[i]
		ends := c == '\n' || c == '\r' && i+1 < m.body && m.Raw[i+1] == '\n'
		if isControl(c) && !ends {
			m.Raw[i] = ' '
		}
	}
}
