// Package ratelog limits how often one thing is logged: what arrives from the network, or goes wrong
// again and again, must not be able to fill a disk. A Gate lets one entry through an interval and
// counts the rest, which the next entry reports in its field "suppressed".
package ratelog
