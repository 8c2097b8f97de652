// Package mutation tests the tests. mutations.txt lists changes of one line, each of which breaks
// something that matters: a check of who may do what, a bound, a timer, a rule of an RFC. A test
// must fail for each of them; one that survives is a behaviour that nobody would miss.
//
// The normal run only looks whether every change still applies to the sources, which takes no time.
// To make the changes and run the tests (about half an hour on two processors):
//
//	go test ./test/mutation -mutate -timeout 3h -v
//	go test ./test/mutation -mutate -v -run 'Survivors/digest:'    # some of them
//
// A change reaches the compiler as an overlay, so no source file is ever written to.
//
// An entry of the list says in its first line what no longer holds, then in which package the
// change is made, and what to test when that isn't the same package or not all of it. Then come a
// text of the sources and what replaces it:
//
//	# digest: no parameter is there twice
//	in internal/sip/digest
//	test ./internal/sip/digest -run TestParse
//	- if found&bit != 0 {
//	+ if false {
//
// The text is looked for in all files of the package, without indentation, empty lines and
// comments, and must be there exactly once. It may be a part of a line, or several lines where the
// place cannot be told otherwise.
package mutation
