// Package simtest runs a whole server in a bubble of testing/synctest: the app as Caddy loads it,
// on a simulated network and a disk that can fail. Time is the bubble's, so hours pass in an
// instant, and nothing reaches a real network.
//
//	synctest.Test(t, func(t *testing.T) {
//		n := simnet.New(1)
//		s := simtest.Start(t, n.Host("192.0.2.10"), "register\nproxy")
//		…
//	})
//
// There is one Caddy per process, so only one server runs at a time, and such tests cannot run in
// parallel.
package simtest
