// Package command provides the command "snom": a simulated Snom phone in the terminal, which shows
// the keys and calls on the screen and takes commands from its standard input.
package command
