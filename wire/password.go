package wire

import "slices"

// WithoutPassword returns a URI without its password and its headers, which may have credentials
// too, for logs and for storage. It returns nil for a URI that cannot be parsed: nobody knows where
// a password is in it.
func WithoutPassword(raw []byte) []byte {
	u, err := ParseURI(raw)
	if err != nil {
		return nil
	}
	raw = u.WithoutHeaders()
	if u.Password == nil {
		return raw
	}
	// The capacity of raw and of User ends at the same byte, which gives the index of the end of
	// User.
	user := cap(raw) - cap(u.User) + len(u.User)
	return slices.Concat(raw[:user], raw[user+1+len(u.Password):])
}
