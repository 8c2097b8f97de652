package wire

// Edits collects changes to a message's bytes and applies them all at once. An edit is started with Replace, Insert or Delete; its text
// is what is appended to Text after that.
type Edits struct {
	// Text holds the new text of all edits, one after the other.
	Text []byte
	ops  []edit
}

type edit struct {
	start, end int // what is replaced, in Raw
	text       int // where the new text starts in Text
	order      int
}

// Reset forgets all edits and keeps the memory.
func (e *Edits) Reset() { e.Text, e.ops = e.Text[:0], e.ops[:0] }

// Len returns the number of edits.
func (e *Edits) Len() int { return len(e.ops) }

// Replace starts an edit that replaces the bytes from start up to end. Edits that insert at the same place appear in the order they were
// made; of two that overlap, the one that starts later changes only what the other has left.
func (e *Edits) Replace(start, end int) {
	e.ops = append(e.ops, edit{start: start, end: end, text: len(e.Text), order: len(e.ops)})
}

// Insert starts an edit that inserts before the byte at pos.
func (e *Edits) Insert(pos int) { e.Replace(pos, pos) }

// Append appends raw with all edits made to dst. The Edits can be applied again, or to a copy of raw.
func (e *Edits) Append(dst, raw []byte) []byte {
	// There are a handful of edits and they are nearly in order.
	var place [16]edit
	ops := append(place[:0], e.ops...)
	for i := 1; i < len(ops); i++ {
		for j := i; j > 0 && less(ops[j], ops[j-1]); j-- {
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

func less(a, b edit) bool {
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

// DeleteHeader removes all lines of the named field, in whatever form and case they are written.
func (e *Edits) DeleteHeader(m *Message, name string) {
	for it := m.Lines(name); it.Next(); {
		e.Replace(it.Span())
	}
}

// AddHeader adds a line at the end of the header.
func (e *Edits) AddHeader(m *Message, name, value string) {
	e.Insert(m.headerEnd())
	e.Text = AppendHeader(e.Text, name, value)
}

// headerEnd returns the place of the empty line that ends the header.
func (m *Message) headerEnd() int {
	end := int(m.body) - 1
	if end > 0 && m.Raw[end-1] == '\r' {
		end--
	}
	return end
}

// AppendHeader appends "name: value" and a line end. Control characters in the value, line ends above all, become spaces, and what cannot
// be in a name is left out of it, so that neither can start a header of its own. Without a name nothing is appended.
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

// AppendClean appends text with control characters replaced by spaces.
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

// InsertHeaders adds complete lines at the end of the header.
func (e *Edits) InsertHeaders(m *Message, lines []byte) {
	e.Insert(m.headerEnd())
	e.Text = append(e.Text, lines...)
}
