// Command table reads what the load has measured, one JSON object a line on
// standard input, and prints one table of medians and, for every operation,
// whether caddysip keeps to its target; with -scale, how its needs grow.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// result is the part of the load's result that the table shows.
type result struct {
	Server               string   `json:"server"`
	Operation            string   `json:"operation"`
	Unavailable          string   `json:"unavailable"`
	Operations           int64    `json:"operations"`
	Rate                 float64  `json:"rate"`
	P50                  float64  `json:"p50_us"`
	P99                  float64  `json:"p99_us"`
	Worst                float64  `json:"worst_us"`
	ServerCPU            float64  `json:"server_cpu_us"`
	Reloads              int      `json:"reloads"`
	WorstReload          float64  `json:"worst_reload_us"`
	MemoryStart          int64    `json:"memory_start"`
	Memory               int64    `json:"memory"`
	BytesPerRegistration float64  `json:"bytes_per_registration"`
	Retransmissions      int64    `json:"retransmissions"`
	PeerRetransmissions  int64    `json:"peer_retransmissions"`
	Trying               int64    `json:"trying"`
	Challenged           int64    `json:"challenged"`
	Errors               int64    `json:"errors"`
	Samples              []string `json:"error_samples"`
}

// target is what an operation may cost at most. Where it is a ratio, that is
// of CPU times; otherwise one of the other limits is set.
type target struct {
	ratio     float64 // Of what Kamailio needs with its allocator for production.
	echo      float64 // Of what the echo needs.
	bytes     float64 // For each registration.
	megabytes float64 // Resident, and flat while measured at the rate.
	rate      float64 // Operations a second.
}

var targets = map[string]target{
	"register":      {ratio: 0.5, echo: 2.2},
	"options":       {ratio: 0.6},
	"lrc":           {ratio: 0.4},
	"call":          {ratio: 0.45},
	"digest":        {ratio: 0.6},
	"digest-sha256": {ratio: 0.6},
	"register/tcp":  {ratio: 0.4},
	"options/tcp":   {ratio: 0.6},
	"call/tcp":      {ratio: 0.35},
	"memory":        {bytes: 350},
	"steady":        {megabytes: 200, rate: 20_000},
}

// rival is the server that the targets are about.
const rival = "kamailio-fm"

// names are what a reader knows the servers as.
var names = map[string]string{
	"kamailio-fm":      "Kamailio fm",
	"kamailio-default": "Kamailio default",
	"asterisk":         "Asterisk",
}

// flat is how much a server's memory may grow while it is measured under a
// steady load before we call it growing.
const flat = 1.1

func main() {
	scale := flag.Bool("scale", false, "say how caddysip's needs grow, in place of whether it keeps to its targets")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *scale); err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer, scale bool) error {
	rows, err := read(in)
	if err != nil {
		return err
	}
	// Aligned right for the figures; the names are padded to stand left.
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "operation     \tserver          \tCPU µs/op\top/s\tp50 ms\tp99 ms\tMB\tbytes/reg.\tretransmitted\terrors\truns\t")
	for _, r := range rows {
		r.print(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	if scale {
		if err := printGrowth(out, rows); err != nil {
			return err
		}
	} else {
		for _, r := range rows {
			if r.server == "caddysip" {
				fmt.Fprintf(out, "%-13s %s\n", r.operation, verdict(r, rows))
			}
		}
	}
	for _, r := range rows {
		for _, note := range r.notes() {
			fmt.Fprintf(out, "note: %s with %s: %s\n", r.operation, r.name(), note)
		}
	}
	return nil
}

// row is all runs of one operation with one server.
type row struct {
	operation, server string
	unavailable       string
	runs              []result
}

// read groups the results, in the order in which they first appear.
func read(in io.Reader) ([]*row, error) {
	var rows []*row
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var res result
		if err := json.Unmarshal(lines.Bytes(), &res); err != nil {
			return nil, fmt.Errorf("reading a result: %w", err)
		}
		r := find(rows, res.Operation, res.Server)
		if r == nil {
			r = &row{operation: res.Operation, server: res.Server}
			rows = append(rows, r)
		}
		if res.Unavailable != "" {
			r.unavailable = res.Unavailable
			continue
		}
		r.runs = append(r.runs, res)
	}
	// The rounds are interleaved, but a reader compares within an operation.
	order := make(map[string]int)
	for _, r := range rows {
		if _, seen := order[r.operation]; !seen {
			order[r.operation] = len(order)
		}
	}
	slices.SortStableFunc(rows, func(a, b *row) int { return order[a.operation] - order[b.operation] })
	return rows, lines.Err()
}

func find(rows []*row, operation, server string) *row {
	for _, r := range rows {
		if r.operation == operation && r.server == server {
			return r
		}
	}
	return nil
}

func (r *row) name() string { return cmp.Or(names[r.server], r.server) }

func (r *row) print(w io.Writer) {
	if len(r.runs) == 0 {
		fmt.Fprintf(w, "%-14s\t%-16s\tnot available\t\t\t\t\t\t\t\t\t\n", r.operation, r.name())
		return
	}
	perRegistration := ""
	if bytes := r.median(func(res result) float64 { return res.BytesPerRegistration }); bytes > 0 {
		perRegistration = fmt.Sprintf("%.0f", bytes)
	}
	fmt.Fprintf(w, "%-14s\t%-16s\t%.1f\t%.0f\t%.2f\t%.2f\t%.0f\t%s\t%d\t%d\t%d\t\n", r.operation, r.name(),
		r.cpu(),
		rate(r),
		r.median(func(res result) float64 { return res.P50 })/1000,
		r.median(func(res result) float64 { return res.P99 })/1000,
		r.memory()/1e6,
		perRegistration,
		r.total(func(res result) int64 { return res.Retransmissions + res.PeerRetransmissions }),
		r.total(func(res result) int64 { return res.Errors }),
		len(r.runs))
}

func (r *row) cpu() float64 { return r.median(func(res result) float64 { return res.ServerCPU }) }

func (r *row) memory() float64 {
	return r.median(func(res result) float64 { return float64(res.Memory) })
}

// median of one figure over the runs; of an even number, the lower middle one.
func (r *row) median(figure func(result) float64) float64 {
	values := make([]float64, len(r.runs))
	for i, res := range r.runs {
		values[i] = figure(res)
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

func (r *row) total(figure func(result) int64) (sum int64) {
	for _, res := range r.runs {
		sum += figure(res)
	}
	return sum
}

func rate(r *row) float64 { return r.median(func(res result) float64 { return res.Rate }) }

// verdict says whether caddysip keeps to the operation's target. A run with
// a wrong answer has met nothing.
func verdict(ours *row, rows []*row) string {
	want, known := targets[ours.operation]
	switch {
	case ours.unavailable != "" || len(ours.runs) == 0:
		return "NOT MET: caddysip cannot do it: " + firstLine(ours.unavailable)
	case ours.wrong():
		return "NOT MET: caddysip gave wrong answers"
	case !known:
		return "no target"
	case want.bytes > 0:
		bytes := ours.median(func(res result) float64 { return res.BytesPerRegistration })
		return fmt.Sprintf("%s: %.0f bytes for each registration, target at most %.0f",
			met(bytes <= want.bytes), bytes, want.bytes)
	case want.rate > 0 && rate(ours) < 0.98*want.rate:
		return fmt.Sprintf("NOT MET: %.0f operations a second in place of %.0f", rate(ours), want.rate)
	case want.megabytes > 0:
		start := ours.median(func(res result) float64 { return float64(res.MemoryStart) })
		ok := ours.memory() <= want.megabytes*1e6 && ours.memory() <= start*flat
		return fmt.Sprintf("%s: %.0f MB when measuring began, %.0f MB when it ended, target at most %.0f and flat",
			met(ok), start/1e6, ours.memory()/1e6, want.megabytes)
	}
	text := compare(ours, find(rows, ours.operation, rival), names[rival], want.ratio)
	if want.echo > 0 {
		text += "; " + compare(ours, find(rows, ours.operation, "echo"), "echo", want.echo)
	}
	return text
}

// compare says whether ours costs at most so many times what another does.
func compare(ours, other *row, name string, most float64) string {
	switch {
	case other == nil || len(other.runs) == 0:
		return "not compared: no figures of " + name
	case other.wrong():
		return "not compared: wrong answers of " + name
	}
	ratio := ours.cpu() / other.cpu()
	return fmt.Sprintf("%s: %.2f × %s, target at most %.2f ×", met(ratio <= most), ratio, name, most)
}

func (r *row) wrong() bool { return r.total(func(res result) int64 { return res.Errors }) > 0 }

func met(ok bool) string {
	if ok {
		return "MET"
	}
	return "NOT MET"
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSuffix(line, " in:")
}

// notes are what a reader of the figures has to know besides.
func (r *row) notes() (notes []string) {
	if r.unavailable != "" {
		notes = append(notes, "not available: "+r.unavailable)
	}
	for _, res := range r.runs {
		if len(res.Samples) > 0 {
			notes = append(notes, res.Samples[0])
			break
		}
	}
	if challenged := r.total(func(res result) int64 { return res.Challenged }); challenged > 0 {
		all := r.total(func(res result) int64 { return res.Operations })
		notes = append(notes, fmt.Sprintf("%d of %d requests had a stale nonce and were sent twice", challenged, all))
	}
	if reloads := r.total(func(res result) int64 { return int64(res.Reloads) }); reloads > 0 {
		slowest := 0.0
		for _, res := range r.runs {
			slowest = max(slowest, res.WorstReload/1000)
		}
		notes = append(notes, fmt.Sprintf("the slowest of %d reloads took %.0f ms", reloads, slowest))
	}
	if calls := r.total(func(res result) int64 { return res.Operations }); strings.HasPrefix(r.operation, "call") && r.server != "echo" && calls > 0 {
		if trying := r.total(func(res result) int64 { return res.Trying }); trying < calls {
			notes = append(notes, fmt.Sprintf("only %d of %d callers had a 100 before the 180", trying, calls))
		}
	}
	return notes
}
