// Package simtest runs a whole server in a bubble of testing/synctest: the app as Caddy loads it,
// on a network in memory and on a disk that can fail. Time is the bubble's, so hours pass in no
// time; nothing reaches a real network.
//
//	synctest.Test(t, func(t *testing.T) {
//		n := simnet.New(1)
//		s := simtest.Start(t, n.Host("192.0.2.10"), "register\nproxy")
//		…
//	})
//
// There is one Caddy a process: one server runs at a time, and tests with one are not run in
// parallel.
package simtest
