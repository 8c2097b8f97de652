package wire

import "slices"

// WithoutPassword returns a URI as it is written, without password and headers, which may have credentials too. Of one that cannot be read it
// returns nothing: nobody knows where a password would be.
func WithoutPassword(raw []byte) []byte {
	u, err := ParseURI(raw)
	if err != nil {
		return nil
	}
	if u.Headers != nil {
		raw = raw[:len(raw)-len(u.Headers)-1]
	}
	if u.Password == nil {
		return raw
	}
	// User is a part of raw: its place follows from how much of the memory is behind it.
	user := cap(raw) - cap(u.User) + len(u.User)
	return slices.Concat(raw[:user], raw[user+1+len(u.Password):])
}
