package wire

// Edits collects changes to the bytes of a message, which Append then applies in one pass. The zero
// value has none.
//
// Replace, Insert and PushHeader start an edit whose new text is what the caller appends to Text
// after that; an edit to which nothing is appended deletes. The other methods do both:
//
//	e.Replace(it.Span())
//	e.Text = append(e.Text, "new value"...)
//
// All positions are those in the Raw of the unedited message. An Edits must not be copied while it
// is in use, and is not safe for concurrent use.
type Edits struct {
	// Text is the new text of all edits, one after the other. Only append to it.
	Text []byte
	ops  []edit
}

type edit struct {
	start, end int // what is replaced in Raw
	text       int // where the new text starts in Text
	order      int
}

// Reset removes all edits and keeps their memory for new ones.
func (e *Edits) Reset() { e.Text, e.ops = e.Text[:0], e.ops[:0] }

// Len returns the number of edits that have been made, also of those that change nothing.
func (e *Edits) Len() int { return len(e.ops) }

// Replace starts an edit that replaces raw[start:end]. Edits that insert at the same position
// appear in the order in which they were made; of two that overlap, the one that starts later
// replaces only what the other has left.
func (e *Edits) Replace(start, end int) {
	e.ops = append(e.ops, edit{start: start, end: end, text: len(e.Text), order: len(e.ops)})
}

// Insert starts an edit that inserts before the byte at pos.
func (e *Edits) Insert(pos int) { e.Replace(pos, pos) }

// Append appends raw to dst, with all edits made. raw is the Raw of the message that the edits were
// made for, or a copy. The edits stay: Append can be called again.
func (e *Edits) Append(dst, raw []byte) []byte {
	// There are a handful of edits and they are nearly in order.
	var buf [16]edit
	ops := append(buf[:0], e.ops...)
	for i := 1; i < len(ops); i++ {
		for j := i; j > 0 && before(ops[j], ops[j-1]); j-- {
			ops[j], ops[j-1] = ops[j-1], ops[j]
		}
	}
	pos := 0
	for _, op := range ops {
		if op.start > pos {
			dst = append(dst, raw[pos:op.start]...)
		}
		dst = append(dst, e.text(op)...)
		pos = max(pos, op.end)
	}
	return append(dst, raw[pos:]...)
}

func before(a, b edit) bool {
	if a.start != b.start {
		return a.start < b.start
	}
	return a.order < b.order
}

func (e *Edits) text(op edit) []byte {
	end := len(e.Text)
	if op.order+1 < len(e.ops) {
		end = e.ops[op.order+1].text
	}
	return e.Text[op.text:end]
}

// DeleteHeader removes all lines of the field with that name. The name may be the long or the
// compact form, in any case, and so may those in the message.
func (e *Edits) DeleteHeader(m *Message, name string) {
	for it := m.Lines(name); it.Next(); {
		e.Replace(it.Span())
	}
}

// AddHeader adds a line behind all header field lines, as AppendHeader writes it.
func (e *Edits) AddHeader(m *Message, name, value string) {
	e.Insert(m.headerEnd())
	e.Text = AppendHeader(e.Text, name, value)
}

// headerEnd returns where the empty line that ends the header starts.
func (m *Message) headerEnd() int {
	end := int(m.body) - 1
	if end > 0 && m.Raw[end-1] == '\r' {
		end--
	}
	return end
}

// AppendHeader appends a header field line, "name: value" and CRLF. Control characters in the value
// become spaces (AppendClean), and characters that are not allowed in a name are left out of it, so
// that neither can start a line of its own. If nothing is left of the name, nothing is appended.
func AppendHeader[T ~string | ~[]byte](dst []byte, name string, value T) []byte {
	start := len(dst)
	for i := range len(name) {
		if charClass[name[i]]&tokenChar != 0 {
			dst = append(dst, name[i])
		}
	}
	if len(dst) == start {
		return dst
	}
	dst = append(dst, ':', ' ')
	dst = AppendClean(dst, value)
	return append(dst, '\r', '\n')
}

// AppendClean appends text with each control character, other than HTAB, replaced by a space. A
// text from outside that has passed AppendClean cannot end the line that it is written to.
func AppendClean[T ~string | ~[]byte](dst []byte, text T) []byte {
	done := 0
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' || c == 0x7f {
			dst = append(dst, text[done:i]...)
			dst = append(dst, ' ')
			done = i + 1
		}
	}
	return append(dst, text[done:]...)
}

// InsertHeaders adds lines behind all header field lines. They must be complete, each with its
// CRLF, as AppendHeader writes them.
func (e *Edits) InsertHeaders(m *Message, lines []byte) {
	e.Insert(m.headerEnd())
	e.Text = append(e.Text, lines...)
}
