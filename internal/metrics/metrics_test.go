package metrics

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestRegister(t *testing.T) {
	total := Counters("test_total", "Tests.", "outcome")
	total.WithLabelValues("good").Add(3)
	size := Gauge("test_size", "The size of tests.", func() float64 { return 7 })
	var old, next = prometheus.NewRegistry(), prometheus.NewRegistry()
	for _, registry := range []*prometheus.Registry{nil, old, old, next} { // a reload has another one
		if err := Register(registry, total, size); err != nil {
			t.Fatal(err)
		}
	}
	families, err := next.Gather()
	if err != nil || len(families) != 2 {
		t.Fatalf("gathered %v, %v", families, err)
	}
	if f := families[1]; f.GetName() != "caddy_sip_test_total" || f.GetMetric()[0].GetCounter().GetValue() != 3 {
		t.Errorf("got %v", f)
	}
	if f := families[0]; f.GetName() != "caddy_sip_test_size" || f.GetMetric()[0].GetGauge().GetValue() != 7 {
		t.Errorf("got %v", f)
	}
	if err := Register(next, Counter("test_total", "Another thing of that name.")); err == nil {
		t.Error("two metrics have one name")
	}
}
