package wire

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"", ""},
		{"sip:101@x", "sip:101@x"},
		{"0123456789", "0123456789"},
		{"0123456789a", "0123456…"},
		{"a\x00b\x1b[2Jc\x7f", "a?b?[2Jc?"},
		{"\xff\xfea", "??a"},
		{"Zoë", "Zoë"},
		{"a\u009bb\u202ec", "a?b?c"}, // a terminal's CSI in one character; what turns the line around
		{"a\u2028b", "a?b"},
		{"ëëëëë", "ëëëëë"},
		{"ëëëëëë", "ëëë…"},
		{"ëëëëëa", "ëëë…"},
		{strings.Repeat("\x00", 11), "???????…"},
		{"\u009b\u009b\u009b\u009b\u009b", "?????"},
	} {
		if got := Printable(tc.text, 10); got != tc.want {
			t.Errorf("%q is shown as %q, want %q", tc.text, got, tc.want)
		}
		if got := string(AppendPrintable([]byte("x"), []byte(tc.text), 10)); got != "x"+tc.want {
			t.Errorf("%q is appended as %q, want %q", tc.text, got, "x"+tc.want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("sip:101@x\x00\xff\u009b", 7)
	f.Fuzz(func(t *testing.T, text string, most int) {
		most = max(most&0xfff, len(ellipsis))
		got := Printable(text, most)
		if len(got) > most || !utf8.ValidString(got) {
			t.Errorf("%q is shown as %q", text, got)
		}
		quoted, err := json.Marshal(strings.Map(func(r rune) rune {
			if strings.ContainsRune(`<>&\"`, r) {
				return 'x'
			}
			return r
		}, got))
		if err != nil || len(quoted) != len(got)+2 {
			t.Errorf("%q needs %d bytes of JSON", got, len(quoted))
		}
	})
}

func BenchmarkPrintable(b *testing.B) {
	text := []byte("sip:101@192.168.100.200:5060;line=ab12cd34")
	b.ReportAllocs()
	for b.Loop() {
		ForLog(text)
	}
}
