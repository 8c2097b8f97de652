// Package vars has the handler that sets variables.
package vars
