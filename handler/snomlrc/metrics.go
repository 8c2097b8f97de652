package snomlrc

import "github.com/caddysip/caddysip/internal/metrics"

var pushesTotal = metrics.Counters("lrc_pushes_total",
	"Messages with keys and lamps sent to phones, by outcome.", "outcome")

// The outcomes that are counted.
var (
	acknowledged = pushesTotal.WithLabelValues("acknowledged")
	refused      = pushesTotal.WithLabelValues("refused")
	unanswered   = pushesTotal.WithLabelValues("timeout")
	failed       = pushesTotal.WithLabelValues("failed")
)
