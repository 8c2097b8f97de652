// Package match has the request matchers of the SIP app.
//
// Where a matcher compares with patterns, * stands for any text and ? for one character; a
// backslash before them, or before a backslash, takes their meaning away. Values may have
// placeholders; what a placeholder brings in is compared as it is.
package match
