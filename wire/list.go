package wire

// IsToken tells whether s is a token, as methods and header field names are (RFC 3261 §25.1).
func IsToken[T ~string | ~[]byte](s T) bool {
	for i := range len(s) {
		if charClass[s[i]]&tokenChar == 0 {
			return false
		}
	}
	return len(s) > 0
}

// CutValue returns the first of the comma-separated values in a header field's line, and what follows its comma. Commas in quotes and angle
// brackets do not separate.
func CutValue(line []byte) (value, rest []byte) {
	i := nextComma(line)
	if i < len(line) {
		rest = line[i+1:]
	}
	return trim(line[:i]), rest
}
