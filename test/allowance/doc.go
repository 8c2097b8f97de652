// Package allowance is the test of what one datagram may cost: what the server sends because of it
// and to whom, what it holds, and what it computes. Whole configurations are driven by generated
// sequences of messages from strangers, phones, users with passwords, a trunk and an edge proxy;
// what leaves the server is held against a model of who may be sent what. The numbers are those of
// docs/security.md.
//
// Work is counted where the test binary is built with coverage counters (see [Work]):
//
//	go test -covermode=atomic -coverpkg=./... ./test/allowance
package allowance
