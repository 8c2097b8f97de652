package wire

import (
	"strings"
	"testing"
)

// edited returns the request after the edits, which it must be possible to parse.
func edited(t *testing.T, m *Message, change func(e *Edits)) string {
	t.Helper()
	var e Edits
	change(&e)
	before := string(m.Raw)
	out := e.Append([]byte("dst"), m.Raw)
	if string(m.Raw) != before {
		t.Error("the edits changed the message itself")
	}
	if again := e.Append([]byte("dst"), m.Raw); string(again) != string(out) {
		t.Errorf("applied again the edits give\n%s, not\n%s", again, out)
	}
	out = out[len("dst"):]
	mustParse(t, append([]byte(nil), out...))
	return string(out)
}

func TestEdits(t *testing.T) {
	const raw = "0123456789"
	text := func(e *Edits, s string) { e.Text = append(e.Text, s...) }
	tests := []struct {
		name   string
		change func(e *Edits)
		want   string
	}{
		{"none", func(e *Edits) {}, raw},
		{"insert", func(e *Edits) { e.Insert(0); text(e, "a"); e.Insert(10); text(e, "b"); e.Insert(5) }, "a0123456789b"},
		{"replace", func(e *Edits) { e.Replace(2, 4); text(e, "abc") }, "01abc456789"},
		{"delete", func(e *Edits) { e.Replace(0, 10) }, ""},
		{"out of order", func(e *Edits) {
			e.Replace(8, 9)
			text(e, "x")
			e.Replace(1, 3)
			text(e, "yz")
			e.Insert(5)
			text(e, "i")
		}, "0yz34i567x9"},
		{"same place", func(e *Edits) {
			e.Insert(3)
			text(e, "a")
			e.Replace(3, 5)
			text(e, "b")
			e.Insert(3)
			text(e, "c")
		}, "012abc56789"},
		{"same twice", func(e *Edits) { e.Replace(3, 5); e.Replace(3, 5); text(e, "b") }, "012b56789"},
		{"overlap", func(e *Edits) { e.Replace(4, 8); text(e, "b"); e.Replace(2, 6); text(e, "a") }, "01ab89"},
		{"within", func(e *Edits) { e.Replace(2, 8); text(e, "a"); e.Replace(4, 5); text(e, "b") }, "01ab89"},
	}
	for _, test := range tests {
		var e Edits
		test.change(&e)
		if got := string(e.Append(nil, []byte(raw))); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	var e Edits
	want := ""
	for i := range 40 { // more than there is place for without allocating
		e.Insert(10 - i%10)
		e.Text = append(e.Text, 'a'+byte(i%26))
	}
	if e.Len() != 40 {
		t.Errorf("%d edits", e.Len())
	}
	for pos := range 11 {
		for i := range 40 {
			if 10-i%10 == pos {
				want += string(rune('a' + i%26))
			}
		}
		if pos < 10 {
			want += raw[pos : pos+1]
		}
	}
	if got := string(e.Append(nil, []byte(raw))); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	e.Reset()
	if got := string(e.Append(nil, []byte(raw))); e.Len() != 0 || len(e.Text) != 0 || got != raw {
		t.Errorf("after Reset: %q", got)
	}
}

func TestDeleteHeader(t *testing.T) {
	raw := request("+Subject: one", "+SUBJECT : two\r\n folded", "+s:three", "+Subject:", "+Subjects: other", "+r: x", "+Contact: <sip:a>,\r\n <sip:b>", "+M: *")
	plain := mustParse(t, raw)
	for _, name := range []string{"Subject", "subject", "S"} {
		want := string(mustParse(t, request("+Subjects: other", "+r: x", "+Contact: <sip:a>,\r\n <sip:b>", "+M: *")).Raw)
		if got := edited(t, plain, func(e *Edits) { e.DeleteHeader(plain, name) }); got != want {
			t.Errorf("%s:\n%s", name, got)
		}
	}
	for _, name := range []string{"contact", "M"} {
		got := edited(t, plain, func(e *Edits) { e.DeleteHeader(plain, name) })
		if strings.Contains(got, "sip:a") || strings.Contains(got, "sip:b") || strings.Contains(got, "*") || !strings.HasSuffix(got, "\r\nr: x\r\n\r\n") {
			t.Errorf("%s:\n%s", name, got)
		}
	}
	if got := edited(t, plain, func(e *Edits) { e.DeleteHeader(plain, "Refer-To") }); strings.Contains(got, "r: x") {
		t.Errorf("a compact form that has no HeaderID is still there:\n%s", got)
	}
	if got := edited(t, plain, func(e *Edits) { e.DeleteHeader(plain, "Nothing") }); got != string(plain.Raw) {
		t.Errorf("something was deleted:\n%s", got)
	}
	// Replacing a field: the line that is deleted is the place where the new one goes.
	m := mustParse(t, request("+Route: <sip:a;lr>"))
	got := edited(t, m, func(e *Edits) {
		e.DeleteHeader(m, "Route")
		e.PushHeader(m, Route)
		e.Text = append(e.Text, "Route: <sip:b;lr>\r\n"...)
	})
	if got != string(request("+Route: <sip:b;lr>")) {
		t.Errorf("replaced:\n%s", got)
	}
}

func TestAddHeader(t *testing.T) {
	body := append(request("Content-Length: 2"), "hi"...)
	m := mustParse(t, body)
	got := edited(t, m, func(e *Edits) {
		e.AddHeader(m, "X-A", "1")
		e.AddHeader(m, "X-B", "2\r\nX-Evil: 1\r\n\r\n\x00\x7fä\t")
		e.AddHeader(m, "X-C: x\r\nX-Evil", "3")
		e.AddHeader(m, " :\r\n", "nothing")
		e.InsertHeaders(m, []byte("X-D: 4\r\nX-E: 5\r\n"))
	})
	want := string(request("Content-Length: 2", "+X-A: 1", "+X-B: 2  X-Evil: 1      ä\t", "+X-CxX-Evil: 3", "+X-D: 4", "+X-E: 5")) + "hi"
	if got != want {
		t.Errorf("%q, want\n%q", got, want)
	}
	lf := mustParse(t, []byte(strings.ReplaceAll(string(request()), "\r\n", "\n")))
	if got := edited(t, lf, func(e *Edits) { e.AddHeader(lf, "X-A", "1") }); !strings.HasSuffix(got, "Content-Length: 0\r\nX-A: 1\r\n\r\n") {
		t.Errorf("%q", got)
	}
}

func TestAppendHeader(t *testing.T) {
	if got := string(AppendHeader([]byte("x"), "A", []byte("b\nc"))); got != "xA: b c\r\n" {
		t.Errorf("%q", got)
	}
	if got := string(AppendHeader(nil, "\r\n:", "b")); got != "" {
		t.Errorf("%q", got)
	}
	if got := string(AppendClean(nil, "a\x00\r\n\x1f\x7f\tb")); got != "a     \tb" {
		t.Errorf("%q", got)
	}
}
