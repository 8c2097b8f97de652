// Package caddysip is a SIP server for Caddy. Import it for its side effects:
//
//	import _ "github.com/caddysip/caddysip"
package caddysip

import (
	_ "github.com/caddysip/caddysip/caddyfile"
	_ "github.com/caddysip/caddysip/handler/proxy"
	_ "github.com/caddysip/caddysip/handler/register"
	_ "github.com/caddysip/caddysip/handler/snomlrc"
	_ "github.com/caddysip/caddysip/internal/phone/command"
	_ "github.com/caddysip/caddysip/module"
)
