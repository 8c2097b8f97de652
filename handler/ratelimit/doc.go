// Package ratelimit provides the directive rate_limit, the module sip.handlers.rate_limit, which
// limits how many requests each source may send in a window of time. By default whatever is over
// the limit is dropped: no response, no later handler, no entry in the access log.
//
// Put it first. Here everyone but the provider gets 50 requests a second, and a ban of five minutes
// for exceeding that:
//
//	@others not remote_ip 192.0.2.0/24
//	rate_limit @others {
//		events 50
//		window 1s
//		ban    5m
//	}
//	register
//	proxy
//
// It is a token bucket: a source may send all of its 50 at once, then one more every 20 ms. key
// says what a source is, by default {sip.source.ip}, with an IPv6 /64 as one. Handlers with the
// same zone, key, events and window count together, and their counters survive a reload. A zone
// takes 2.2 MB and follows 131,072 sources.
//
// respond answers with a status from 400 to 699 and Retry-After instead of dropping (RFC 3261
// §20.33). ban blocks the source address on every server; an address from which a user has
// authenticated within a day is never banned. UDP sources can be forged, so a ban can be brought
// upon somebody else: exempt whoever must always get through. The metric is
// caddy_sip_rate_limited_total, by zone.
package ratelimit
