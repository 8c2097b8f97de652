package domains

import "strings"

// CutScheme returns an address-of-record that somebody has written without the scheme, if it has
// one: user, user@domain and sip:user@domain are the same to people.
func CutScheme(text string) string {
	for _, scheme := range [...]string{"sip:", "sips:"} {
		if len(text) >= len(scheme) && strings.EqualFold(text[:len(scheme)], scheme) {
			return text[len(scheme):]
		}
	}
	return text
}
