// Package domains knows which hosts are the server's own, and which address-of-record a URI at one
// of them names.
package domains
