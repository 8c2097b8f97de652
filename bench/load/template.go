//go:build linux

package main

import (
	"fmt"
	"strings"
)

// template is a SIP message whose changing parts all have a fixed width, so
// that making the next one is a matter of overwriting digits in place.
type template struct {
	text   []byte
	fields map[string][]int
}

// widths gives every field that a template may name, in bytes. An id is the
// number of the slot and the number of its operation.
var widths = map[string]int{"port": 5, "user": 7, "aor": 7, "id": slotDigits + seqDigits, "cseq": 9}

const (
	slotDigits = 4
	seqDigits  = 8
	slotLimit  = 10_000 // What slotDigits can say.
	firstUser  = 1_000_000
	maxUsers   = 9_000_000
	firstCSeq  = 100_000_000
)

// tail ends a message without a body.
const tail = "\r\nContent-Length: 0\r\n\r\n"

// newTemplate reads a message written with LF and {field} marks, gives it CRLF
// line ends and the Content-Length that its body needs.
func newTemplate(text string) *template {
	head, body, _ := strings.Cut(strings.TrimPrefix(text, "\n"), "\n\n")
	body = strings.ReplaceAll(body, "\n", "\r\n")
	head = strings.TrimSuffix(head, "\n")
	text = strings.ReplaceAll(head, "\n", "\r\n") +
		fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n", len(body)) + body

	t := &template{fields: make(map[string][]int)}
	for {
		before, after, ok := strings.Cut(text, "{")
		t.text = append(t.text, before...)
		if !ok {
			return t
		}
		name, rest, ok := strings.Cut(after, "}")
		width, known := widths[name]
		if !ok || !known {
			panic("load: unknown field in a template: " + name)
		}
		t.fields[name] = append(t.fields[name], len(t.text))
		t.text = append(t.text, strings.Repeat("0", width)...)
		text = rest
	}
}

// instance is one slot's copy of a template.
type instance struct {
	*template
	data []byte
}

// instantiate copies the template for one socket.
func (t *template) instantiate(port int) instance {
	in := instance{template: t, data: append([]byte(nil), t.text...)}
	in.set("port", uint64(port))
	return in
}

// set writes a number, with leading zeros, everywhere the field stands.
func (in instance) set(field string, value uint64) {
	width := widths[field]
	for _, offset := range in.fields[field] {
		putDigits(in.data[offset:offset+width], value)
	}
}

// setID writes the id of a slot's operation.
func (in instance) setID(slot int, seq uint32) {
	for _, offset := range in.fields["id"] {
		putID(in.data[offset:], slot, seq)
	}
}

func putID(dst []byte, slot int, seq uint32) {
	putDigits(dst[:slotDigits], uint64(slot))
	putDigits(dst[slotDigits:slotDigits+seqDigits], uint64(seq))
}

func putDigits(dst []byte, value uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + value%10)
		value /= 10
	}
}

// readID is the reverse of putID. ok is false where text begins with no id.
func readID(text []byte) (slot int, seq uint32, ok bool) {
	if len(text) < slotDigits+seqDigits {
		return 0, 0, false
	}
	var n uint64
	for _, c := range text[:slotDigits+seqDigits] {
		if c < '0' || c > '9' {
			return 0, 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return int(n / 1e8), uint32(n % 1e8), true
}
