package wire

import (
	"fmt"
	"slices"
	"testing"
)

func TestParseNameAddr(t *testing.T) {
	for in, want := range map[string][3]string{
		"sip:a@h":                          {"", "sip:a@h", ""},
		"sip:a@h;tag=1;x":                  {"", "sip:a@h", ";tag=1;x"},
		"<sip:a@h;lr?x=y>;tag=1":           {"", "sip:a@h;lr?x=y", ";tag=1"},
		"  < sip:a@h >  ; tag = 1 ":        {"", "sip:a@h", "; tag = 1"},
		`"A \"<B>\", C" <sip:a@h>`:         {`"A \"<B>\", C"`, "sip:a@h", ""},
		`"A\\"<sip:a@h>`:                   {`"A\\"`, "sip:a@h", ""},
		"Alice B. <sip:a@h>;q=1":           {"Alice B.", "sip:a@h", ";q=1"},
		"caller<sip:a@h>":                  {"caller", "sip:a@h", ""},
		"Bell, Alexander <sip:a@h>;tag=43": {"Bell, Alexander", "sip:a@h", ";tag=43"},
		`<sip:a@h>;x="1;>2\""`:             {"", "sip:a@h", `;x="1;>2\""`},
		`sip:a@h;x="<y>"`:                  {"", "sip:a@h", `;x="<y>"`},
		"*":                                {"", "*", ""},
		"<urn:x>":                          {"", "urn:x", ""},
	} {
		a, err := ParseNameAddr([]byte(in))
		if got := [3]string{string(a.Display), string(a.URI), string(a.Params)}; err != nil || got != want {
			t.Errorf("%s: %q %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", " ", "<>", "< >", "<sip:a@h", "A <sip:a@h", `"A <sip:a@h>`, `"A" sip:a@h`, `"A"`, `A "B" <sip:a@h>`, "<sip:a@h> x", "<sip:a@h>,", "sip:a@h?x=y",
		`<sip:a@h>;x="`, `sip:a@h;x="\"`, ";tag=1",
	} {
		if a, err := ParseNameAddr([]byte(in)); err == nil {
			t.Errorf("%s: %q %q %q", in, a.Display, a.URI, a.Params)
		}
	}
}

func TestParams(t *testing.T) {
	for in, want := range map[string][]string{
		"":                                   nil,
		";":                                  nil,
		";a":                                 {"a|<nil>"},
		";a=":                                {"a|"},
		" ; a = 1 ;\tb\t=\t\"x;\\\"=y\" ;c ": {"a|1", `b|"x;\"=y"`, "c|<nil>"},
		";;a;;b=1;":                          {"a|<nil>", "b|1"},
		";=x;a":                              {"a|<nil>"},
		`;a="x;b`:                            {`a|"x;b`},
		";a=b=c":                             {"a|b=c"},
	} {
		var got []string
		for it := ParamsOf([]byte(in)); it.Next(); {
			value := string(it.Value)
			if it.Value == nil {
				value = "<nil>"
			}
			got = append(got, fmt.Sprintf("%s|%s", it.Name, value))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestParam(t *testing.T) {
	const params = `;a=1;B = "x;c=2" ;d;a=3;e=`
	for name, want := range map[string]string{"a": "1", "A": "1", "b": `"x;c=2"`, "d": "", "e": ""} {
		if v, ok := Param([]byte(params), name); !ok || string(v) != want {
			t.Errorf("%s: %q %v", name, v, ok)
		}
	}
	for _, name := range []string{"c", "", "aa"} {
		if v, ok := Param([]byte(params), name); ok || v != nil {
			t.Errorf("%s: %q", name, v)
		}
	}
}

func TestUnquote(t *testing.T) {
	for in, want := range map[string]string{
		`"a b"`: "a b", `"a\"b\\c\d"`: `a"b\cd`, `""`: "", `a`: "a", ``: "", `"`: `"`, `"a`: `"a`, `a"`: `a"`, `"a\"`: `a\`,
	} {
		if got := string(Unquote([]byte(in))); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
