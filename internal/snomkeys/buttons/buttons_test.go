package buttons

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// tutorial is the body that the Kamailio tutorial sends, byte for byte.
const tutorial = "k=2\r\nc=hold\r\nn=432\r\na=invite\r\nl=Light is hold"

func TestParseDocument(t *testing.T) {
	hold := Button{Key: "2", Light: "hold", Number: "432", Action: "invite", Label: "Light is hold"}
	for _, tc := range []struct {
		name, doc string
		want      []Button
	}{
		{"tutorial", tutorial, []Button{hold}},
		{"final CRLF", tutorial + "\r\n", []Button{hold}},
		{"bare LF", strings.ReplaceAll(tutorial, "\r\n", "\n") + "\n", []Button{hold}},
		{"a press", "k=2", []Button{{Key: "2"}}},
		{"any order after k", "k=2\r\nl=a=b\r\no=red\r\nc=on", []Button{{Key: "2", Light: "on", Color: "red", Label: "a=b"}}},
		{"two", "k=1\r\nc=on\r\n\r\nk=Door\r\nc=off\r\n", []Button{{Key: "1", Light: "on"}, {Key: "Door", Light: "off"}}},
		{"empty lines around", "\r\n\r\nk=1\n\n\nk=2\r\n\r\n", []Button{{Key: "1"}, {Key: "2"}}},
		{
			"unknown properties", "k=1\r\ni=123455\r\nc=pickup\r\nm=1/2\r\ni=6\r\nx-new=",
			[]Button{{Key: "1", Light: "pickup", Extra: []Property{{"i", "123455"}, {"m", "1/2"}, {"i", "6"}, {"x-new", ""}}}},
		},
		{"spaces and UTF-8", "k= 1\r\nl= Tür № ☎ ", []Button{{Key: " 1", Label: " Tür № ☎ "}}},
		{"empty values", "k=1\r\nc=\r\nn=", []Button{{Key: "1"}}},
		{"empty, then given", "k=1\r\nc=\r\nc=on", []Button{{Key: "1", Light: "on"}}},
		{"unknown light", "k=1\r\nc=disco", []Button{{Key: "1", Light: "disco"}}},
	} {
		got, err := ParseDocument([]byte(tc.doc))
		if err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: got %+v, %v; want %+v", tc.name, got, err, tc.want)
		}
	}
}

func TestParseDocumentRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, doc string
		line      int
		reason    string
	}{
		{"nothing", "", 1, "no button"},
		{"empty lines", "\r\n\n\r\n", 1, "no button"},
		{"k missing", "c=on", 1, "begins with k=, not with c="},
		{"k not first", "l=x\r\nk=1", 1, "begins with k="},
		{"k missing in the second", "k=1\r\n\r\nc=on", 3, "begins with k="},
		{"k empty", "k=\r\nc=on", 1, "names no key"},
		{"k twice", "k=1\r\nc=on\r\nk=2", 3, "empty line"},
		{"c twice", "k=1\r\nc=on\r\nc=off", 3, "c a second time"},
		{"no equals sign", "k=1\r\nhello", 2, "name=value"},
		{"no name", "k=1\n=x", 2, "not the name"},
		{"folded", "k=1\r\n c=on", 2, "not the name"},
		{"TAB", "k=1\r\nl=a\tb", 2, "U+0009 in the value of l"},
		{"CR inside", "k=1\r\nl=a\rb", 2, "U+000D"},
		{"CR CRLF", "k=1\r\r\n", 1, "U+000D"},
		{"NUL", "k=\x00", 1, "U+0000"},
		{"DEL", "k=1\nn=4\x7f", 2, "U+007F"},
		{"C1", "k=1\nn=4\u0085", 2, "U+0085"},
		{"Latin-1", "k=1\r\nc=on\r\nl=T\xfcr", 3, "not UTF-8"},
		{"too long", "k=1\r\nl=" + strings.Repeat("x", MaxDocument), 1, "more than 65536"},
		{"too many", strings.Repeat("k=1\n\n", MaxButtons+1), 2*MaxButtons + 1, "more than 256 buttons"},
	} {
		got, err := ParseDocument([]byte(tc.doc))
		var pe *ParseError
		if !errors.As(err, &pe) || pe.Line != tc.line || !strings.Contains(pe.Reason, tc.reason) {
			t.Errorf("%s: error %v; want line %d, %q", tc.name, err, tc.line, tc.reason)
		}
		if got != nil {
			t.Errorf("%s: buttons %+v beside an error", tc.name, got)
		}
	}
}

func TestAppendDocument(t *testing.T) {
	for _, tc := range []struct {
		buttons []Button
		want    string
	}{
		{[]Button{{Key: "2", Light: "hold", Number: "432", Action: "invite", Label: "Light is hold"}}, tutorial},
		{[]Button{{Key: "2"}}, "k=2"},
		{
			[]Button{{Key: "2", Light: "on", Color: "red", Number: "9", Action: "message", Label: "Tür", Extra: []Property{{"i", "7"}, {"m", ""}}}},
			"k=2\r\nc=on\r\no=red\r\nn=9\r\na=message\r\nl=Tür\r\ni=7",
		},
		{[]Button{{Key: "1", Light: "on"}, {Key: "2", Light: "off"}}, "k=1\r\nc=on\r\n\r\nk=2\r\nc=off"},
	} {
		got, err := AppendDocument([]byte("kept "), tc.buttons...)
		if err != nil || string(got) != "kept "+tc.want {
			t.Errorf("got %q, %v; want %q", got, err, tc.want)
		}
	}
}

func TestAppendDocumentRefuses(t *testing.T) {
	for _, tc := range []struct {
		field  string
		button Button
	}{
		{"key", Button{Light: "on"}},
		{"key", Button{Key: "2\r\nc=on"}},
		{"light", Button{Key: "2", Light: "on\n"}},
		{"color", Button{Key: "2", Color: "red\r"}},
		{"number", Button{Key: "2", Number: "4\r\n\r\nk=3"}},
		{"action", Button{Key: "2", Action: "\x01"}},
		{"label", Button{Key: "2", Label: "a\tb"}},
		{"label", Button{Key: "2", Label: "\xff"}},
		{"label", Button{Key: "2", Label: "\u009b31m"}},
		{"extra", Button{Key: "2", Extra: []Property{{"c", "on"}}}},
		{"extra", Button{Key: "2", Extra: []Property{{"x=", "on"}}}},
		{"extra", Button{Key: "2", Extra: []Property{{"", ""}}}},
		{"extra", Button{Key: "2", Extra: []Property{{"i", "\n"}}}},
	} {
		for _, list := range [][]Button{{tc.button}, {{Key: "1"}, tc.button}} {
			got, err := AppendDocument([]byte("kept"), list...)
			var fe *FieldError
			if !errors.As(err, &fe) || fe.Field != tc.field {
				t.Errorf("%+v: error %v, want one about %s", tc.button, err, tc.field)
			}
			if string(got) != "kept" {
				t.Errorf("%+v: left %q", tc.button, got)
			}
		}
		if tc.button.Validate() == nil {
			t.Errorf("%+v passed Validate", tc.button)
		}
	}
	if _, err := AppendDocument(nil); err == nil {
		t.Error("a document without a button was written")
	}
	many := slices.Repeat([]Button{{Key: "1"}}, MaxButtons+1)
	if _, err := AppendDocument(nil, many...); err == nil {
		t.Error("too many buttons were written")
	}
	doc, err := AppendDocument(nil, many[:MaxButtons]...)
	if err != nil {
		t.Error(err)
	}
	if list, err := ParseDocument(doc); err != nil || len(list) != MaxButtons {
		t.Errorf("%d of %d buttons are read: %v", len(list), MaxButtons, err)
	}
	for _, more := range []int{0, 1} {
		label := strings.Repeat("x", MaxDocument-len("k=1\r\nl=")+more)
		if _, err := AppendDocument(nil, Button{Key: "1", Label: label}); (err == nil) != (more == 0) {
			t.Errorf("writing %d bytes: %v", MaxDocument+more, err)
		}
		if _, err := ParseDocument([]byte("k=1\r\nl=" + label)); (err == nil) != (more == 0) {
			t.Errorf("reading %d bytes: %v", MaxDocument+more, err)
		}
	}
	if got, err := AppendDocument([]byte("kept"), Button{Key: "1", Label: strings.Repeat("x", MaxDocument)}); err == nil || string(got) != "kept" {
		t.Errorf("too long a document: %v, left %d bytes", err, len(got))
	}
}

func TestValidate(t *testing.T) {
	for _, l := range append(Lights(), "") {
		for _, c := range append(Colors(), "") {
			for _, a := range append(Actions(), "") {
				if err := (&Button{Key: "1", Light: l, Color: c, Action: a}).Validate(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	for field, b := range map[string]Button{
		"light":  {Key: "1", Light: "ON"},
		"color":  {Key: "1", Color: "blue"},
		"action": {Key: "1", Action: "dial"},
	} {
		var fe *FieldError
		if err := b.Validate(); !errors.As(err, &fe) || fe.Field != field || !strings.HasPrefix(err.Error(), field+": must be one of ") {
			t.Errorf("%+v: %v", b, err)
		}
	}
	if ValidLight("") || ValidColor("") || !ValidLight("seized") || !ValidColor("local") {
		t.Error("the Valid functions disagree with the lists")
	}
	// What a caller does to a list must not reach the next one.
	Lights()[0] = "broken"
	if !ValidLight("on") {
		t.Error("Lights gave away its own array")
	}
}

func TestAppendDocumentAllocates(t *testing.T) {
	b := Button{Key: "2", Light: "on", Color: "red", Number: "432", Action: "invite", Label: "Tür", Extra: []Property{{"i", "7"}}}
	dst := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { dst, _ = AppendDocument(dst[:0], b) }); n != 0 {
		t.Errorf("%v allocations into a buffer with room", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		tutorial, tutorial + "\r\n", "k=2", "k=1\r\nc=on\r\n\r\nk=2\nc=off\n", "\n\nk=1\r\ni=5\nx-y=\r\n",
		"k=1\r\nl=a\tb", "c=on", "k=", "k=1\r\nl=\xff", "k=1\rc=on", "k=1\r\nk=2", "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		first, err := ParseDocument(doc)
		if err != nil {
			return
		}
		out, err := AppendDocument(nil, first...)
		if err != nil {
			if len(out) == 0 && len(doc) > MaxDocument/2 {
				return // LF became CRLF
			}
			t.Fatalf("%q was read as %+v, which can't be written: %v", doc, first, err)
		}
		second, err := ParseDocument(out)
		if err != nil {
			t.Fatalf("%q was written as %q, which can't be read: %v", doc, out, err)
		}
		again, err := AppendDocument(nil, second...)
		if err != nil || !bytes.Equal(out, again) {
			t.Fatalf("%q then %q, %v", out, again, err)
		}
	})
}

func BenchmarkParseDocument(b *testing.B) {
	for _, n := range []int{1, 48} {
		doc, _ := AppendDocument(nil, many(n)...)
		b.Run(fmt.Sprintf("buttons=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseDocument(doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendDocument(b *testing.B) {
	dst := make([]byte, 0, MaxDocument)
	for _, n := range []int{1, 48} {
		list := many(n)
		b.Run(fmt.Sprintf("buttons=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := AppendDocument(dst[:0], list...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func many(n int) []Button {
	list := make([]Button, n)
	for i := range list {
		list[i] = Button{Key: fmt.Sprint(i + 1), Light: "on", Color: "green", Number: "432", Action: "invite", Label: "Light is on"}
	}
	return list
}
