// Package guest is a SIP server's plug-ins as somebody writes them who has nothing but the packages
// that can be imported from outside: a handler, a matcher, a storage, an authentication provider and
// an events handler, one a folder. Import it for its side effects.
package guest

import (
	_ "example.com/guest/audit"
	_ "example.com/guest/doorbell"
	_ "example.com/guest/family"
	_ "example.com/guest/journal"
	_ "example.com/guest/vip"
)
