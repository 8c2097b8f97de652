// Command caddysip is Caddy with the SIP server built in.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddysip/caddysip"
)

func main() {
	caddycmd.Main()
}
