// Package logappend has the handler that adds fields to the access log.
package logappend
