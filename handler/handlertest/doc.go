// Package handlertest runs a whole server for tests: a configuration goes in, real sockets come
// out.
//
//	s := handlertest.Start(t, "register\nproxy")
//	alice, bob := s.Phone("alice"), s.Phone("bob")
//	alice.Request("MESSAGE", s.URI("bob"), "Content-Type: text/plain", "", "hello")
//	m := bob.Expect("MESSAGE ")
//	bob.Answer(m, "200 OK", "bob")
//	alice.Expect("SIP/2.0 200")
//
// A test fails when a message that it expects does not come within some seconds, and
// [Peer.Nothing] makes sure that none has come, without waiting.
package handlertest
