package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// growth is one line of the table of what grows: what caddysip needs for an
// operation, and the most that it should need.
type growth struct {
	what      string
	operation string
	// Without a base the most is in the unit of the figure; with one it is so
	// many times the CPU time of another operation, of caddysip or a server.
	base, server string
	most         float64
	figure       figure
}

// figure is what is looked at, and the unit to show it in.
type figure struct {
	of     func(*row) float64
	format string
}

var (
	cpuTime = figure{(*row).cpu, "%.1f µs"}
	// worst is over all runs: a median would hide what it is there to show.
	worst = figure{func(r *row) (most float64) {
		for _, res := range r.runs {
			most = max(most, res.Worst/1000)
		}
		return most
	}, "%.0f ms"}
)

var grows = []growth{
	{"OPTIONS past 100 routes with uri_user", "uri_user-100", "uri_user-1", "caddysip", 1.3, cpuTime},
	{"OPTIONS past 1,000 routes with uri_user", "uri_user-1000", "uri_user-1", "caddysip", 1.3, cpuTime},
	{"OPTIONS past 1,000 routes with method and to_user", "to_user-1000", "to_user-1", "caddysip", 1.3, cpuTime},
	{"REGISTER of one of a user's 400 contacts", "contacts-400", "", "", 20, cpuTime},
	{"REGISTER with an access log to a file", "register-log", "register", "caddysip", 1.2, cpuTime},
	{"REGISTER with storage bolt", "register-bolt", "register", "caddysip", 1.15, cpuTime},
	{"REGISTER with digest, MD5, 100,000 users", "digest", "digest", rival, 0.6, cpuTime},
	{"REGISTER with digest, SHA-256, 100,000 users", "digest-sha256", "digest-sha256", rival, 0.6, cpuTime},
	{"call after 60 s of load", "call-60", "call-1", "caddysip", 1.1, cpuTime},
	{"worst answer at 20,000 REGISTER/s with reloads", "reload", "", "", 50, worst},
}

// printGrowth prints a line for each growth that was measured. In place of a
// verdict about wrong answers it has their number.
func printGrowth(out io.Writer, rows []*row) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what grows\tnow\tbeside\tratio\tat most\t")
	for _, g := range grows {
		ours := find(rows, g.operation, "caddysip")
		if ours == nil {
			continue
		}
		fmt.Fprintf(w, "%s\t%s\n", g.what, g.columns(ours, find(rows, g.base, g.server)))
	}
	return w.Flush()
}

func (g growth) columns(ours, base *row) string {
	switch {
	case len(ours.runs) == 0:
		return "not available\t\t\t\tNOT MET"
	case ours.wrong():
		return "wrong answers\t\t\t\tNOT MET"
	}
	now := g.figure.of(ours)
	text := fmt.Sprintf(g.figure.format, now)
	if g.base == "" {
		return fmt.Sprintf("%s\t\t\t"+g.figure.format+"\t%s", text, g.most, met(now <= g.most))
	}
	if base == nil || len(base.runs) == 0 || base.wrong() {
		return fmt.Sprintf("%s\t\t\t%.2f ×\tnot compared", text, g.most)
	}
	before := g.figure.of(base)
	beside := fmt.Sprintf(g.figure.format, before)
	if base.server != ours.server {
		beside += " " + base.name()
	}
	return fmt.Sprintf("%s\t%s\t%.2f\t%.2f\t%s", text, beside, now/before, g.most, met(now <= g.most*before))
}
