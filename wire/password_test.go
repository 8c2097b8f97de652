package wire

import "testing"

func TestWithoutPassword(t *testing.T) {
	for uri, want := range map[string]string{
		"sip:alice@example.com;ob":                      "sip:alice@example.com;ob",
		"sip:alice:secret@example.com:5061;ob":          "sip:alice@example.com:5061;ob",
		"sip:alice:@example.com":                        "sip:alice@example.com",
		"sip:alice@example.com?Authorization=x":         "sip:alice@example.com",
		"sips:al%3Aice:a%40b@[::1];x=:y@?a=b":           "",
		"sips:al%3Aice:a%40b@[::1];x=y?Authorization=x": "sips:al%3Aice@[::1];x=y",
		"tel:+49301234;phone-context=x":                 "tel:+49301234;phone-context=x",
		"sip:alice:secret@exam ple.com":                 "",
	} {
		if got := string(WithoutPassword([]byte(uri))); got != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
}
