// Package suggest finds the known word nearest to an unknown one, for error messages about a
// mistyped directive, option or model.
package suggest
