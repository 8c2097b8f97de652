// Package seen remembers what was seen lately, in memory of a fixed size and without locks, for
// what every packet asks. Whoever uses a Table hashes what is to be remembered, with a seed, so
// that nobody can choose what drives something else out.
package seen
