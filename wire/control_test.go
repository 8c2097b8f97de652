package wire

import (
	"strings"
	"testing"
)

// TestControlCharacters puts each control character at each place of a line: only HTAB is taken.
func TestControlCharacters(t *testing.T) {
	for c := range 256 {
		if c == '\n' {
			continue
		}
		for _, line := range []string{"OPTIONS sip:exa@mple.com SIP/2.0", "SIP/2.0 200 O@K, fine", "Call-ID: 1@2", "+Subject: @",
			"+Subject: a@b", "+X: @", "+Server: caddysip/1.0 (a long comment) @ and more",
			"+Subject: 01234567@", "+Subject: 0123456789abcdef@", "+Subject: 0123456789abcdef0123456@789",
			"From: \"a@b\" <sip:a@b>;tag=1", "To: <sip:b>;x=\"\\a@\"", `+Subject: "\@"`} {
			if strings.HasPrefix(line, "OPTIONS") && c == ' ' || line == `To: <sip:b>;x="\a@"` && c == '"' || strings.HasPrefix(line, "From: ") &&
				(c == '"' || c == '\\') || line == `To: <sip:b>;x="\a@"` && c == '\\' {
				continue // malformed or not for other reasons
			}
			text := strings.Replace(line, "@", string([]byte{byte(c)}), 1)
			err := new(Message).Parse(request(text))
			bad := c < ' ' && c != '\t' || c == 0x7f
			if bad != (err != nil) && !(strings.HasPrefix(line, "OPTIONS") && c == '\t') {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
}

// TestQuotedControlCharacters has them where the grammar allows them, and beside it.
func TestQuotedControlCharacters(t *testing.T) {
	for line, want := range map[string]string{
		"From: \"a\\\x00\\\x1b\\\x7f\" <sip:a@b>;tag=1": "",
		"To: \"\\\x07\" <sip:a@b>":                      "",
		"+m: \"\\\x07\" <sip:a@b>":                      "",
		"From: \"a\\\\\x00\" <sip:a@b>;tag=1":           "400 Control Character in Header", // the backslash is quoted
		"From: \\\x00 <sip:a@b>;tag=1":                  "400 Control Character in Header",
		"From: \"a\" <sip:\\\x00@b>;tag=1":              "400 Control Character in Header",
		"From: \"a\\\r\" <sip:a@b>;tag=1":               "400 Malformed Header Line",
		"+Subject: \"\\\x1b\"":                          "400 Control Character in Header",
		"+User-Agent: (\\\x1b)":                         "400 Control Character in Header",
		"+Subject: J\xfcrgen \x9b":                      "", // Latin-1
		"+Subject: J\u00fcrgen\u0085":                   "",
	} {
		m := new(Message)
		got := ""
		if err := m.Parse(request(line)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
		if want != "" && strings.ContainsAny(strings.ReplaceAll(string(m.Raw), "\r\n", ""), "\x00\x1b\r\n") {
			t.Errorf("the refusal of %q would repeat %q", line, m.Raw)
		}
	}
	m := mustParse(t, request("+Content-Type: a/b", "Content-Length: 3"+"\r\n\r\n\x00\x1b\x7f"))
	if string(m.Body()) != "\x00\x1b\x7f" {
		t.Errorf("body %q", m.Body())
	}
}
