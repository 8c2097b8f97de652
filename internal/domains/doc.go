// Package domains decides which hosts are the server's own, and which address-of-record a URI at
// one of them names (RFC 3261 §10.3 step 5).
package domains
