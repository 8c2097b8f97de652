//go:build linux

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// profile asks the server for a CPU profile of the next seconds and writes it
// to a file. The channel tells how that ended.
func profile(url, file string, length time.Duration) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- fetchProfile(url, file, length) }()
	return ended
}

func fetchProfile(url, file string, length time.Duration) error {
	seconds := max(1, int(length.Seconds()))
	client := &http.Client{Timeout: length + 10*time.Second}
	response, err := client.Get(fmt.Sprintf("%s?seconds=%d", url, seconds))
	if err != nil {
		return fmt.Errorf("taking a profile: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("taking a profile: %s answers %s", url, response.Status)
	}
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("keeping the profile: %w", err)
	}
	if _, err := io.Copy(out, response.Body); err != nil {
		out.Close()
		return fmt.Errorf("keeping the profile: %w", err)
	}
	return out.Close()
}
