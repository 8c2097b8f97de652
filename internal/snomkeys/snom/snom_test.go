package snom

import (
	"slices"
	"testing"

	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
)

func TestParseUserAgent(t *testing.T) {
	for _, tc := range []struct {
		userAgent, model, firmware string
		version                    Version
	}{
		// SIP
		{"snom105-2.04g", "105", "2.04g", Version{2, 4}},
		{"snom105-3.56p", "105", "3.56p", Version{3, 56}},
		{"snom360/7.3.30", "360", "7.3.30", Version{7, 3, 30}},
		{"snom370/8.7.5.48", "370", "8.7.5.48", Version{8, 7, 5, 48}},
		{"snom821/873_19_20130321", "821", "873_19_20130321", Version{8, 7, 3, 19}},
		{"snomPA1/8.7.3.19", "PA1", "8.7.3.19", Version{8, 7, 3, 19}},
		{"snomD120/10.1.39.11", "D120", "10.1.39.11", Version{10, 1, 39, 11}},
		{"snomD785/10.1.84.12", "D785", "10.1.84.12", Version{10, 1, 84, 12}},
		{"snomD862/10.1.226.13", "D862", "10.1.226.13", Version{10, 1, 226, 13}},
		{"snomMP/8.7.5.35", "MP", "8.7.5.35", Version{8, 7, 5, 35}},
		{"snomM700/03.23.0005 (MAC=00041355AA00; SER=00000; HW=255)", "M700", "03.23.0005", Version{3, 23, 5}},
		{"SNOM370/8.7.5.48", "370", "8.7.5.48", Version{8, 7, 5, 48}},
		// HTTP
		{"Mozilla/4.0 (compatible; snom320-SIP 8.4.18 1.1.3-s)", "320", "8.4.18", Version{8, 4, 18}},
		{"Mozilla/4.0 (compatible; snom710-SIP 8.7.5.35 1.1.5-IFX-05.01.12 000413741767)", "710", "8.7.5.35", Version{8, 7, 5, 35}},
		{"Mozilla/4.0 (compatible; snomPA1-SIP 8.4.35 1.1.3-s)", "PA1", "8.4.35", Version{8, 4, 35}},
		{"Mozilla/4.0 (compatible; snomD785-SIP 10.1.33.33 2010.12-00004-g9ba52f5 000413922D24 SXM:0 UXM:0)", "D785", "10.1.33.33", Version{10, 1, 33, 33}},
		{"Mozilla/4.0 (compatible; Snom M900 05.20.0001 000413b60680)", "M900", "05.20.0001", Version{5, 20, 1}},
		{"Mozilla/4.0 (compatible; snom lid 3605)", "", "", Version{}},
		// Less than was hoped for
		{"snom", "", "", Version{}},
		{"snom/8.7", "", "", Version{}},
		{"snom370", "370", "", Version{}},
		{"snom370/", "370", "", Version{}},
		{"snom370/unknown", "370", "", Version{}},
		{"snom370/8..99999999999999999999.4.5", "370", "8..99999999999999999999.4.5", Version{8, 0, 999999999, 4}},
		{"snom370/84_35", "370", "84_35", Version{84}},
	} {
		got, ok := ParseUserAgent(tc.userAgent)
		if want := (Agent{tc.model, tc.firmware, tc.version}); !ok || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", tc.userAgent, got, ok, want)
		}
		if !IsSnom(tc.userAgent) {
			t.Errorf("%s is not taken for a Snom phone's", tc.userAgent)
		}
	}

	for _, ua := range []string{
		"", "sno", "Asterisk PBX 18.1", "friendly-scanner", "Yealink SIP-T46S 66.84.0.15", "notsnom370/8.7.5.48",
		"Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/4.0 (compatible; MSIE 6.0; snom)",
	} {
		if got, ok := ParseUserAgent(ua); ok || got != (Agent{}) || IsSnom(ua) {
			t.Errorf("%q is taken for a Snom phone's: %+v", ua, got)
		}
	}
}

func TestUserAgentAllocates(t *testing.T) {
	for _, ua := range []string{
		"Asterisk PBX 18.1", "snomD785/10.1.84.12",
		"Mozilla/4.0 (compatible; snom320-SIP 8.4.18 1.1.3-s)",
	} {
		if n := testing.AllocsPerRun(100, func() { IsSnom(ua); ParseUserAgent(ua) }); n != 0 {
			t.Errorf("%s: %v allocations", ua, n)
		}
	}
}

func TestVersionCompare(t *testing.T) {
	ordered := []string{"2.04g", "7.3.30", "8.4.35", "873_19_20130321", "8.7.5.48", "10.1.39.11", "10.1.226.13"}
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := ParseVersion(a).Compare(ParseVersion(b)); got != want {
				t.Errorf("%s compared to %s is %d, want %d", a, b, got, want)
			}
		}
	}
	if s := ParseVersion("873_19_20130321").String(); s != "8.7.3.19" {
		t.Errorf("873_19_20130321 is %s", s)
	}
}

func TestLookup(t *testing.T) {
	for _, tc := range []struct {
		name       string
		keys, page int
		first      string // colour
		confidence Confidence
		known      bool
	}{
		{"370", 12, 0, "orange", Verified, true},
		{"300", 6, 0, "orange", Reported, true},
		{"820", 16, 0, "red", Reported, true},
		{"715", 5, 0, "red", Reported, true},
		{"D715", 5, 0, "red", Reported, true},
		{"d785", 24, 6, "red", Verified, true},
		{"D385", 48, 12, "red", Verified, true},
		{"D865", 40, 10, "red", Reported, true},
		{"PA1", 0, 0, "", Reported, true},
		{"pa1", 0, 0, "", Reported, true},
		{"D999", DefaultKeys, 0, "", Guessed, false},
		{"M700", DefaultKeys, 0, "", Guessed, false},
		{"DPA1", DefaultKeys, 0, "", Guessed, false},
		{"", DefaultKeys, 0, "", Guessed, false},
	} {
		m, known := Lookup(tc.name)
		var first string
		if len(m.Colors) > 0 {
			first = m.Colors[0]
		}
		if m.Name != tc.name || m.Keys != tc.keys || m.KeysPerPage != tc.page || first != tc.first || m.Confidence != tc.confidence || known != tc.known {
			t.Errorf("%q: got %+v, %v", tc.name, m, known)
		}
	}
}

func TestTable(t *testing.T) {
	if !slices.IsSortedFunc(models, func(a, b Model) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	}) {
		t.Error("the table is not sorted, or names a model twice")
	}
	for _, m := range models {
		if m.KeysPerPage > 0 && m.Keys%m.KeysPerPage != 0 {
			t.Errorf("%s: %d keys are not pages of %d", m.Name, m.Keys, m.KeysPerPage)
		}
		if m.Confidence == Guessed {
			t.Errorf("%s is in the table, yet guessed", m.Name)
		}
		for _, c := range m.Colors {
			if !buttons.ValidColor(c) {
				t.Errorf("%s: no lamp is %s", m.Name, c)
			}
		}
	}
}

func FuzzParseUserAgent(f *testing.F) {
	f.Add("snom370/8.7.5.48")
	f.Add("snom821/873_19_20130321")
	f.Add("Mozilla/4.0 (compatible; snom320-SIP 8.4.18 1.1.3-s)")
	f.Fuzz(func(t *testing.T, ua string) {
		agent, ok := ParseUserAgent(ua)
		if ok != IsSnom(ua) || !ok && agent != (Agent{}) {
			t.Errorf("%q: %+v, %v", ua, agent, ok)
		}
		Lookup(agent.Model)
	})
}

func BenchmarkParseUserAgent(b *testing.B) {
	for _, ua := range []string{"snomD785/10.1.84.12", "Yealink SIP-T46S 66.84.0.15"} {
		b.Run(ua[:7], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ParseUserAgent(ua)
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Lookup("D895")
	}
}
