//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
)

// result is what one run of the load says, as one line of JSON.
type result struct {
	Server    string `json:"server"`
	Operation string `json:"operation"`
	// Unavailable says why the server cannot do the operation at all. All the
	// figures are then missing.
	Unavailable string `json:"unavailable,omitempty"`

	Operations int64   `json:"operations"`
	Seconds    float64 `json:"seconds"`
	Rate       float64 `json:"rate"` // Operations a second.
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
	Worst      float64 `json:"worst_us"`

	ServerCPU float64 `json:"server_cpu_us"` // A operation, user and system.
	LoadCPU   float64 `json:"load_cpu_us"`   // The generator's own.

	// Proportional set size in bytes: of the fresh server, when measuring
	// began, and when it ended.
	MemoryBefore int64 `json:"memory_before"`
	MemoryStart  int64 `json:"memory_start,omitempty"`
	Memory       int64 `json:"memory"`
	// BytesPerRegistration is of the operation memory alone.
	BytesPerRegistration float64 `json:"bytes_per_registration,omitempty"`

	// Reloads is how often the server has loaded its configuration again while
	// measuring, WorstReload how long the slowest took.
	Reloads     int     `json:"reloads,omitempty"`
	WorstReload float64 `json:"worst_reload_us,omitempty"`

	// Retransmissions are the generator's, PeerRetransmissions the server's,
	// Late what was answered more than once because of either.
	Retransmissions     int64 `json:"retransmissions"`
	PeerRetransmissions int64 `json:"peer_retransmissions"`
	Late                int64 `json:"late"`
	// Trying counts the calls whose caller had a 100 before anything else.
	Trying int64 `json:"trying,omitempty"`
	// Challenged counts the requests that were sent once more, with a new
	// nonce, because the server took the phone's for stale.
	Challenged int64 `json:"challenged,omitempty"`

	Errors  int64    `json:"errors"`
	Samples []string `json:"error_samples,omitempty"`
}

// take fills in what the runner has counted.
func (res *result) take(r *runner) {
	slices.Sort(r.latencies)
	res.P50, res.P99 = percentile(r.latencies, 50), percentile(r.latencies, 99)
	res.Worst = percentile(r.latencies, 100)
	// One lost datagram of a call can make several others come twice, but
	// without any nothing may.
	if r.late > 0 && r.retransmissions+r.peerRetransmissions == 0 {
		r.fail("%d answers came twice, though nothing was retransmitted", nil, r.late)
	}
	res.Retransmissions, res.PeerRetransmissions = r.retransmissions, r.peerRetransmissions
	res.Late, res.Trying, res.Challenged = r.late, r.trying, r.challenged
	res.Errors, res.Samples = r.errors, r.samples
}

// percentile returns the p-th percentile of sorted values, by nearest rank.
func percentile(sorted []uint32, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*p + 99) / 100
	return float64(sorted[max(rank, 1)-1])
}

// String is the result on one line for a reader.
func (res *result) String() string {
	name := fmt.Sprintf("%-16s %-13s", res.Server, res.Operation)
	if res.Unavailable != "" {
		return name + " not available: " + firstLine(res.Unavailable)
	}
	text := fmt.Sprintf("%s %7.1f µs CPU/op %8.0f op/s  p50 %.2f ms  p99 %.2f ms  %.0f MB",
		name, res.ServerCPU, res.Rate, res.P50/1000, res.P99/1000, float64(res.Memory)/1e6)
	if res.BytesPerRegistration > 0 {
		text += fmt.Sprintf("  %.0f bytes/registration", res.BytesPerRegistration)
	}
	if res.Reloads > 0 {
		text += fmt.Sprintf("  worst %.0f ms, of %d reloads %.0f ms", res.Worst/1000, res.Reloads, res.WorstReload/1000)
	}
	text += fmt.Sprintf("  %d retransmitted  %d errors", res.Retransmissions, res.Errors)
	if len(res.Samples) > 0 {
		text += ": " + firstLine(res.Samples[0])
	}
	return text
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSuffix(line, " in:")
}
