// Package digestauth has the handler that lets only users with a password pass.
package digestauth
