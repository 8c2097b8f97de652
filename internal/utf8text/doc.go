// Package utf8text finds where a text is not UTF-8.
package utf8text
