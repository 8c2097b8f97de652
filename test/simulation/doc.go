// Package simulation runs a whole server and its phones for simulated hours: calls, keys, lights,
// phones that move, reboot and vanish; packets that are lost, duplicated and reordered, broken
// paths, power cuts, reloads, and a failing disk. Everything is derived from a seed, and checked
// all the time against what must never happen. docs/simulation.md lists that, and says how to run
// and to repeat a run.
package simulation
