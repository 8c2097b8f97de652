// Package simulation runs a whole server with its phones for simulated hours: calls, keys, lights,
// phones that move, reboot and go away; packets that are lost, repeated and overtaken, paths that
// break, power cuts, reloads, and a disk that fails. All of it comes from a seed, and what must
// never happen is checked all the time. docs/simulation.md says what that is, and how to run and to
// repeat it.
package simulation
