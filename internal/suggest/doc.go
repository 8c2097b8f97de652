// Package suggest finds the word that somebody may have meant, for error messages about an unknown
// directive, option or model.
package suggest
