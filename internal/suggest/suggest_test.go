package suggest

import "testing"

func TestClosest(t *testing.T) {
	known := []string{"handle", "header", "proxy", "register", "respond", "rewrite", "route", "snom_lrc"}
	for word, want := range map[string]string{
		"snom_lcr": "snom_lrc",
		"regster":  "register",
		"proxi":    "proxy",
		"Respond":  "respond",
		"respond":  "respond",
		"banana":   "",
		"x":        "",
		"":         "",
	} {
		if got := Closest(word, known); got != want {
			t.Errorf("Closest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	known := []string{"proxy", "header"}
	if got, want := DidYouMean("proxi", known), "did you mean proxy? (known are header, proxy)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := DidYouMean("banana", known), "known are header, proxy"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
