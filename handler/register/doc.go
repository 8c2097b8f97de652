// Package register provides the directive register, the module sip.handlers.register: the registrar
// (RFC 3261 §10.3). It stores where each user's phones are, so that proxy finds them.
//
//	digest_auth {
//		realm example.com
//		user 101 MD5:b1a6cf941cbc5667822d45ecb5284646
//	}
//	register {
//		expires      60 600 7200
//		max_contacts 10
//	}
//	proxy
//
// It serves REGISTER for the configured domains; anything else goes on to the next handler. After a
// 200 the request goes on too, so that later handlers can act on the registration. It does not
// authenticate: without digest_auth in front, anyone can register as anyone.
//
// A phone is called at the address that its REGISTER came from, which works behind NAT. Path (RFC
// 3327) is followed from known edge proxies only, see the option path. Outbound (RFC 5626) is
// supported over connections, not over UDP.
//
// The refusals: 400 for a malformed or overlong field, 403 for a Path that leads elsewhere, 404 for
// an unknown domain in To, 420 for an unsupported extension, 423 with Min-Expires for too short a
// time, 439 for outbound through an edge proxy without it, 500 with Retry-After for a request that
// a later one has overtaken, 503 with Retry-After when there are too many registrations or
// contacts.
//
// The package's README describes each option. Registrations are kept in the storage of the app, see
// module/storage.
package register
