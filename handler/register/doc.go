// Package register is the registrar.
package register
