package wire

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// FuzzEdits changes one thing of a message: that is changed, whoever reads it, and nothing else is.
func FuzzEdits(f *testing.F) {
	for _, raw := range tortureFiles(f) {
		f.Add(raw, "Contact", "x")
	}
	f.Add(request("+Subject: a", "+s : b", "+S:\r\n c", "+X: d"), "Subject", "e\r\nVia: f")
	f.Add(request("+r: <sip:a@b>", "+Refer-To\r\n : c"), "r", "\x00")
	f.Add([]byte(strings.ReplaceAll(string(request("+X-A: a", "+x-a:b", "+X-A\t:c")), "\r\n", "\n")), "X-A", "{}")
	f.Add(request("+X-A: a\nX-B: c", "+X: Y"), "X-B", "")
	f.Fuzz(func(t *testing.T, raw []byte, name, value string) {
		m := new(Message)
		if m.Parse(raw) != nil {
			return
		}
		checkLines(t, m)
		if !IsToken(name) || essential(name) || m.IsResponse {
			return
		}
		before := bytes.Clone(m.Raw)
		checkDelete(t, m, name)
		// What is added may be more than is read.
		if len(m.headers) < MaxHeaders && len(m.Raw)+len(name)+len(value)+4 <= MaxSize && strings.Count(value, ";") <= MaxParams &&
			strings.Count(value, "&") <= MaxParams {
			checkAdd(t, m, name, value)
		}
		checkURI(t, m, value)
		if !bytes.Equal(m.Raw, before) {
			t.Fatal("the message itself was changed")
		}
	})
}

// essential tells whether a message can't do without a field, or can't have two of it.
func essential(name string) bool {
	switch LookupHeader([]byte(name)) {
	case Via, From, To, CallID, CSeq, MaxForwards, ContentLength:
		return true
	}
	return false
}

type field struct{ name, value string }

func fieldsOf(m *Message) (all []field) {
	m.All(func(_ HeaderID, name, value []byte) bool {
		all = append(all, field{CanonicalHeader(string(name)), string(value)})
		return true
	})
	return all
}

func startLine(m *Message) string {
	line, _, _ := strings.Cut(string(m.Raw), "\r\n")
	return line
}

// checkLines wants those who end lines only at CRLF, and only at LF, to see the lines that the
// message has.
func checkLines(t *testing.T, m *Message) {
	t.Helper()
	head := string(m.Raw[:m.body])
	if n := strings.Count(head, "\n"); n != strings.Count(head, "\r\n") || n != strings.Count(head, "\r") || n != len(m.headers)+2 {
		t.Fatalf("%d header lines, %d line feeds, %d carriage returns in %q", len(m.headers), n, strings.Count(head, "\r"), head)
	}
	if i := strings.Index(head, "\r\n\r\n"); i+4 != len(head) {
		t.Fatalf("the header ends in the middle of %q", head)
	}
	for i, line := range strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")[1:] {
		name, value, ok := strings.Cut(line, ":")
		if h := m.headers[i]; !ok || strings.Trim(name, " \t") != string(m.bytes(h.name)) || strings.Trim(value, " \t") != string(m.bytes(h.value)) {
			t.Fatalf("line %q is %q: %q", line, m.bytes(h.name), m.bytes(h.value))
		}
	}
}

func checkDelete(t *testing.T, m *Message, name string) {
	t.Helper()
	var e Edits
	e.DeleteHeader(m, name)
	got := reparse(t, e.Append(nil, m.Raw))
	checkLines(t, got)
	if it := got.Lines(name); it.Next() {
		t.Fatalf("%s is still there: %q", name, got.Raw)
	}
	want := slices.DeleteFunc(fieldsOf(m), func(f field) bool { return strings.EqualFold(f.name, CanonicalHeader(name)) })
	if is := fieldsOf(got); !slices.Equal(is, want) || startLine(got) != startLine(m) || !bytes.Equal(got.Body(), m.Body()) {
		t.Fatalf("without %s\n%q became\n%q", name, m.Raw, got.Raw)
	}
}

func checkAdd(t *testing.T, m *Message, name, value string) {
	t.Helper()
	var e Edits
	e.AddHeader(m, name, value)
	got := reparse(t, e.Append(nil, m.Raw))
	checkLines(t, got)
	want := append(fieldsOf(m), field{CanonicalHeader(name), strings.Trim(string(AppendClean(nil, value)), " \t")})
	if is := fieldsOf(got); !slices.Equal(is, want) || startLine(got) != startLine(m) || !bytes.Equal(got.Body(), m.Body()) {
		t.Fatalf("with %s: %q\n%q became\n%q", name, value, m.Raw, got.Raw)
	}
}

func checkURI(t *testing.T, m *Message, uri string) {
	t.Helper()
	if uri == "" || len(m.Raw)+3*len(uri) > MaxSize || strings.Count(uri, ";") > MaxParams || strings.Count(uri, "&") > MaxParams {
		return
	}
	var e Edits
	e.SetRequestURI(m, []byte(uri))
	got := reparse(t, e.Append(nil, m.Raw))
	checkLines(t, got)
	if string(got.RequestURI()) != string(AppendURI(nil, uri)) || string(got.MethodName()) != string(m.MethodName()) || !slices.Equal(fieldsOf(got), fieldsOf(m)) ||
		!bytes.Equal(got.Body(), m.Body()) {
		t.Fatalf("with %q\n%q became\n%q", uri, m.Raw, got.Raw)
	}
}
