//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// ticksPerSecond is USER_HZ, the unit of /proc/PID/stat on every Linux.
const ticksPerSecond = 100

// processes is a server: a process and all that descend from it.
type processes []int

// processTree finds a process and its descendants.
func processTree(root int) (processes, error) {
	if root <= 0 {
		return nil, nil
	}
	if _, err := stat(root); err != nil {
		return nil, fmt.Errorf("the server's process %d: %w", root, err)
	}
	children := make(map[int][]int)
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err != nil {
			continue
		}
		if fields, err := stat(pid); err == nil {
			parent, _ := strconv.Atoi(string(fields[1]))
			children[parent] = append(children[parent], pid)
		}
	}
	tree := processes{root}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree, nil
}

// stat returns the fields of /proc/PID/stat from the third on: what stands
// before may hold spaces.
func stat(pid int) ([][]byte, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	end := bytes.LastIndexByte(data, ')')
	fields := bytes.Fields(data[end+1:])
	if end < 0 || len(fields) < 13 {
		return nil, errors.New("unreadable /proc stat line")
	}
	return fields, nil
}

// ended reports whether a process has gone, or only waits for its parent to
// take notice.
func ended(pid int) bool {
	fields, err := stat(pid)
	return err != nil || string(fields[0]) == "Z"
}

// cpu returns the seconds of user and system time that the server has used.
func (p processes) cpu() (float64, error) {
	var ticks int
	for _, pid := range p {
		fields, err := stat(pid)
		if err != nil {
			return 0, fmt.Errorf("the server's process %d has gone: %w", pid, err)
		}
		user, _ := strconv.Atoi(string(fields[11]))
		system, _ := strconv.Atoi(string(fields[12]))
		ticks += user + system
	}
	return float64(ticks) / ticksPerSecond, nil
}

// memory returns the server's proportional set size in bytes: resident memory,
// with what its processes share counted once.
func (p processes) memory() (int64, error) {
	var total int64
	for _, pid := range p {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, fmt.Errorf("memory of the server's process %d: %w", pid, err)
		}
		_, rest, _ := bytes.Cut(data, []byte("\nPss:"))
		fields := bytes.Fields(rest)
		if len(fields) == 0 {
			return 0, fmt.Errorf("no Pss in smaps_rollup of process %d", pid)
		}
		kilobytes, err := strconv.ParseInt(string(fields[0]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("bad Pss of process %d: %w", pid, err)
		}
		total += kilobytes << 10
	}
	return total, nil
}
