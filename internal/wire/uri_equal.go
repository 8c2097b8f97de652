package wire

import "bytes"

// EqualURI compares two URIs as RFC 3261 §19.1.4 and RFC 5954 §4.2 do. URIs of other schemes than sip and sips are equal when they are
// written alike.
func EqualURI(a, b *URI) bool {
	if a.Scheme != b.Scheme {
		return false
	}
	if a.Scheme != SIP && a.Scheme != SIPS {
		return bytes.Equal(a.Raw, b.Raw)
	}
	if a.Port != b.Port || !equalHost(a.Host, b.Host) || !equalUnescaped(a.User, b.User, false) ||
		!equalUnescaped(a.Password, b.Password, false) || (a.User == nil) != (b.User == nil) {
		return false
	}
	return paramsAgree(a.Params, b.Params) && paramsAgree(b.Params, a.Params) && headersEqual(a.Headers, b.Headers)
}

// mustMatch are the parameters that make URIs differ even when only one of them has it.
var mustMatch = [...]string{"user", "ttl", "method", "maddr", "transport"}

// paramsAgree tells whether no parameter of a contradicts b.
func paramsAgree(a, b []byte) bool {
	for it := (Params{rest: a}); it.Next(); {
		value, ok := uriParam(b, it.Name)
		if ok {
			if !equalUnescaped(value, it.Value, true) {
				return false
			}
			continue
		}
		for _, name := range mustMatch {
			if equalUnescaped(it.Name, name, true) {
				return false
			}
		}
	}
	return true
}

// headersEqual compares the headers of two URIs; they are never ignored, but their order is.
func headersEqual(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	n := bytes.Count(a, []byte("&"))
	if n != bytes.Count(b, []byte("&")) {
		return false
	}
	if n >= MaxParams {
		return bytes.Equal(a, b) // comparing each with each would take long
	}
	var used uint64 // the parts of b that have been found equal to one of a
	for part := range bytes.SplitSeq(a, []byte("&")) {
		i, found := 0, false
		for other := range bytes.SplitSeq(b, []byte("&")) {
			if used&(1<<i) == 0 && equalUnescaped(part, other, true) {
				used |= 1 << i
				found = true
				break
			}
			i++
		}
		if !found {
			return false
		}
	}
	return true
}

// equalUnescaped compares two texts with their escapes decoded. The escape of a reserved character equals only itself.
func equalUnescaped[T ~string | ~[]byte](a []byte, b T, fold bool) bool {
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		ca, na := unescape(a[i:])
		cb, nb := unescape(b[j:])
		if ca != cb && (!fold || lower(ca) != lower(cb)) || na != nb && charClass[ca]&reserved != 0 {
			return false
		}
		i, j = i+na, j+nb
	}
	return i == len(a) && j == len(b)
}

// unescape returns the first character of b and how many bytes it is written with.
func unescape[T ~string | ~[]byte](b T) (byte, int) {
	if b[0] == '%' && len(b) > 2 {
		hi, ok1 := unhex(b[1])
		lo, ok2 := unhex(b[2])
		if ok1 && ok2 {
			return hi<<4 | lo, 3
		}
	}
	return b[0], 1
}
