package wire

// IsToken reports whether s is a token, as methods and header field names are: one or more letters,
// digits and some punctuation (RFC 3261 §25.1).
func IsToken[T ~string | ~[]byte](s T) bool {
	for i := range len(s) {
		if charClass[s[i]]&tokenChar == 0 {
			return false
		}
	}
	return len(s) > 0
}

// CutValue cuts a header field value at the first comma that separates values, and returns what is
// before it, without white space around it, and what is behind it. A comma in quotes or in angle
// brackets does not separate. Without a comma, rest is nil. Values does this for a whole field.
func CutValue(line []byte) (value, rest []byte) {
	i := nextComma(line)
	if i < len(line) {
		rest = line[i+1:]
	}
	return trim(line[:i]), rest
}
