package wire

import "strconv"

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

// EqualFold tells whether two ASCII texts are equal whatever their case.
func EqualFold[T ~string | ~[]byte](a []byte, b T) bool {
	if len(a) != len(b) {
		return false
	}
	if string(a) == string(b) {
		return true // nearly always: names are mostly written as the RFCs write them
	}
	for i := range a {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// isLWS tells whether c is linear white space. Folds have been replaced by spaces when the message was parsed.
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
	notURI                // what no URI may have, quotes, brackets, and white space among them
	reserved              // RFC 2396 §2.2: the escape of one is not the same as the character
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
	set(notURI, `<>"`+"\x7f")
	for c := range ' ' + 1 {
		t[c] |= notURI
	}
	return t
}()

// ParseUint reads a decimal number of at most max.
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

// AppendUnescaped appends b with its %HH escapes decoded (RFC 3261 §19.1.2).
func AppendUnescaped(dst, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) {
			hi, ok1 := unhex(b[i+1])
			lo, ok2 := unhex(b[i+2])
			if ok1 && ok2 {
				dst = append(dst, hi<<4|lo)
				i += 2
				continue
			}
		}
		dst = append(dst, b[i])
	}
	return dst
}
