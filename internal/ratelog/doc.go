// Package ratelog limits how often one thing is logged: what arrives from the network must not be
// able to fill a disk. A Gate lets one entry a second through and counts the rest, which the next
// entry reports in its field "suppressed".
package ratelog
