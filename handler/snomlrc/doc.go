// Package snomlrc is the LED remote control of Snom phones: dial a number, and a lamp changes.
package snomlrc
