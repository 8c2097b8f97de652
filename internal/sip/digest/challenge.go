package digest

// AppendChallenge appends the value of a WWW-Authenticate or Proxy-Authenticate header field (RFC
// 7616 §3.3). realm must pass CheckRealm. With stale, the client may use the password it has
// already with the new nonce.
func AppendChallenge(dst, realm, nonce []byte, a Algorithm, stale bool) []byte {
	dst = append(append(dst, `Digest realm="`...), realm...)
	dst = append(append(dst, `", nonce="`...), nonce...)
	dst = append(append(dst, `", algorithm=`...), a.String()...)
	dst = append(dst, `, qop="auth"`...) // RFC 3261 §22.4 item 8: always there
	if stale {
		dst = append(dst, `, stale=true`...)
	}
	return dst
}
