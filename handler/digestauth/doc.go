// Package digestauth provides the directive digest_auth, the module sip.handlers.digest_auth, which
// lets a request pass only with valid digest credentials (RFC 3261 §22, RFC 7616, RFC 8760).
//
// Directives run in the order in which they are written, so it stands in front of what it protects:
//
//	digest_auth {
//		realm example.com
//		user  101 MD5:b1a6cf941cbc5667822d45ecb5284646
//	}
//	register
//	proxy
//
// "caddysip sip hash-password" prints the hash for user, and the lines of a users_file, which is read
// again when it changes. Other sources of users are modules of the namespace
// sip.authentication.providers, see docs/authentication.md.
//
// A request without credentials, or with wrong ones, is challenged: 401 if it is for the server
// itself or a REGISTER, else 407. A stale or reused nonce is challenged with stale=true; malformed
// credentials get 400; a user whose From (or To, in a REGISTER) names somebody else gets 403,
// unless identity is any. A request within a call that has ended gets 481. ACK and CANCEL, which
// cannot be challenged, and requests within a call that was set up through proxy pass without
// credentials.
//
// Once a request has passed, {sip.auth.user} and the matcher authenticated know the user, and the
// credentials have been removed from it. Twenty wrong passwords within a minute ban the source for
// five minutes; where other users have authenticated, only the user is refused there, with 403. The
// package's README has the details, and the options realm, algorithm, nonce_lifetime, failures,
// ban.
package digestauth
