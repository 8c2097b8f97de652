package wire

import "bytes"

// EqualURI compares two URIs as RFC 3261 §19.1.4 does.
func EqualURI(a, b *URI) bool {
	if a.Scheme != b.Scheme {
		return false
	}
	if a.Scheme != SIP && a.Scheme != SIPS {
		return bytes.Equal(a.Raw, b.Raw)
	}
	if a.Port != b.Port || !EqualFold(a.Host, b.Host) || !equalUnescaped(a.User, b.User, false) ||
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
		value, ok := Param(b, string(it.Name))
		if ok {
			if !equalUnescaped(value, it.Value, true) {
				return false
			}
			continue
		}
		for _, name := range mustMatch {
			if EqualFold(it.Name, name) {
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
	if bytes.Count(a, []byte("&")) != bytes.Count(b, []byte("&")) {
		return false
	}
	for part := range bytes.SplitSeq(a, []byte("&")) {
		found := false
		for other := range bytes.SplitSeq(b, []byte("&")) {
			if equalUnescaped(part, other, true) {
				found = true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// equalUnescaped compares two texts with their escapes decoded.
func equalUnescaped(a, b []byte, fold bool) bool {
	for len(a) > 0 && len(b) > 0 {
		ca, na := unescapeByte(a)
		cb, nb := unescapeByte(b)
		if ca != cb && (!fold || lower(ca) != lower(cb)) {
			return false
		}
		a, b = a[na:], b[nb:]
	}
	return len(a) == len(b)
}

func unescapeByte(b []byte) (byte, int) {
	if b[0] == '%' && len(b) > 2 {
		hi, ok1 := unhex(b[1])
		lo, ok2 := unhex(b[2])
		if ok1 && ok2 {
			return hi<<4 | lo, 3
		}
	}
	return b[0], 1
}
