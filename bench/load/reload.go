//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"
)

// reloadEvery leaves the server time to do its work between two reloads.
const reloadEvery = 500 * time.Millisecond

// reloads is how long the reloads of one measurement took.
type reloads struct {
	count int
	worst time.Duration
	err   error
}

// reload has the server load its own configuration again and again for a time,
// by way of Caddy's admin endpoint.
func reload(admin string, length time.Duration) <-chan reloads {
	ended := make(chan reloads, 1)
	go func() {
		var r reloads
		until := time.Now().Add(length)
		for r.err == nil && time.Now().Before(until) {
			time.Sleep(reloadEvery)
			var took time.Duration
			if took, r.err = reloadOnce(admin); r.err == nil {
				r.count++
				r.worst = max(r.worst, took)
			}
		}
		ended <- r
	}()
	return ended
}

// reloadOnce returns how long the server took for a reload.
func reloadOnce(admin string) (time.Duration, error) {
	client := &http.Client{Timeout: 30 * time.Second}
	current, err := client.Get(admin + "/config/")
	if err != nil {
		return 0, fmt.Errorf("asking for the configuration: %w", err)
	}
	defer current.Body.Close()
	config, err := io.ReadAll(current.Body)
	if err != nil {
		return 0, fmt.Errorf("reading the configuration: %w", err)
	}
	request, err := http.NewRequest(http.MethodPost, admin+"/load", bytes.NewReader(config))
	if err != nil {
		return 0, fmt.Errorf("reloading: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Cache-Control", "must-revalidate") // Although nothing has changed.
	from := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("reloading: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(response.Body)
		return 0, fmt.Errorf("reloading: %s: %s", response.Status, bytes.TrimSpace(reason))
	}
	return time.Since(from), nil
}
