// Package proxy provides the directive proxy, the module sip.handlers.proxy: a stateful proxy (RFC
// 3261 §16) that relays requests to registered phones, or to given servers.
//
//	register
//
//	@outside {
//		uri_user 0*
//		authenticated
//	}
//	proxy @outside sip:gw1.example.com sip:gw2.example.com;transport=tcp
//
//	proxy {
//		timeout 30s
//	}
//
// Without URIs a request goes to the contacts that are registered for its Request-URI. They ring
// together (with fork sequential one after the other), those with a higher q first. With URIs the next one is tried
// when one cannot be reached, answers 503 or says nothing for 32 seconds; names are resolved as RFC
// 3263 says. The caller gets the best of the answers (RFC 3261 §16.7).
//
// Answers of its own: 403 for a destination or a remote control of phones that is not allowed, 404
// for a user nobody has heard of, 480 for one who is not registered now, 408 when nobody answers in
// time, 420 for Proxy-Require, 440 when Max-Breadth is used up (RFC 5393), 481 within a call that
// has ended or was never set up here, 482 for a loop, 483 when Max-Forwards is 0, 503 when nothing
// could be sent. A request for the server itself, or one that already has a final response, goes on
// to the next handler.
//
// It is no open relay: without URIs only users of the configured domains are reached, unless the
// sender has authenticated, and an address that the request itself names must not be a private one.
// The package's README describes these rules, requests within a call, and each option.
package proxy
