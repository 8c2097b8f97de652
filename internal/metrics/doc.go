// Package metrics makes metrics with caddysip's names. They live as long as the process, so that
// counters survive a reload, and each configuration registers them with its own registry.
package metrics
