package domains

import "strings"

// CutScheme returns an address-of-record without its scheme, if it has one: people write user,
// user@domain and sip:user@domain for the same.
func CutScheme(text string) string {
	for _, scheme := range [...]string{"sip:", "sips:"} {
		if len(text) >= len(scheme) && strings.EqualFold(text[:len(scheme)], scheme) {
			return text[len(scheme):]
		}
	}
	return text
}
