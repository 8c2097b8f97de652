package wire

import "strconv"

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

// EqualFold reports whether two texts are equal regardless of the case of ASCII letters. It is for
// what SIP compares so: header field names, parameter names, tokens, host names (RFC 3261 §7.3.1).
func EqualFold[T ~string | ~[]byte](a []byte, b T) bool {
	if len(a) != len(b) {
		return false
	}
	if string(a) == string(b) {
		return true // nearly always: most senders use the spelling of the RFCs
	}
	for i := range a {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// isLWS reports whether c is linear white space. Parse has replaced folds by spaces.
func isLWS(c byte) bool { return c == ' ' || c == '\t' }

// trim removes linear white space from both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && isLWS(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isLWS(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

const (
	tokenChar = 1 << iota // RFC 3261 §25.1 token
	hostChar              // hostname or IPv4 address
	notURI                // not allowed in a URI: controls, white space, quotes, angle brackets
	reserved              // RFC 2396 §2.2: the escape of one is not the same as the character
	userChar              // stands in a user part as it is (RFC 3261 §25.1)
)

var charClass = func() (t [256]uint8) {
	set := func(class uint8, chars string) {
		for i := range len(chars) {
			t[chars[i]] |= class
		}
	}
	const alnum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	set(tokenChar, alnum+"-.!%*_+`'~")
	set(hostChar, alnum+"-._")
	set(reserved, ";/?:@&=+$,")
	set(userChar, alnum+"-_.!~*'()&=+$,;?/")
	set(notURI, `<>"`+"\x7f")
	for c := range ' ' + 1 {
		t[c] |= notURI
	}
	return t
}()

// ParseUint reads a decimal number of digits alone, and reports whether b is one and no larger than
// max. Leading zeros are allowed.
func ParseUint(b []byte, max uint64) (uint64, bool) {
	if len(b) == 0 || len(b) > 19 {
		// More than nineteen digits may still be a small number with leading zeros.
		for len(b) > 1 && b[0] == '0' {
			b = b[1:]
		}
		if len(b) == 0 || len(b) > 19 {
			return 0, false
		}
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, n <= max
}

func appendUint(dst []byte, n uint64) []byte { return strconv.AppendUint(dst, n, 10) }

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// AppendUnescaped appends b with its %HH escapes decoded (RFC 3261 §19.1.2). The result may have
// any byte, control characters among them. A percent sign that starts no escape stays as it is.
func AppendUnescaped(dst, b []byte) []byte {
	for len(b) > 0 {
		c, n := unescape(b)
		dst, b = append(dst, c), b[n:]
	}
	return dst
}

// unescape returns the first character of b, decoded, and how many bytes of b it takes.
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

// AppendEscapedUser appends the user part of a URI that stands for a text, which may have any bytes:
// those that cannot stand there are written %HH (RFC 3261 §19.1.2, §25.1).
func AppendEscapedUser[T ~string | ~[]byte](dst []byte, user T) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(user) {
		if c := user[i]; charClass[c]&userChar != 0 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}
