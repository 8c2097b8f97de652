// Package caddyfile adapts the global option sip of a Caddyfile to the JSON of the SIP app: server
// blocks, named matchers, directives, key profiles.
//
//	{
//		sip {
//			domain example.com
//			storage bolt /var/lib/caddy/phones.db
//
//			udp/:5060 tcp/:5060 {
//				log
//				@scanner user_agent friendly-scanner* *sipvicious*
//				respond @scanner 403
//				register
//				proxy
//			}
//		}
//	}
//
// Directives run in the order in which they are written, each with an optional matcher as its first
// argument. A directive is the name of a module in sip.handlers that implements
// caddyfile.Unmarshaler of Caddy, so a new module needs no registration here; a storage or matcher
// likewise. Every error names file and line, and suggests the nearest known word.
//
// [ParseRoutes] is for handlers that have routes of their own in their block. docs/caddyfile.md
// describes the whole language, with matchers and placeholders.
package caddyfile
