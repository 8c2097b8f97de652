// Package caddysip is a SIP server for Caddy. Import it for its side effects:
//
//	import _ "github.com/caddysip/caddysip"
package caddysip

import (
	_ "github.com/caddysip/caddysip/caddyfile"
	_ "github.com/caddysip/caddysip/handler/digestauth"
	_ "github.com/caddysip/caddysip/handler/errorhandler"
	_ "github.com/caddysip/caddysip/handler/header"
	_ "github.com/caddysip/caddysip/handler/logappend"
	_ "github.com/caddysip/caddysip/handler/proxy"
	_ "github.com/caddysip/caddysip/handler/ratelimit"
	_ "github.com/caddysip/caddysip/handler/redirect"
	_ "github.com/caddysip/caddysip/handler/register"
	_ "github.com/caddysip/caddysip/handler/respond"
	_ "github.com/caddysip/caddysip/handler/rewrite"
	_ "github.com/caddysip/caddysip/handler/snomlrc"
	_ "github.com/caddysip/caddysip/handler/vars"
	_ "github.com/caddysip/caddysip/internal/cli"
	_ "github.com/caddysip/caddysip/internal/phone/command"
	_ "github.com/caddysip/caddysip/module"
	_ "github.com/caddysip/caddysip/module/admin"
)
