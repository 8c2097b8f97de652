package proxy

import (
	"github.com/caddysip/caddysip/internal/wire"
	"github.com/caddysip/caddysip/module"
)

// hasButtons tells whether a request would set the function keys of a Snom phone, which does what any such MESSAGE says: key and number are its
// sender's to choose. A multipart body may hold one as well.
func hasButtons(m *module.Message) bool {
	multipart := false
	for it := m.Lines("Content-Type"); it.Next(); {
		if containsFold(it.Value(), "x-buttons") {
			return true
		}
		multipart = multipart || containsFold(it.Value(), "multipart")
	}
	return multipart && containsFold(m.Body(), "x-buttons")
}

// containsFold tells whether text is in b in any mix of upper and lower case.
func containsFold(b []byte, text string) bool {
	for ; len(b) >= len(text); b = b[1:] {
		if wire.EqualFold(b[:len(text)], text) {
			return true
		}
	}
	return false
}
