// Package errorhandler has the handler "error", which makes an error.
package errorhandler
