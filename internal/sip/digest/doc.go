// Package digest is the server's side of Digest authentication (RFC 7616) as SIP has it (RFC 3261
// §22, RFC 8760): it composes challenges, reads credentials, checks them, and refuses those that
// were used before.
//
// A request without credentials is challenged with a nonce that is bound to the address that it is
// sent to:
//
//	nonce := nonces.Append(nil, realm, source)
//	value := digest.AppendChallenge(nil, realm, nonce, digest.SHA256, false)
//
// A request with credentials is checked in this order:
//
//	err := c.Parse(header)                                // syntax and limits
//	nonce, ok := nonces.Read(&c, source)                  // we sent this nonce to this address
//	right := c.Verify(ha1, method)                        // the sender knows the password
//	use := nonces.Use(nonce, c.NC, hash, 5*time.Minute)   // not stale, not replayed
//
// Nonces carry their own signature: one that was never used with a right password takes no memory.
package digest
