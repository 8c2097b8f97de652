// Package allowance tests what one datagram may cost: what it makes the server send and to whom,
// hold, and compute. It drives whole configurations with generated sequences of messages from
// strangers, phones, users with passwords, a trunk and an edge proxy, and compares what the server
// sends with a model of who may be sent what. The numbers are those of docs/security.md.
//
// Work is counted where the test binary is built with coverage counters (see [Work]):
//
//	go test -covermode=atomic -coverpkg=./... ./test/allowance
package allowance
